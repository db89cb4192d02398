//! What a run's default boxes cover of what it learns, and what others would.

use ssdlite_core::FinestMap;
use ssdlite_core::default_boxes::DefaultBoxes;
use ssdlite_core::matcher::MATCH_IOU;
use ssdlite_core::tiles::Tiling;
use ssdlite_data::DetectionSet;
use ssdlite_data::coverage::{ClassCoverage, Coverage};
use ssdlite_files::counted;

use super::boxes;
use super::detector::{difficult_from_config, framing};
use super::observer::Observer;
use super::tiles::Framing;
use crate::config::{Boxes, Choice, DetectorConfig};
use crate::error::Result;

/// A greater share of a class's objects by so much is worth other options.
const CLEARLY_MORE: f32 = 0.1;

/// The most classes whose shares are all told.
const FEW_CLASSES: usize = 8;

/// The most classes that are named of many.
const NAMED_CLASSES: usize = 3;

/// What the default boxes of other options would cover.
pub(super) struct Alternative {
    /// The options.
    pub(super) options: &'static str,
    /// What their boxes cover.
    pub(super) coverage: Coverage,
}

/// What the run's boxes cover of a set that the network is shown in this framing.
pub(super) fn coverage(
    config: &DetectorConfig,
    set: &DetectionSet,
    framing: Option<Framing>,
    default_boxes: &DefaultBoxes,
) -> Coverage {
    let tiling = framing.map_or(Tiling::OFF, |framing| framing.tiling());
    Coverage::new(set, difficult_from_config(config), default_boxes, &tiling)
}

/// What fitted boxes would cover, also on a map of stride 8 where the run has none.
///
/// # Errors
/// None that the configuration doesn't have itself.
pub(super) fn alternatives(
    config: &DetectorConfig,
    set: &DetectionSet,
) -> Result<Vec<Alternative>> {
    let mut others = vec![("--boxes fit", config.detector.finest())];
    if config.detector.finest() == FinestMap::Stride16 {
        others.push(("--boxes fit --finest 8", FinestMap::Stride8));
    }
    let alternative = |(options, finest)| {
        let mut other = config.clone();
        other.detector.boxes = Boxes::Fit;
        other.detector.finest = Choice::Is(finest);
        let default_boxes = boxes::default_boxes(&other, set)?;
        Ok(Alternative {
            options,
            coverage: coverage(&other, set, framing(&other, set), &default_boxes),
        })
    };
    others.into_iter().map(alternative).collect()
}

/// Tells how much is covered, and of which classes other options would cover clearly
/// more.
pub(super) fn tell_coverage(
    found: &Coverage,
    alternatives: &[Alternative],
    observer: &mut dyn Observer,
) {
    observer.note(&text(found));
    let mut better: Vec<(f32, String)> = (0..found.classes.len())
        .filter_map(|class| {
            let (gain, advice) = advice(class, found, alternatives)?;
            let ClassCoverage { class, .. } = &found.classes[class];
            Some((gain, format!("the class {class}: {advice}")))
        })
        .collect();
    better.sort_by(|one, other| other.0.total_cmp(&one.0));
    for (_, advice) in better.iter().take(NAMED_CLASSES) {
        observer.warning(advice);
    }
    if better.len() > NAMED_CLASSES {
        let more = counted(better.len() - NAMED_CLASSES, "more class");
        observer.warning(&format!(
            "so it is with {more}: `ssdlite data stats` shows all"
        ));
    }
}

/// By how much the best other options cover more of a class, and what to say of it, if
/// some cover clearly more.
pub(super) fn advice(
    class: usize,
    found: &Coverage,
    alternatives: &[Alternative],
) -> Option<(f32, String)> {
    let now = found.classes[class].share()?;
    let (mut best, mut offers) = (now, Vec::new());
    for Alternative { options, coverage } in alternatives {
        let share = coverage.classes[class].share()?;
        if share >= best + CLEARLY_MORE {
            best = share;
            offers.push(format!("{options} has some for {}", percent(share)));
        }
    }
    let advice = || {
        format!(
            "default boxes like them are there for {} of its objects; {}",
            percent(now),
            offers.join(", ")
        )
    };
    (!offers.is_empty()).then(|| (best - now, advice()))
}

fn text(found: &Coverage) -> String {
    let mut shares: Vec<(f32, &str)> = (found.classes.iter())
        .filter_map(|class| Some((class.share()?, &*class.class)))
        .collect();
    let listed = |shares: &[(f32, &str)]| {
        let texts = shares
            .iter()
            .map(|(share, class)| format!("{class} {}", percent(*share)));
        texts.collect::<Vec<_>>().join(", ")
    };
    let covered = if shares.len() > FEW_CLASSES {
        shares.sort_by(|one, other| one.0.total_cmp(&other.0));
        let all = percent(found.share().unwrap_or_default());
        let least = listed(&shares[..NAMED_CLASSES]);
        format!("{all} of all, the least of {least}")
    } else {
        listed(&shares)
    };
    format!("objects that a default box overlaps with an IoU of {MATCH_IOU} or more: {covered}")
}

fn percent(share: f32) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard {
        notes: Vec<String>,
        warnings: Vec<String>,
    }

    impl Observer for Heard {
        fn note(&mut self, message: &str) {
            self.notes.push(message.to_owned());
        }

        fn warning(&mut self, message: &str) {
            self.warnings.push(message.to_owned());
        }
    }

    fn covered(shares: &[usize]) -> Coverage {
        let class = |(index, &covered)| ClassCoverage {
            class: format!("c{index}"),
            objects: 100,
            covered,
        };
        Coverage {
            classes: shares.iter().enumerate().map(class).collect(),
        }
    }

    fn told(found: &[usize], fit: &[usize], finer: &[usize]) -> Heard {
        let mut heard = Heard::default();
        let alternative = |options, shares| Alternative {
            options,
            coverage: covered(shares),
        };
        let alternatives = [alternative("--fit", fit), alternative("--finer", finer)];
        tell_coverage(&covered(found), &alternatives, &mut heard);
        heard
    }

    #[test]
    fn only_what_is_clearly_better_is_offered() {
        let heard = told(&[2, 95, 40], &[50, 99, 41], &[97, 100, 60]);
        assert!(
            heard.notes[0].ends_with("c0 2.0 %, c1 95.0 %, c2 40.0 %"),
            "{:?}",
            heard.notes
        );
        let [first, second] = &heard.warnings[..] else {
            panic!("{:?}", heard.warnings);
        };
        assert!(first.contains("c0") && first.contains("--fit has some for 50.0 %, --finer"));
        assert!(
            second.contains("c2") && !second.contains("--fit"),
            "{second}"
        );
        assert_eq!(told(&[90], &[99], &[99]).warnings, [""; 0]);
        // What the first covers as well as the second is offered once.
        assert!(!told(&[10], &[99], &[99]).warnings[0].contains("--finer"));
    }

    #[test]
    fn of_many_classes_the_worst_are_named() {
        let heard = told(&[10; 12], &[90; 12], &[90; 12]);
        assert_eq!((heard.notes.len(), heard.warnings.len()), (1, 4));
        assert!(
            heard.notes[0].contains("10.0 % of all, the least of c0"),
            "{:?}",
            heard.notes
        );
        assert!(
            heard.warnings[3].contains("9 more classes"),
            "{:?}",
            heard.warnings
        );
    }

    #[test]
    fn a_class_without_objects_is_not_told() {
        let mut found = covered(&[0, 80]);
        found.classes[0].objects = 0;
        let mut heard = Heard::default();
        tell_coverage(&found, &[], &mut heard);
        assert!(
            heard.notes[0].ends_with("more: c1 80.0 %"),
            "{:?}",
            heard.notes
        );
    }
}
