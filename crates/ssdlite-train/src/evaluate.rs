//! Scores of a network on pictures that it has not learnt from.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{Device, Tensor, TensorData};
use ssdlite_core::detector::BOX_NUMBERS;
use ssdlite_core::post_processing::{RawOutputs, detections_from_outputs};
use ssdlite_core::{
    ClassId, DefaultBoxes, DetectorSettings, ImageSize, ModelInfo, PostProcessing, Task,
};
use ssdlite_data::loader::{
    ClassificationBatch, ClassificationRecipe, DetectionBatch, DetectionRecipe, DifficultObjects,
    Loader, LoaderOptions, Pass, TargetEncoder,
};
use ssdlite_data::{ClassificationSet, DetectionSet};
use ssdlite_eval::{Classification, ClassificationReport, Evaluation, IouThreshold, VocMetric};
use ssdlite_nn::{Classifier, Detector};

use crate::error::{Error, Result};

/// What an evaluation found.
#[derive(Clone, Debug, PartialEq)]
pub struct Validation {
    /// Scores by their names in `results.csv`, the one that picks the best
    /// network first. A score that is undefined, such as a mean over no
    /// class, is left out.
    pub scores: Vec<(String, f64)>,
    /// Tables to read.
    pub text: String,
    /// The number of pictures.
    pub images: u64,
}

impl Validation {
    /// What picks the best network.
    pub fn score(&self) -> Option<f64> {
        self.scores.first().map(|&(_, score)| score)
    }

    /// A detector's: VOC07 mAP, then VOC area mAP.
    pub fn from_detections(evaluation: &Evaluation) -> Self {
        let voc07 = evaluation.voc(VocMetric::ElevenPoint, IouThreshold::HALF);
        let area = evaluation.voc(VocMetric::Area, IouThreshold::HALF);
        let scores = [("map_voc07", voc07.map), ("map_voc", area.map)];
        Self {
            scores: defined(&scores),
            text: voc07.to_string(),
            images: voc07.images as u64,
        }
    }

    /// A classifier's: top-1, then top-5.
    pub fn from_classification(report: &ClassificationReport) -> Self {
        Self {
            scores: defined(&[("top1", report.top1), ("top5", report.top5)]),
            text: report.to_string(),
            images: report.images,
        }
    }
}

fn defined(scores: &[(&str, Option<f64>)]) -> Vec<(String, f64)> {
    let known = scores
        .iter()
        .filter_map(|&(name, score)| Some((name, score?)));
    known
        .map(|(name, score)| (name.to_owned(), score))
        .collect()
}

/// How pictures are read for an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluationLoading {
    /// Pictures that go through the network together.
    pub batch: NonZeroUsize,
    /// Threads that decode pictures.
    pub workers: usize,
    /// Bytes of decoded pictures that are kept for the next evaluation.
    pub cache_bytes: u64,
}

impl EvaluationLoading {
    fn options(self) -> LoaderOptions {
        LoaderOptions {
            batch_size: self.batch.get(),
            pass: Pass::Evaluation,
            workers: self.workers,
            cache_bytes: self.cache_bytes,
        }
    }
}

/// What goes on around an evaluation.
pub struct Watch<'a> {
    /// Once it is set, the evaluation ends without a result.
    pub stop: &'a AtomicBool,
    /// Hears of pictures that can't be used; they don't count.
    pub warn: &'a mut dyn FnMut(&str),
}

/// Evaluates detectors of one description on one set of pictures.
pub struct DetectorEvaluator {
    set: Arc<DetectionSet>,
    loader: Loader<DetectionBatch>,
    heads: OutputReader,
}

impl DetectorEvaluator {
    /// An evaluator for the detector that `info` describes. `settings` are its
    /// post-processing, whatever `info` says.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if `info` is not a detector's or the set has
    /// other classes, and what the loader finds.
    pub fn new(
        info: &ModelInfo,
        settings: PostProcessing,
        set: Arc<DetectionSet>,
        loading: EvaluationLoading,
    ) -> Result<Self> {
        if set.classes != info.classes {
            return Err(Error::InvalidRequest(format!(
                "expected pictures of the classes {}, found {}",
                info.classes, set.classes
            )));
        }
        let heads = OutputReader::new(info, settings)?;
        let recipe = DetectionRecipe {
            set: Arc::clone(&set),
            preprocessing: info.preprocessing,
            augment: None,
            targets: TargetEncoder {
                default_boxes: heads.default_boxes.clone(),
                coder: heads.settings.box_coder,
                difficult: DifficultObjects::LeaveOut,
            },
        };
        Ok(Self {
            loader: Loader::for_detection(recipe, loading.options())?,
            set,
            heads,
        })
    }

    /// Detections and objects of all pictures, or none if it was stopped.
    /// `network` is in evaluation mode and on `device`.
    ///
    /// # Errors
    /// What the loader finds; [`Error::Core`] for outputs that are not finite.
    pub fn evaluate(
        &self,
        network: &Detector,
        device: &Device,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Evaluation>> {
        let mut evaluation = Evaluation::new(self.set.classes.clone());
        let mut batches = self.loader.epoch(0, 0)?;
        while let Some(batch) = batches.next().transpose()? {
            if watch.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let images = images_tensor(batch.pixels, batch.samples.len(), batch.input, device);
            let found = self.heads.detect(network, images, &batch.original_sizes)?;
            for (sample, detections) in batch.samples.iter().zip(&found) {
                evaluation.add_image(&self.set.images[*sample].objects, detections)?;
            }
            for skipped in batches.take_skipped() {
                (watch.warn)(&skipped.to_string());
            }
        }
        Ok(Some(evaluation))
    }
}

/// Makes detections of a network's outputs.
pub(crate) struct OutputReader {
    default_boxes: DefaultBoxes,
    settings: DetectorSettings,
}

impl OutputReader {
    pub(crate) fn new(info: &ModelInfo, post_processing: PostProcessing) -> Result<Self> {
        let (Task::Detect(settings), Some(default_boxes)) = (&info.task, info.default_boxes())
        else {
            return Err(Error::InvalidRequest(format!(
                "expected a model that detects, found one to {}",
                info.task.name()
            )));
        };
        Ok(Self {
            default_boxes,
            settings: DetectorSettings {
                post_processing,
                ..*settings
            },
        })
    }

    /// The detections in each of these images, in pixels of `sizes`.
    pub(crate) fn detect(
        &self,
        network: &Detector,
        images: Tensor<4>,
        sizes: &[ImageSize],
    ) -> Result<Vec<Vec<ssdlite_core::Detection>>> {
        let output = network.forward(images);
        let logits = floats(output.logits);
        let regressions = floats(output.regressions);
        let per_image = logits.len() / sizes.len().max(1);
        let boxes = self.default_boxes.len() * BOX_NUMBERS;
        sizes
            .iter()
            .zip(logits.chunks(per_image.max(1)))
            .zip(regressions.chunks(boxes.max(1)))
            .map(|((&size, logits), regressions)| {
                let outputs = RawOutputs {
                    logits,
                    regressions,
                };
                let DetectorSettings {
                    box_coder,
                    post_processing,
                    ..
                } = &self.settings;
                let boxes = &self.default_boxes;
                Ok(detections_from_outputs(
                    outputs,
                    boxes,
                    box_coder,
                    post_processing,
                    size,
                )?)
            })
            .collect()
    }
}

/// Evaluates classifiers of one description on one set of pictures.
pub struct ClassifierEvaluator {
    set: Arc<ClassificationSet>,
    loader: Loader<ClassificationBatch>,
}

impl ClassifierEvaluator {
    /// An evaluator for the classifier that `info` describes.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if the set has other classes, and what the
    /// loader finds.
    pub fn new(
        info: &ModelInfo,
        set: Arc<ClassificationSet>,
        loading: EvaluationLoading,
    ) -> Result<Self> {
        if set.classes != info.classes {
            return Err(Error::InvalidRequest(format!(
                "expected pictures of the classes {}, found {}",
                info.classes, set.classes
            )));
        }
        let recipe = ClassificationRecipe {
            set: Arc::clone(&set),
            preprocessing: info.preprocessing,
            augment: None,
        };
        Ok(Self {
            loader: Loader::for_classification(recipe, loading.options())?,
            set,
        })
    }

    /// The accuracy on all pictures, or none if it was stopped. `network` is
    /// in evaluation mode and on `device`.
    ///
    /// # Errors
    /// What the loader finds; [`Error::Evaluation`] for outputs that are not
    /// finite.
    pub fn evaluate(
        &self,
        network: &Classifier,
        device: &Device,
        watch: &mut Watch<'_>,
    ) -> Result<Option<ClassificationReport>> {
        let mut counts = Classification::new(self.set.classes.clone());
        let classes = self.set.classes.len();
        let mut batches = self.loader.epoch(0, 0)?;
        while let Some(batch) = batches.next().transpose()? {
            if watch.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let images = images_tensor(batch.pixels, batch.labels.len(), batch.input, device);
            let logits = floats(network.forward(images));
            for (&label, scores) in batch.labels.iter().zip(logits.chunks(classes)) {
                counts.add_image(ClassId::from_index(label as usize), scores)?;
            }
            for skipped in batches.take_skipped() {
                (watch.warn)(&skipped.to_string());
            }
        }
        Ok(Some(counts.report()))
    }
}

/// `[N, 3, height, width]` of pixels `[N, height, width, 3]`, which stay in
/// their order in memory.
pub(crate) fn images_tensor(
    pixels: Vec<f32>,
    count: usize,
    size: ImageSize,
    device: &Device,
) -> Tensor<4> {
    let shape = [count, size.height as usize, size.width as usize, 3];
    Tensor::<4>::from_data(TensorData::new(pixels, shape), device).permute([0, 3, 1, 2])
}

/// A tensor's numbers, the last dimension fastest.
pub(crate) fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let data = tensor.into_data().convert::<f32>();
    data.try_into_vec().expect("the numbers were just made f32")
}
