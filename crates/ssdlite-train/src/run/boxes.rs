//! A run's default boxes: the paper's, fitted ones, or a file's.

use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use ssdlite_core::{
    DefaultBoxSizes, DefaultBoxes, DetectorSettings, ImageSize, MapSize, ModelInfo, Task,
};
use ssdlite_data::DetectionSet;
use ssdlite_data::default_box_fit::DefaultBoxFit;
use ssdlite_files::open_plain;
use ssdlite_model::ModelFile;

use super::detector::{augment_from_config, difficult_from_config, framing};
use super::run_folder::RunFolder;
use super::tiles::Framing;
use crate::config::{BOXES_KEY, Boxes, DetectorConfig, read_config};
use crate::error::{Error, Result};

/// What a file of sizes looks like.
const FORM: &str = "expected a list of boxes for each feature map, widths and heights in parts of \
                    the image, as `boxes = [[[0.1, 0.2], [0.3, 0.3]], [[0.5, 0.4]]]`, a run's \
                    config.toml, or a model of a detector";

/// The bytes of a file that tell a model from a text.
const FIRST_BYTES: u64 = 8;

/// What is asked of a file of sizes: the key itself, or that of a run's `config.toml`.
#[derive(Deserialize)]
struct BoxesFile {
    boxes: Option<Boxes>,
    detector: Option<Section>,
}

#[derive(Deserialize)]
struct Section {
    boxes: Option<Boxes>,
}

/// The default boxes that a run on this set is asked for. What a file or a fit gave
/// stands in the configuration then, so that the run can be repeated.
///
/// # Errors
/// [`Error::Setting`] for a file that holds none, or none for this network.
pub(super) fn settle(
    config: &mut DetectorConfig,
    set: &DetectionSet,
    framing: Option<Framing>,
) -> Result<DefaultBoxSizes> {
    let sizes = match &config.detector.boxes {
        Boxes::Paper => return Ok(paper(config)),
        Boxes::Sizes(sizes) => return Ok(sizes.clone()),
        Boxes::Auto | Boxes::Fit => fit(config, set, framing),
        Boxes::File(path) => read_boxes(path).map_err(|error| Error::Setting {
            key: BOXES_KEY,
            fault: error.to_string(),
        })?,
    };
    config.detector.boxes = Boxes::Sizes(sizes.clone());
    config.validate()?;
    Ok(sizes)
}

pub(super) fn paper(config: &DetectorConfig) -> DefaultBoxSizes {
    DefaultBoxSizes::paper(config.detector.head(), config.detector.finest())
}

/// The default boxes of a run on this set, at their places in the input.
///
/// # Errors
/// Those of a file of boxes that the configuration names.
pub fn default_boxes(config: &DetectorConfig, set: &DetectionSet) -> Result<DefaultBoxes> {
    let sizes = settle(&mut config.clone(), set, framing(config, set))?;
    Ok(DefaultBoxes::new(&sizes, &feature_maps(config, set)))
}

/// The feature maps of the configured network, the largest first.
fn feature_maps(config: &DetectorConfig, set: &DetectionSet) -> Vec<MapSize> {
    let network = config.model.mobilenet();
    let mut info = ModelInfo::detector(network, set.classes.clone(), config.model.size);
    info.task = Task::Detect(DetectorSettings {
        head: config.detector.head(),
        finest: config.detector.finest(),
        default_boxes: paper(config),
        ..DetectorSettings::default()
    });
    info.graph().feature_maps(info.input())
}

/// Boxes for the configured network, fitted to a set that it is shown in this framing.
fn fit(config: &DetectorConfig, set: &DetectionSet, framing: Option<Framing>) -> DefaultBoxSizes {
    let input = ImageSize::square(config.model.size);
    let fit = DefaultBoxFit {
        augment: augment_from_config(config, framing),
        difficult: difficult_from_config(config),
        seed: config.training.seed,
        ..DefaultBoxFit::new(
            input,
            &feature_maps(config, set),
            config.detector.head(),
            config.detector.finest(),
        )
    };
    fit.fit(set).sizes
}

/// The default boxes in a file: a text with the sizes, a `config.toml` of a run that wrote
/// them there, or a model; a run's folder stands for its best model.
///
/// # Errors
/// [`Error::Io`], also for a text of more than a mebibyte; [`Error::Malformed`] for what holds
/// no sizes, or sizes that no network can have; what reading a model finds.
fn read_boxes(path: &Path) -> Result<DefaultBoxSizes> {
    let path = &*RunFolder::model_of(path)?;
    let sizes = match is_text(path)? {
        true => sizes_from_text(&read_config(path)?),
        false => sizes_of_model(&ModelFile::read(path)?),
    };
    let checked = sizes.and_then(|sizes| match sizes.validate() {
        Ok(()) => Ok(sizes),
        Err(fault) => Err(fault.to_string()),
    });
    checked.map_err(|fault| Error::Malformed(format!("{}: {fault}", path.display())))
}

/// Whether a file holds text: a model begins with a length of eight bytes, of which the
/// last are 0.
fn is_text(path: &Path) -> Result<bool> {
    let mut first = Vec::new();
    let file = open_plain(path).map_err(|source| Error::io(path, source))?;
    let read = file.take(FIRST_BYTES).read_to_end(&mut first);
    read.map_err(|source| Error::io(path, source))?;
    Ok(!first.contains(&0))
}

fn sizes_from_text(text: &str) -> std::result::Result<DefaultBoxSizes, String> {
    // A list alone, as in JSON, is a value of TOML.
    let is_list = text
        .split_whitespace()
        .flat_map(str::chars)
        .take(3)
        .eq("[[[".chars());
    let document = match is_list {
        true => format!("boxes = {text}"),
        false => text.to_owned(),
    };
    let file: BoxesFile = toml::from_str(&document).map_err(|error| {
        let before = error.span().and_then(|span| document.get(..span.start));
        let line = 1 + before.unwrap_or_default().matches('\n').count();
        format!("line {line}: {}; {FORM}", error.message())
    })?;
    let boxes = file
        .boxes
        .or(file.detector.and_then(|section| section.boxes));
    match boxes {
        Some(Boxes::Sizes(sizes)) => Ok(sizes),
        Some(Boxes::Paper) => Err(format!(
            "found the word `paper`, which needs no file; {FORM}"
        )),
        Some(_) => Err(format!("found a word in the place of sizes; {FORM}")),
        None => Err(format!("found no key `boxes`; {FORM}")),
    }
}

fn sizes_of_model(model: &ModelFile) -> std::result::Result<DefaultBoxSizes, String> {
    match &model.info().task {
        Task::Detect(settings) => Ok(settings.default_boxes.clone()),
        Task::Classify => Err(format!("found a classifier, which has no boxes; {FORM}")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ssdlite_core::{ClassNames, MobileNetV3, Variant};
    use ssdlite_testing::model_from_formula;

    use super::*;

    const LIST: &str = "[[[0.1, 0.2], [0.5, 1]],\n [[0.3, 0.25]]]";

    fn read(bytes: impl AsRef<[u8]>) -> Result<DefaultBoxSizes> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("boxes");
        fs::write(&path, bytes).unwrap();
        read_boxes(&path)
    }

    #[test]
    fn sizes_are_read_in_every_form() {
        let expected = DefaultBoxSizes {
            maps: vec![
                vec![[0.1, 0.2].into(), [0.5, 1.0].into()],
                vec![[0.3, 0.25].into()],
            ],
        };
        for text in [
            LIST.to_owned(),
            format!(" {LIST}\n"),
            format!("boxes = {LIST}"),
            format!("[data]\npath = \"a\"\n[detector]\nboxes = {LIST}\n[training]\n"),
        ] {
            assert_eq!(read(&text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_holds_no_sizes_is_told() {
        let deep = "[".repeat(100_000);
        let many = format!("boxes = [{}[[0.1, 0.1]]]", "[[0.1, 0.1]],".repeat(100));
        let crowded = format!("[[{}[0.1, 0.1]], [[0.1, 0.1]]]", "[0.1, 0.1],".repeat(100));
        for (text, told) in [
            ("", "no key `boxes`"),
            ("size = 3", "no key `boxes`"),
            ("boxes = \"paper\"", "word"),
            ("boxes = \"fit\"", "word"),
            ("boxes = 3", "line 1"),
            ("\nboxes = [[[0.1, 0.2, 0.3]]]", "line 2"),
            ("[[[0.1, nan]], [[0.1, 0.2]]]", "NaN"),
            ("[[[0.1, 0.0]], [[0.1, 0.2]]]", "0.1 x 0"),
            ("[[[0.1, 1.5]], [[0.1, 0.2]]]", "0.1 x 1.5"),
            ("[[[0.1, 1e400]], [[0.1, 0.2]]]", "overflow"),
            ("[[[0.1, 0.2]], []]", "map 1"),
            ("[[[0.1, 0.2]]", "line 1"),
            ("{\"boxes\": []}", "line 1"),
            (&deep, "line 1"),
            (&many, "maps, found 101"),
            (&crowded, "64"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(
                error.contains(told) && error.contains("boxes"),
                "{text:.60}: {error}"
            );
        }
        assert!(read(b"boxes = \xff").is_err());
        assert!(read(vec![b' '; 2 << 20]).is_err());
        assert!(read([0; 100]).is_err());
        assert!(read_boxes(Path::new("/absent/file")).is_err());
        let empty = tempfile::tempdir().unwrap();
        assert!(read_boxes(empty.path()).is_err());
    }

    #[test]
    fn a_models_boxes_are_read_and_a_classifiers_missed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let classes = ClassNames::new(["cat", "dog"]).unwrap();
        let network = MobileNetV3 {
            width_multiplier: 0.1,
            ..MobileNetV3::new(Variant::Small)
        };
        let mut info = ModelInfo::detector(network, classes.clone(), 64);
        let mut sizes = DefaultBoxSizes::default();
        sizes.maps[0][0].width = 0.125;
        if let Task::Detect(settings) = &mut info.task {
            settings.default_boxes = sizes.clone();
        }
        let write = |info: &ModelInfo| model_from_formula(info).write(&path).unwrap();
        write(&info);
        assert_eq!(read_boxes(&path).unwrap(), sizes);
        write(&ModelInfo::classifier(network, classes, 64));
        let error = read_boxes(&path).unwrap_err().to_string();
        assert!(error.contains("classifier"), "{error}");
    }
}
