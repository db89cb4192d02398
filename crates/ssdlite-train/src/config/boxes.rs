//! Where a detector's default boxes come from.

use std::fmt;
use std::path::PathBuf;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use ssdlite_core::{BoxSize, DefaultBoxSizes, DetectorSettings, FinestMap, Head};
use ssdlite_files::counted;

use super::{absolute, wrong};
use crate::error::{Error, Result};

/// The key of a configuration that chooses default boxes.
pub(crate) const BOXES_KEY: &str = "detector.boxes";

/// A detector's default boxes, or where they come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Boxes {
    /// SSD's own: `paper`.
    #[default]
    Paper,
    /// Fitted to the images that are learnt from: `fit`.
    Fit,
    /// Those in a file: a list of sizes, a `config.toml` or a model.
    File(PathBuf),
    /// These sizes, in a list for each feature map.
    Sizes(DefaultBoxSizes),
}

impl Boxes {
    /// The same with a file's path from the root.
    pub(super) fn absolute(self) -> Result<Self> {
        match self {
            Self::File(path) => Ok(Self::File(absolute(&path)?)),
            other => Ok(other),
        }
    }

    /// Checks the boxes for a network with this head and finest map.
    pub(super) fn validate(&self, head: Head, finest: FinestMap) -> Result<()> {
        match self {
            Self::File(path) if path.as_os_str().is_empty() => {
                Err(wrong(BOXES_KEY, "`fit`, `paper` or a file", "nothing"))
            }
            Self::Sizes(sizes) => {
                let maps = *head.map_counts(finest).end();
                if sizes.maps.len() != maps {
                    let expected = format!(
                        "boxes for {maps} maps, as the head {} has from stride {} on",
                        head.name(),
                        finest.stride()
                    );
                    let found = format!("{}; `fit` makes some", sizes.maps.len());
                    return Err(wrong(BOXES_KEY, &expected, found));
                }
                let settings = DetectorSettings {
                    head,
                    finest,
                    default_boxes: sizes.clone(),
                    ..DetectorSettings::default()
                };
                let checked = settings.validate_network();
                checked.map_err(|fault| Error::Setting {
                    key: BOXES_KEY,
                    fault: fault.to_string(),
                })
            }
            _ => Ok(()),
        }
    }
}

impl From<String> for Boxes {
    fn from(text: String) -> Self {
        match text.as_str() {
            "paper" => Self::Paper,
            "fit" => Self::Fit,
            _ => Self::File(text.into()),
        }
    }
}

impl Serialize for Boxes {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Paper => serializer.serialize_str("paper"),
            Self::Fit => serializer.serialize_str("fit"),
            Self::File(path) => path.serialize(serializer),
            Self::Sizes(sizes) => sizes.maps.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Boxes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrSizes)
    }
}

struct WordOrSizes;

impl<'de> Visitor<'de> for WordOrSizes {
    type Value = Boxes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "\"fit\", \"paper\", a file in quotes or a list of boxes for each feature map, as \
             [[[0.1, 0.2], [0.3, 0.3]], [[0.5, 0.4]]]",
        )
    }

    fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<Boxes, E> {
        Ok(Boxes::from(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> std::result::Result<Boxes, A::Error> {
        let maps = Vec::<Vec<Pair>>::deserialize(SeqAccessDeserializer::new(sequence))?;
        let sizes = |map: Vec<Pair>| map.into_iter().map(|Pair(size)| size).collect();
        Ok(Boxes::Sizes(DefaultBoxSizes {
            maps: maps.into_iter().map(sizes).collect(),
        }))
    }
}

/// A size from exactly two numbers: of an array, toml leaves out what is too much.
#[derive(Deserialize)]
#[serde(try_from = "Vec<f32>")]
struct Pair(BoxSize);

impl TryFrom<Vec<f32>> for Pair {
    type Error = String;

    fn try_from(numbers: Vec<f32>) -> std::result::Result<Self, String> {
        let pair = <[f32; 2]>::try_from(&*numbers);
        let size = pair.map(|pair| Self(pair.into()));
        size.map_err(|_| {
            format!(
                "expected width and height of a box, found {}",
                counted(numbers.len(), "number")
            )
        })
    }
}
