//! What classifiers and detectors have in common: loading, and what can be asked
//! of any network.

use std::fmt::Debug;
use std::path::Path;

use ssdlite_core::{ClassNames, ModelInfo};
use ssdlite_image::AsRgb;
use ssdlite_kernels::Isa;
use ssdlite_model::{ModelFile, Result};

use crate::build::Network;
use crate::engine::Engine;
use crate::options::RunOptions;
use crate::plan::LayerInfo;

/// A network, ready to run for a task: a [`Detector`](crate::Detector) or a
/// [`Classifier`](crate::Classifier).
#[derive(Debug)]
pub struct Model<T> {
    pub(crate) engine: Engine,
    pub(crate) info: ModelInfo,
    pub(crate) task: T,
}

/// What a network is run for.
pub trait ModelTask: Debug + Sized {
    /// How it is run.
    type Options: Debug + Default;

    /// The task of a model that is described so, and what to run it on.
    ///
    /// # Errors
    /// As [`Model::new`], but for the weights and the threads.
    fn new(info: &ModelInfo, options: &Self::Options) -> Result<(Self, RunOptions)>;
}

impl<T: ModelTask> Model<T> {
    /// Reads a model file.
    ///
    /// # Errors
    /// As [`ModelFile::read`] and [`Self::new`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path, &T::Options::default())
    }

    /// Reads a model file, to be run in another way than the default.
    ///
    /// # Errors
    /// As [`ModelFile::read`] and [`Self::new`].
    pub fn load_with(path: impl AsRef<Path>, options: &T::Options) -> Result<Self> {
        let path = path.as_ref();
        let file = ModelFile::read(path)?;
        Self::new(&file, options).map_err(|error| error.in_file(path))
    }

    /// Reads the bytes of a model file.
    ///
    /// # Errors
    /// As [`ModelFile::from_bytes`] and [`Self::new`].
    pub fn from_bytes(bytes: &[u8], options: &T::Options) -> Result<Self> {
        Self::new(&ModelFile::from_bytes(bytes)?, options)
    }

    /// A network from a model that was read.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) for the file of another
    /// task; [`Error::Malformed`](crate::Error::Malformed) for options that are
    /// no sound numbers or weights that overflow when batch norms are folded
    /// into them; [`Error::OverLimit`](crate::Error::OverLimit) for options
    /// beyond their limits, threads that the system doesn't start, or, if it is warmed
    /// up, memory that the system refuses.
    pub fn new(file: &ModelFile, options: &T::Options) -> Result<Self> {
        let info = file.info().clone();
        let (task, run) = T::new(&info, options)?;
        let network = Network {
            graph: &info.graph(),
            weights: file.state(),
            preprocessing: &info.preprocessing,
        };
        let engine = Engine::new(network, run)?;
        if run.warm_up {
            engine.warm_up()?;
        }
        Ok(Self { engine, info, task })
    }

    /// What the model file says about the model.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The names of the classes.
    pub fn classes(&self) -> &ClassNames {
        &self.info.classes
    }

    /// The layers as they are run, in running order.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = &LayerInfo> {
        self.engine.layers()
    }

    /// Runs the network alone on an image of the input size. `after` is told
    /// the index of each layer when it is done: for timing.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) for an image of another
    /// size.
    pub fn run_network(&self, image: &impl AsRgb, mut after: impl FnMut(usize)) -> Result<()> {
        self.engine.run_network(image.as_rgb(), &mut after)
    }

    /// Threads that share the work of an image.
    pub fn threads(&self) -> usize {
        self.engine.threads()
    }

    /// The instruction set that is used.
    pub fn isa(&self) -> Isa {
        self.engine.isa()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use ssdlite_core::{ImageSize, MobileNetV3, Variant};
    use ssdlite_image::RgbImage;

    use super::*;
    use crate::bench::arbitrary_model;
    use crate::{Detector, DetectorOptions};

    #[test]
    fn a_warm_model_has_its_working_memory_and_finds_the_same() {
        let classes = ClassNames::new(["cat", "dog"]).unwrap();
        let info = ModelInfo::detector(MobileNetV3::new(Variant::Small), classes, 64);
        let file = arbitrary_model(&info).unwrap();
        let [cold, warm] = [false, true].map(|warm_up| {
            let options = DetectorOptions {
                run: RunOptions {
                    warm_up,
                    ..RunOptions::threads(NonZeroUsize::MIN)
                },
                ..DetectorOptions::default()
            };
            Detector::new(&file, &options).unwrap()
        });
        assert_eq!(cold.engine.idle_sessions(), 0);
        assert_eq!(warm.engine.idle_sessions(), 1);
        let image = RgbImage::filled(ImageSize::new(50, 40), [200, 3, 99]);
        assert_eq!(warm.outputs(&image).unwrap(), cold.outputs(&image).unwrap());
        assert_eq!(warm.engine.idle_sessions(), 1);
    }
}
