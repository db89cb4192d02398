//! The models of a server, each of which another may take the place of while it
//! runs.
//!
//! Whoever works with a model keeps it until that is done; WebSockets, which have
//! no end, are closed after what is under way, and their pages come again.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

use ssdlite_core::ImageSize;
use ssdlite_image::{AsRgb, RgbImage};
use tokio::sync::watch;

use crate::error::{Error, Result};
use crate::model::Model;
use crate::refusal::Refusal;

/// The image on which a model is tried: not square, and one that every model takes.
const TRIED_SIZE: ImageSize = ImageSize::new(160, 120);
const TRIED_COLOR: [u8; 3] = [128; 3];

/// The models that a server gives to its clients.
#[derive(Clone)]
pub struct ServedModels {
    models: Arc<RwLock<Vec<Arc<Model>>>>,
    /// Told of each model that is replaced.
    replaced: watch::Sender<()>,
}

impl ServedModels {
    pub(crate) fn new(models: Vec<Model>) -> Self {
        let models = models.into_iter().map(Arc::new).collect();
        Self {
            models: Arc::new(RwLock::new(models)),
            replaced: watch::Sender::new(()),
        }
    }

    /// Puts a model in the place of the one of its name, once it has been tried on
    /// an image. What is under way goes on with the old one.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] where no model has that name, or it fails on the
    /// image; then nothing changes.
    pub fn replace(&self, model: Model) -> Result<()> {
        let image = RgbImage::filled(TRIED_SIZE, TRIED_COLOR);
        let tried = catch_unwind(AssertUnwindSafe(|| model.detector.detect(image.as_rgb())));
        let tried = tried.unwrap_or_else(|_| Err("it panicked".into()));
        if let Err(reason) = tried {
            let name = &model.name;
            return Err(Error::InvalidRequest(format!(
                "the model `{name}` fails on an image of {TRIED_SIZE}: {reason}"
            )));
        }
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        let place = models.iter().position(|served| served.name == model.name);
        let Some(place) = place else {
            return Err(Error::InvalidRequest(format!(
                "expected the name of a model that is served, found `{}`",
                model.name
            )));
        };
        models[place] = Arc::new(model);
        drop(models);
        self.replaced.send_replace(());
        Ok(())
    }

    /// All of them, as they are now.
    pub(crate) fn all(&self) -> Vec<Arc<Model>> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        models.clone()
    }

    /// The model of this name, or the first.
    pub(crate) fn named(&self, name: Option<&str>) -> std::result::Result<Arc<Model>, Refusal> {
        let models = self.all();
        let found = match name {
            None => models.first(),
            Some(name) => models.iter().find(|model| model.name == name),
        };
        found.cloned().ok_or_else(|| {
            let names: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
            Refusal::Unknown(format!(
                "expected one of the models {}, found `{}`",
                names.join(", "),
                name.unwrap_or_default()
            ))
        })
    }

    /// Waits until another has taken a model's place.
    pub(crate) async fn gone(&self, model: &Arc<Model>) {
        let mut replaced = self.replaced.subscribe();
        while self.all().iter().any(|served| Arc::ptr_eq(served, model)) {
            if replaced.changed().await.is_err() {
                // No more can take its place.
                return pending().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ssdlite_core::{ClassNames, Detection, MobileNetV3, ModelInfo, PostProcessing, Variant};
    use ssdlite_image::RgbView;

    use super::*;
    use crate::model::Detect;

    struct Finds(ModelInfo, std::result::Result<(), String>);

    impl Detect for Finds {
        fn info(&self) -> &ModelInfo {
            &self.0
        }

        fn post_processing(&self) -> PostProcessing {
            PostProcessing::default()
        }

        fn detect_with(
            &self,
            _: RgbView<'_>,
            _: &PostProcessing,
        ) -> std::result::Result<Vec<Detection>, String> {
            assert!(self.1 != Err("panic".into()), "as the test wants it");
            self.1.clone().map(|()| Vec::new())
        }
    }

    fn model(name: &str, version: &str, result: std::result::Result<(), String>) -> Model {
        let classes = ClassNames::new(["a"]).unwrap();
        let info = ModelInfo::detector(MobileNetV3::new(Variant::Small), classes, 320);
        Model {
            name: name.into(),
            version: version.into(),
            score_threshold: 0.3,
            detector: Arc::new(Finds(info, result)),
        }
    }

    #[tokio::test]
    async fn a_model_takes_the_place_of_the_one_of_its_name() {
        let models = ServedModels::new(vec![model("a", "1", Ok(())), model("b", "1", Ok(()))]);
        let old = models.named(Some("b")).unwrap();
        let first = models.named(None).unwrap();
        models.replace(model("b", "2", Ok(()))).unwrap();
        models.gone(&old).await;
        assert_eq!(models.named(Some("b")).unwrap().version, "2");
        assert_eq!(old.version, "1");
        assert!(Arc::ptr_eq(&first, &models.named(None).unwrap()));
        let versions = models.all().into_iter().map(|model| model.version.clone());
        assert_eq!(versions.collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn a_bad_model_changes_nothing() {
        let models = ServedModels::new(vec![model("a", "1", Ok(()))]);
        let old = models.named(None).unwrap();
        for (bad, expected) in [
            (model("a", "2", Err("a NaN".into())), "a NaN"),
            (model("a", "2", Err("panic".into())), "panicked"),
            (model("c", "2", Ok(())), "found `c`"),
        ] {
            let error = models.replace(bad).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(Arc::ptr_eq(&old, &models.named(None).unwrap()));
        }
    }
}
