//! Options of saving what is found as a data set.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use ssdlite_data::WrittenFormat;

use super::number::probability;

/// What is found as labels to correct and to learn from.
#[derive(Args)]
#[command(next_help_heading = "Labels")]
pub(crate) struct LabelArgs {
    /// Save the images with what is found in them as a data set of this form in the
    /// folder of --labels; what nothing is found in becomes an image without objects
    #[arg(long, value_name = "FORMAT", value_parser = format(), requires = "labels")]
    save_labels: Option<WrittenFormat>,
    /// The folder of that data set, which does not exist yet or is empty
    #[arg(long, value_name = "DIR", requires = "save_labels")]
    labels: Option<PathBuf>,
    /// Also list the images with an object of a score in this band, such as 0.3..0.6, in
    /// the set's review.txt; objects are told and saved from the lower score on
    #[arg(
        long,
        value_name = "LOW..HIGH",
        requires = "save_labels",
        conflicts_with = "score"
    )]
    review: Option<ScoreBand>,
}

impl LabelArgs {
    /// The form of the data set and its folder, if one is asked for.
    pub(crate) fn asked(&self) -> Option<(WrittenFormat, &Path)> {
        self.save_labels.zip(self.labels.as_deref())
    }

    /// The scores of objects that are to be looked at.
    pub(crate) fn review(&self) -> Option<ScoreBand> {
        self.review
    }
}

/// Reads the name of a form.
fn format() -> impl TypedValueParser<Value = WrittenFormat> {
    PossibleValuesParser::new(["voc", "yolo", "coco"]).try_map(|name| name.parse())
}

/// Scores from one to another, both among them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ScoreBand {
    low: f32,
    high: f32,
}

impl ScoreBand {
    /// The least score.
    pub(crate) fn low(self) -> f32 {
        self.low
    }

    /// Whether a score is in the band.
    pub(crate) fn contains(self, score: f32) -> bool {
        (self.low..=self.high).contains(&score)
    }
}

impl FromStr for ScoreBand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected two numbers of 0 to 1, the lower one first, such as 0.3..0.6";
        let band = text.split_once("..").and_then(|(low, high)| {
            let (low, high) = (probability(low).ok()?, probability(high).ok()?);
            (low < high).then_some(Self { low, high })
        });
        band.ok_or_else(|| expected.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_has_its_ends_and_nothing_else_is_one() {
        let band: ScoreBand = "0.3..0.6".parse().unwrap();
        for (score, is_in) in [
            (0.3, true),
            (0.45, true),
            (0.6, true),
            (0.29, false),
            (0.61, false),
        ] {
            assert_eq!(band.contains(score), is_in, "{score}");
        }
        assert!("0..1".parse::<ScoreBand>().unwrap().contains(1.0));
        for text in [
            "",
            "..",
            "0.3",
            "0.3..",
            "..0.6",
            "0.6..0.3",
            "0.3..0.3",
            "0.3..1.1",
            "-1..0.5",
            "nan..0.5",
            "0.3..nan",
            "0.3-0.6",
            "0.3...0.6",
            "0.3..=0.6",
            "a..b",
        ] {
            let told = text.parse::<ScoreBand>().unwrap_err();
            assert!(told.contains("0.3..0.6"), "{text}: {told}");
        }
    }
}
