//! What a stopped run goes on from.
//!
//! A checkpoint is a safetensors file: the network's tensors, the optimizer's
//! moments and the moving average under `model.KEY`, `first_moment.KEY`,
//! `second_moment.KEY` and `average.KEY`, and in its metadata where the run
//! stands and what it learns from. Order, augmentation and dropout are functions
//! of the seed and of that place, so no random state is kept. A sum over all of
//! it tells a damaged file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use ssdlite_model::MAX_MODEL_BYTES;
use ssdlite_model::safetensors::{self, Contents, Numbers, RawNumbers, TensorView};

use super::checksum::Checksum;
use super::mark::{DataMark, Machine};
use super::progress::Progress;
use super::run_folder::write_file;
use crate::error::{Error, Result};
use crate::step::Parameters;

/// Key of the header in the file's metadata: a line with the checksum, then
/// TOML, whose reader gives back every float to the bit.
const METADATA_KEY: &str = "ssdlite-checkpoint";

/// The version of what is written here.
const VERSION: u32 = 2;

/// The largest checkpoint: four times the numbers of a model.
const MAX_BYTES: u64 = 4 * MAX_MODEL_BYTES;

/// Checkpoints that are kept: the last and one to fall back on.
const KEPT: usize = 2;

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    data: DataMark,
    /// Unknown in older files.
    machine: Option<Machine>,
    progress: Progress,
}

/// What is kept of a run besides its parameters.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) data: &'a DataMark,
    pub(crate) machine: &'a Machine,
    pub(crate) progress: &'a Progress,
}

/// A run's place as it was found again.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) progress: Progress,
    /// On what it got there; unknown in older files.
    pub(crate) machine: Option<Machine>,
    /// A message for each newer checkpoint that is not sound.
    pub(crate) faults: Vec<String>,
}

/// Writes a checkpoint and removes those that are too old, and those that the
/// run went back behind because they are damaged.
pub(crate) fn save(folder: &Path, parameters: &Parameters, place: Place<'_>) -> Result<()> {
    fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
    let steps = place.progress.steps_done;
    let path = folder.join(format!("step-{steps:010}.safetensors"));
    write_file(&path, &bytes_from(parameters, place, &path)?)?;
    let all = newest_first(folder)?;
    let (damaged, sound): (Vec<&PathBuf>, Vec<_>) = all.iter().partition(|other| **other > path);
    for old in damaged.into_iter().chain(sound.into_iter().skip(KEPT)) {
        fs::remove_file(old).map_err(|source| Error::io(old, source))?;
    }
    Ok(())
}

/// Puts back the newest sound checkpoint of a folder.
///
/// # Errors
/// [`Error::InvalidRequest`] if there is no checkpoint or the newest sound one
/// is of a run with other data, [`Error::Malformed`] if none is sound,
/// [`Error::Io`].
pub(crate) fn load_newest(
    folder: &Path,
    parameters: &mut Parameters,
    data: &DataMark,
) -> Result<Found> {
    let mut faults = Vec::new();
    let all = newest_first(folder)?;
    for path in &all {
        match load(path, parameters, data) {
            Ok(Header {
                progress, machine, ..
            }) => {
                return Ok(Found {
                    progress,
                    machine,
                    faults,
                });
            }
            Err(error @ Error::InvalidRequest(_)) => return Err(error),
            Err(error) => faults.push(error.to_string()),
        }
    }
    if all.is_empty() {
        return Err(Error::InvalidRequest(format!(
            "{}: expected a checkpoint to go on from, found none: the run ended before its first \
             step; begin a new one with its config.toml",
            folder.display()
        )));
    }
    Err(Error::Malformed(format!(
        "no checkpoint can be used: {}",
        faults.join("; ")
    )))
}

/// The steps done by the name of a checkpoint's file; none for another name.
pub(super) fn steps_from_name(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("step-")?.strip_suffix(".safetensors")?;
    let is_number = digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

fn newest_first(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(folder, error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| Error::io(folder, source))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if steps_from_name(&name).is_some() {
            paths.push(path);
        }
    }
    // The number has leading zeros, so names are in its order.
    paths.sort_unstable();
    paths.reverse();
    Ok(paths)
}

fn bytes_from(parameters: &Parameters, place: Place<'_>, path: &Path) -> Result<Vec<u8>> {
    let mut tensors = BTreeMap::new();
    for (kind, numbers) in parameters.numbers() {
        for (spec, range) in parameters.places() {
            let tensor = TensorView {
                shape: &spec.shape,
                numbers: Numbers::F32(&numbers[range]),
            };
            tensors.insert(format!("{kind}.{}", spec.key), tensor);
        }
    }
    let header = Header {
        version: VERSION,
        data: place.data.clone(),
        machine: Some(place.machine.clone()),
        progress: place.progress.clone(),
    };
    let header = toml::to_string(&header)
        .map_err(|error| Error::Malformed(format!("{}: {error}", path.display())))?;
    let mut checksum = Checksum::of_header(&header);
    for (name, tensor) in &tensors {
        if let Numbers::F32(numbers) = tensor.numbers {
            checksum.add_tensor(name, numbers.iter().map(|number| number.to_bits()));
        }
    }
    let text = format!("{}\n{header}", checksum.digits());
    let metadata = BTreeMap::from([(METADATA_KEY.to_owned(), text)]);
    let bytes = safetensors::to_bytes(metadata, &tensors);
    Ok(bytes.map_err(|error| error.in_file(path))?)
}

/// Puts back a checkpoint of a run with this data. After an error the
/// parameters may hold part of it.
fn load(path: &Path, parameters: &mut Parameters, data: &DataMark) -> Result<Header> {
    let fault =
        |reason: &dyn std::fmt::Display| Error::Malformed(format!("{}: {reason}", path.display()));
    let bytes = safetensors::read_file(path, MAX_BYTES)?;
    let contents = Contents::from_bytes(&bytes).map_err(|error| error.in_file(path))?;
    let (expected_checksum, text) = contents
        .metadata
        .get(METADATA_KEY)
        .and_then(|text| text.split_once('\n'))
        .ok_or_else(|| fault(&"expected a checkpoint, found another file"))?;
    let mut checksum = Checksum::of_header(text);
    for (name, tensor) in &contents.tensors {
        if let RawNumbers::F32(words) = tensor.numbers {
            checksum.add_tensor(name, words.iter().map(|&word| u32::from_le_bytes(word)));
        }
    }
    if checksum.digits() != expected_checksum {
        return Err(fault(&"what it holds doesn't match its checksum"));
    }
    let header: Header = toml::from_str(text).map_err(|error| fault(&error))?;
    if header.version != VERSION {
        let found = header.version;
        return Err(fault(&format!("expected version {VERSION}, found {found}")));
    }
    if let Some(difference) = header.data.difference(data) {
        return Err(Error::InvalidRequest(format!(
            "{}: expected the data that the run began with, found {difference}: put it back, or \
             begin a new run",
            path.display()
        )));
    }
    put_back(&contents, parameters).map_err(|reason| fault(&reason))?;
    Ok(header)
}

/// Fills the parameters; the error is a message for the user.
fn put_back(
    contents: &Contents<'_>,
    parameters: &mut Parameters,
) -> std::result::Result<(), String> {
    let layout: Vec<_> = parameters
        .places()
        .map(|(spec, range)| (spec.clone(), range))
        .collect();
    for (kind, numbers) in parameters.numbers_mut() {
        for (spec, range) in &layout {
            let name = format!("{kind}.{}", spec.key);
            let tensor = contents.tensors.get(&name);
            let tensor = tensor.ok_or_else(|| format!("expected a tensor {name}, found none"))?;
            let words = match tensor.numbers {
                RawNumbers::F32(words) if tensor.shape == spec.shape => words,
                _ => {
                    let (expected, found) = (&spec.shape, tensor.description());
                    return Err(format!(
                        "expected f32{expected:?} for {name}, found {found}"
                    ));
                }
            };
            for (number, word) in numbers[range.clone()].iter_mut().zip(words) {
                *number = f32::from_le_bytes(*word);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ssdlite_core::mobilenet::Variant;
    use ssdlite_core::{ClassNames, MobileNetV3, Part};

    use super::*;
    use crate::step::{Losses, TensorLayout, random_values};

    fn parameters(seed: u64) -> Parameters {
        let network = MobileNetV3 {
            width_multiplier: 0.1,
            ..MobileNetV3::new(Variant::Small)
        };
        let graph = network.detector(1, &[6; 6]);
        let layout = TensorLayout::new(&graph, &[Part::Head]);
        let values = random_values(&layout, seed);
        Parameters::new(layout, values).unwrap()
    }

    fn progress(steps_done: u64) -> Progress {
        Progress {
            steps_done,
            best: Some(1.0 / 3.0),
            sums: Losses {
                classification: 0.1 + 0.2,
                regression: Some(1e-17),
            },
            ..Progress::default()
        }
    }

    fn data(classes: &[&str], images: &[&str]) -> DataMark {
        let classes = ClassNames::new(classes).unwrap();
        DataMark::new(&classes, images.iter().copied(), 7)
    }

    fn usual_data() -> DataMark {
        data(&["a", "b"], &["1", "2", "3"])
    }

    fn machine() -> Machine {
        Machine {
            threads: 3,
            instructions: "portable".into(),
        }
    }

    fn save_step(folder: &Path, step: u64) {
        let place = Place {
            data: &usual_data(),
            machine: &machine(),
            progress: &progress(step),
        };
        save(folder, &parameters(step), place).unwrap();
    }

    fn load_into(folder: &Path, parameters: &mut Parameters) -> Result<(Progress, Vec<String>)> {
        let found = load_newest(folder, parameters, &usual_data())?;
        assert_eq!(found.machine, Some(machine()));
        Ok((found.progress, found.faults))
    }

    #[test]
    fn a_checkpoint_comes_back_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        save_step(folder.path(), 3);
        let mut other = parameters(2);
        let (back, faults) = load_into(folder.path(), &mut other).unwrap();
        assert_eq!((back, faults.len()), (progress(3), 0));
        assert_eq!(other.numbers(), parameters(3).numbers());
    }

    #[test]
    fn the_last_two_are_kept_and_a_damaged_one_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let none = load_into(folder.path(), &mut parameters(0)).unwrap_err();
        assert!(none.to_string().contains("found none"), "{none}");
        for step in [9, 10, 11] {
            save_step(folder.path(), step);
        }
        let paths = newest_first(folder.path()).unwrap();
        assert_eq!(paths.len(), KEPT);
        let sound = fs::read(&paths[0]).unwrap();
        let flipped = |position: usize| {
            let mut bytes = sound.clone();
            bytes[position] ^= 1;
            bytes
        };
        let best = sound.windows(4).position(|bytes| bytes == b"0.33").unwrap();
        for damaged in [
            &sound[..sound.len() / 2],
            &flipped(sound.len() / 2),
            &flipped(best + 3),
            b"",
            b"nothing of the kind",
        ] {
            fs::write(&paths[0], damaged).unwrap();
            let mut back = parameters(0);
            let (found, faults) = load_into(folder.path(), &mut back).unwrap();
            assert_eq!((found.steps_done, faults.len()), (10, 1));
            assert_eq!(back.numbers(), parameters(10).numbers());
        }
        fs::write(&paths[1], b"").unwrap();
        assert!(load_into(folder.path(), &mut parameters(0)).is_err());
    }

    #[test]
    fn a_damaged_one_is_none_of_the_two_that_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        for step in [10, 20] {
            save_step(folder.path(), step);
        }
        fs::write(&newest_first(folder.path()).unwrap()[0], b"").unwrap();
        // The run went on from step 10.
        save_step(folder.path(), 11);
        let (found, faults) = load_into(folder.path(), &mut parameters(0)).unwrap();
        assert_eq!((found.steps_done, faults.len()), (11, 0));
        let paths = newest_first(folder.path()).unwrap();
        assert_eq!(paths.len(), KEPT);
        fs::write(&paths[0], b"").unwrap();
        let (found, _) = load_into(folder.path(), &mut parameters(0)).unwrap();
        assert_eq!(found.steps_done, 10);
    }

    #[test]
    fn only_names_of_checkpoints_count() {
        for (name, steps) in [
            ("step-0000000012.safetensors", Some(12)),
            ("step-12345678901.safetensors", Some(12_345_678_901)),
            ("step-12.safetensors", None),
            ("step-00000000ab.safetensors", None),
            ("step-0000000012.safetensors.5-0.tmp", None),
            ("step-notes.safetensors", None),
        ] {
            assert_eq!(steps_from_name(name), steps, "{name}");
        }
    }

    #[test]
    fn other_data_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        save_step(folder.path(), 3);
        let classes = &["a", "b"];
        let mut slower = usual_data();
        slower.steps_per_epoch = 8;
        for (changed, words) in [
            (data(&["a", "c"], &["1", "2", "3"]), "other classes"),
            (data(classes, &["1", "2"]), "2 training images, not 3"),
            (data(classes, &["1", "3", "2"]), "other training images"),
            (slower, "8 steps an epoch, not 7"),
        ] {
            let error = load_newest(folder.path(), &mut parameters(0), &changed).unwrap_err();
            assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
