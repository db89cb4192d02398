//! Which photos are most worth labelling.
//!
//! Those of which a detector doubts what it finds, or about which two detectors differ,
//! and which look like none that are labelled or chosen already. A photo in which no
//! detector finds anything is worth little, though an object may be missed there.
//!
//! Source, for doubt by the scores of single boxes, added up: C.-A. Brust, C. Käding,
//! J. Denzler, "Active Learning for Deep Object Detection", VISAPP 2019. The measure of
//! doubt is another one here, which counts labels.

mod choice;
mod doubt;

use std::path::Path;

use ssdlite_core::{Detection, PostProcessing};
use ssdlite_data::duplicates::{Comparable, Fingerprint, LookGroups};
use ssdlite_data::finding::Finding;
use ssdlite_data::photos::Photo;
use ssdlite_image::RgbImage;
use ssdlite_image::decode::WHOLE;
use ssdlite_infer::Detector;

pub use self::choice::Pick;
use self::choice::{Judged, Scene, choose};
use self::doubt::{Found, LEAST_SCORE, disagreement, doubtful_labels};
use crate::error::Result;
use crate::{EvaluationOptions, Fault, Images, Watch};

/// The most boxes that are judged in a photo.
const MOST_BOXES: usize = 100;

/// Photos to choose from, and by what.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
    /// Those without labels.
    pub photos: &'a [Photo],
    /// Those that are labelled already.
    pub labelled: &'a [Photo],
    /// The detector whose next training the labels are for.
    pub detector: &'a Detector,
    /// Another one, to see where they differ; its classes may be others.
    pub second: Option<&'a Detector>,
    /// How many photos to choose.
    pub count: usize,
}

/// Photos that were chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Picked {
    /// Those most worth labelling, the worthiest first; fewer than were asked for if
    /// there are fewer that can be used.
    pub picks: Vec<Pick>,
    /// What may be wrong with the choice.
    pub findings: Vec<Finding>,
}

impl Choice<'_> {
    /// Looks at all photos and chooses, or none if it was stopped.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) if no photo can be used, or of some
    /// that are labelled none; [`Error::Inference`](crate::Error::Inference) for a network
    /// whose outputs are not finite.
    pub fn pick(
        &self,
        options: EvaluationOptions,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Picked>> {
        let judged = looked_at(self.photos, options, watch, |image| self.judge(image))?;
        let Some(judged) = judged else {
            return Ok(None);
        };
        let labelled = looked_at(self.labelled, options, watch, |_| Ok(()))?;
        let Some(labelled) = labelled else {
            return Ok(None);
        };
        let new = (judged.iter()).map(|(photo, look, _)| compared(&self.photos[*photo], *look));
        let old =
            (labelled.iter()).map(|(photo, look, ())| compared(&self.labelled[*photo], *look));
        let looks = LookGroups::new(&new.chain(old).collect::<Vec<_>>());
        let mut scenes = vec![Scene::default(); looks.count()];
        let (of_new, of_old) = looks.groups().split_at(judged.len());
        for (&scene, &(photo, _, judged)) in of_new.iter().zip(&judged) {
            scenes[scene].photos.push((photo, judged));
        }
        for &scene in of_old {
            scenes[scene].labelled += 1;
        }
        Ok(Some(Picked {
            picks: choose(scenes, self.count),
            findings: looks.unfinished().into_iter().collect(),
        }))
    }

    fn judge(&self, image: &RgbImage) -> ssdlite_infer::Result<Judged> {
        let detections = detections(self.detector, image)?;
        let found = Found {
            detections: &detections,
            classes: self.detector.classes(),
        };
        let disagreement = match self.second {
            None => None,
            Some(second) => {
                let others = self::detections(second, image)?;
                let others = Found {
                    detections: &others,
                    classes: second.classes(),
                };
                Some(disagreement(found, others))
            }
        };
        Ok(Judged {
            doubt: doubtful_labels(&detections),
            disagreement,
        })
    }
}

fn compared(photo: &Photo, fingerprint: Fingerprint) -> Comparable<'_> {
    Comparable {
        name: &photo.name,
        fingerprint: Some(fingerprint),
    }
}

fn detections(detector: &Detector, image: &RgbImage) -> ssdlite_infer::Result<Vec<Detection>> {
    let settings = PostProcessing {
        score_threshold: LEAST_SCORE,
        max_detections: MOST_BOXES,
        ..*detector.post_processing()
    };
    detector.detect_with(image, &settings)
}

/// The place, the look and what `judge` says of each photo that can be used; none if it
/// was stopped.
fn looked_at<T: Send>(
    photos: &[Photo],
    options: EvaluationOptions,
    watch: &mut Watch<'_>,
    judge: impl Fn(&RgbImage) -> ssdlite_infer::Result<T> + Sync,
) -> Result<Option<Vec<(usize, Fingerprint, T)>>> {
    let paths: Vec<&Path> = photos.iter().map(|photo| &*photo.path).collect();
    let images = Images::new(photos.len(), options);
    // Looks are compared with those of whole images.
    let found = images.each(&paths, WHOLE, watch, |_, decoded| {
        let image = decoded.image();
        let judged = judge(image).map_err(Fault::from)?;
        Ok((Fingerprint::of(image), judged))
    })?;
    let flat = |(photo, (look, judged))| (photo, look, judged);
    Ok(found.map(|found| found.into_iter().map(flat).collect()))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::path::PathBuf;
    use std::sync::atomic::AtomicBool;

    use ssdlite_core::random::Rng;
    use ssdlite_core::{ClassNames, ImageSize, MobileNetV3, ModelInfo, Variant};
    use ssdlite_image::encode::save;
    use ssdlite_infer::DetectorOptions;
    use ssdlite_testing::model_from_formula;

    use super::*;

    fn detector(classes: [&str; 2]) -> Detector {
        let network = MobileNetV3 {
            width_multiplier: 0.1,
            ..MobileNetV3::new(Variant::Small)
        };
        let info = ModelInfo::detector(network, ClassNames::new(classes).unwrap(), 64);
        Detector::new(&model_from_formula(&info), &DetectorOptions::default()).unwrap()
    }

    /// Writes a photo, another one for each seed.
    fn photo(folder: &Path, name: &str, seed: u64) -> Photo {
        let mut rng = Rng::from_keys(&[seed]);
        let mut image = RgbImage::filled(ImageSize::new(71, 53), [0; 3]);
        image.pixels_mut().fill_with(|| rng.below(256) as u8);
        let path = folder.join(format!("{name}.png"));
        save(&path, &image).unwrap();
        Photo {
            name: name.to_owned(),
            path,
        }
    }

    fn pick(choice: &Choice<'_>, stop: bool) -> (Result<Option<Picked>>, Vec<PathBuf>) {
        let mut skipped = Vec::new();
        let options = EvaluationOptions {
            threads: NonZeroUsize::MIN,
            cache_bytes: 0,
        };
        let picked = choice.pick(
            options,
            &mut Watch {
                stop: &AtomicBool::new(stop),
                skipped: &mut |image| skipped.push(image.path.clone()),
            },
        );
        (picked, skipped)
    }

    #[test]
    fn what_is_labelled_or_chosen_already_comes_last() {
        let folder = tempfile::tempdir().unwrap();
        let photos = [("a", 1), ("b", 1), ("c", 2), ("d", 3)]
            .map(|(name, seed)| photo(folder.path(), name, seed));
        let labelled = ["x", "y", "z"].map(|name| photo(folder.path(), name, 2));
        let (first, second) = (detector(["cat", "dog"]), detector(["dog", "fox"]));
        let mut choice = Choice {
            photos: &photos,
            labelled: &labelled,
            detector: &first,
            second: None,
            count: 10,
        };
        let (found, skipped) = pick(&choice, false);
        let picked = found.unwrap().unwrap();
        assert!(skipped.is_empty() && picked.findings.is_empty());
        let alike = |photo: usize| {
            let pick = picked
                .picks
                .iter()
                .find(|pick| pick.photo == photo)
                .unwrap();
            (pick.alike_labelled, pick.alike_picked)
        };
        assert_eq!(picked.picks.len(), 4);
        assert_eq!([0, 1, 2, 3].map(alike), [(0, 0), (0, 1), (3, 0), (0, 0)]);
        assert!(picked.picks.iter().all(|pick| pick.disagreement.is_none()));
        choice.second = Some(&second);
        choice.count = 2;
        let both = pick(&choice, false).0.unwrap().unwrap();
        assert_eq!(both.picks.len(), 2);
        assert!(both.picks.iter().all(|pick| pick.disagreement.is_some()));
        assert_eq!(pick(&choice, true).0.unwrap(), None);
    }

    #[test]
    fn photos_that_cannot_be_read_are_told_and_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let good = photo(folder.path(), "good", 1);
        let broken = photo(folder.path(), "broken", 2);
        std::fs::write(&broken.path, "x").unwrap();
        let detector = detector(["cat", "dog"]);
        let photos = [broken.clone(), good];
        let mut choice = Choice {
            photos: &photos,
            labelled: &[],
            detector: &detector,
            second: Some(&detector),
            count: 5,
        };
        let (found, skipped) = pick(&choice, false);
        let picks = found.unwrap().unwrap().picks;
        assert_eq!((picks.len(), picks[0].photo), (1, 1));
        assert_eq!(picks[0].disagreement, Some(0.0));
        assert_eq!(skipped, std::slice::from_ref(&broken.path));
        choice.photos = &photos[..1];
        assert!(pick(&choice, false).0.is_err());
    }
}
