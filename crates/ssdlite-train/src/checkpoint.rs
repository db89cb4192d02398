//! What a stopped run goes on from.
//!
//! A checkpoint is a safetensors file: the network's tensors, the optimizer's
//! moments and the moving average under `model.KEY`, `first_moment.KEY`,
//! `second_moment.KEY` and `average.KEY`, and in its metadata where the run
//! stands. Order, augmentation and dropout are functions of the seed and of
//! that place, so no random state is kept. A sum over all numbers tells a
//! damaged file.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::observer::Losses;
use crate::parameters::Parameters;
use crate::results::EpochRow;
use crate::run_folder::write_aside;

/// Key of the header in the file's metadata. The header is TOML, whose reader
/// gives back every float to the bit.
const METADATA_KEY: &str = "ssdlite-checkpoint";

/// The version of what is written here.
const VERSION: u32 = 1;

/// Checkpoints that are kept: the last and one to fall back on.
const KEPT: usize = 2;

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// Epochs completed with their evaluation.
    pub(crate) epochs_done: u32,
    /// Steps taken in the epoch after them.
    pub(crate) steps_in_epoch: u64,
    /// Steps taken in all.
    pub(crate) steps_done: u64,
    /// Sums over the steps of the epoch under way.
    pub(crate) sums: Losses,
    /// Seconds that its steps took.
    pub(crate) seconds: f64,
    /// Seconds that its evaluation took.
    #[serde(skip)]
    pub(crate) seconds_evaluating: f64,
    /// The best score so far.
    pub(crate) best: Option<f64>,
    /// The epoch that had it; 0 before the first evaluation.
    pub(crate) best_epoch: u32,
    /// The completed epochs.
    pub(crate) rows: Vec<EpochRow>,
}

impl Progress {
    /// Counts a step.
    pub(crate) fn add(&mut self, losses: Losses) {
        self.steps_done += 1;
        self.steps_in_epoch += 1;
        self.sums.classification += losses.classification;
        if let Some(regression) = losses.regression {
            *self.sums.regression.get_or_insert(0.0) += regression;
        }
    }

    /// Means over the steps of the epoch under way.
    pub(crate) fn mean_losses(&self) -> Losses {
        let steps = self.steps_in_epoch.max(1) as f64;
        Losses {
            classification: self.sums.classification / steps,
            regression: self.sums.regression.map(|sum| sum / steps),
        }
    }

    /// Whether the epoch under way scores better than all before it. Without
    /// a score the newest epoch is the best.
    pub(crate) fn judge(&mut self, score: Option<f64>) -> bool {
        let is_better = match (score, self.best) {
            (Some(score), Some(best)) => score > best,
            _ => true,
        };
        if is_better {
            self.best = score;
            self.best_epoch = self.epochs_done + 1;
        }
        is_better
    }

    /// Epochs since the best one; none before the first evaluation.
    pub(crate) fn epochs_without_better(&self) -> u32 {
        match self.best_epoch {
            0 => 0,
            best => self.epochs_done.saturating_sub(best),
        }
    }

    /// Ends the epoch under way.
    pub(crate) fn close_epoch(&mut self, row: EpochRow) {
        self.rows.push(row);
        self.epochs_done += 1;
        self.steps_in_epoch = 0;
        self.sums = Losses::default();
        self.seconds = 0.0;
        self.seconds_evaluating = 0.0;
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    /// Of all numbers, in hexadecimal digits: TOML's integers are signed.
    checksum: String,
    progress: Progress,
}

/// Writes a checkpoint and removes those that are too old.
pub(crate) fn save(folder: &Path, parameters: &Parameters, progress: &Progress) -> Result<()> {
    fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
    let path = folder.join(format!("step-{:010}.safetensors", progress.steps_done));
    write_aside(&path, &bytes_from(parameters, progress, &path)?)?;
    let all = newest_first(folder)?;
    for old in all.iter().skip(KEPT) {
        fs::remove_file(old).map_err(|source| Error::io(old, source))?;
    }
    Ok(())
}

/// Puts back the newest sound checkpoint of a folder. For each newer one that
/// is not sound there is a message.
///
/// # Errors
/// [`Error::InvalidRequest`] if there is no checkpoint, [`Error::Malformed`] if
/// none is sound, [`Error::Io`].
pub(crate) fn load_newest(
    folder: &Path,
    parameters: &mut Parameters,
) -> Result<(Progress, Vec<String>)> {
    let mut faults = Vec::new();
    let all = newest_first(folder)?;
    for path in &all {
        match load(path, parameters) {
            Ok(progress) => return Ok((progress, faults)),
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
        if name.starts_with("step-") && name.ends_with(".safetensors") {
            paths.push(path);
        }
    }
    // The number has leading zeros, so names are in its order.
    paths.sort_unstable();
    paths.reverse();
    Ok(paths)
}

fn bytes_from(parameters: &Parameters, progress: &Progress, path: &Path) -> Result<Vec<u8>> {
    let mut tensors: Vec<(String, &[usize], Vec<u8>)> = Vec::new();
    let mut checksum = Checksum::default();
    for (kind, numbers) in parameters.numbers() {
        for (spec, range) in parameters.layout() {
            let numbers = &numbers[range];
            checksum.add(numbers);
            let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
            tensors.push((format!("{kind}.{}", spec.key), &spec.shape, bytes.collect()));
        }
    }
    let fault =
        |error: &dyn std::fmt::Display| Error::Malformed(format!("{}: {error}", path.display()));
    let views: Vec<(&str, TensorView<'_>)> = tensors
        .iter()
        .map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes);
            view.map(|view| (name.as_str(), view))
        })
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| fault(&error))?;
    let header = Header {
        version: VERSION,
        checksum: checksum.digits(),
        progress: progress.clone(),
    };
    let text = toml::to_string(&header).map_err(|error| fault(&error))?;
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), text)]);
    safetensors::serialize(views, Some(metadata)).map_err(|error| fault(&error))
}

/// Puts back a checkpoint. After an error the parameters hold part of it.
fn load(path: &Path, parameters: &mut Parameters) -> Result<Progress> {
    let fault =
        |reason: &dyn std::fmt::Display| Error::Malformed(format!("{}: {reason}", path.display()));
    let bytes = fs::read(path).map_err(|source| Error::io(path, source))?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| fault(&error))?;
    let text = metadata
        .metadata()
        .as_ref()
        .and_then(|metadata| metadata.get(METADATA_KEY))
        .ok_or_else(|| fault(&"expected a checkpoint, found another file"))?;
    let header: Header = toml::from_str(text).map_err(|error| fault(&error))?;
    if header.version != VERSION {
        let found = header.version;
        return Err(fault(&format!("expected version {VERSION}, found {found}")));
    }
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| fault(&error))?;
    let layout: Vec<_> = parameters
        .layout()
        .map(|(spec, range)| (spec.clone(), range))
        .collect();
    let mut checksum = Checksum::default();
    for (kind, numbers) in parameters.numbers_mut() {
        for (spec, range) in &layout {
            let name = format!("{kind}.{}", spec.key);
            let view = tensors.tensor(&name).map_err(|error| fault(&error))?;
            if view.dtype() != Dtype::F32 || view.shape() != spec.shape {
                let (expected, found) = (&spec.shape, view.shape());
                return Err(fault(&format!(
                    "{name}: expected f32{expected:?}, found {:?}{found:?}",
                    view.dtype()
                )));
            }
            let numbers = &mut numbers[range.clone()];
            for (number, bytes) in numbers.iter_mut().zip(view.data().chunks_exact(4)) {
                *number = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
            checksum.add(numbers);
        }
    }
    if checksum.digits() != header.checksum {
        return Err(fault(&"its numbers don't match its checksum"));
    }
    Ok(header.progress)
}

/// FNV-1a over the numbers' bits, four bytes at a time.
struct Checksum(u64);

impl Default for Checksum {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Checksum {
    fn digits(&self) -> String {
        format!("{:016x}", self.0)
    }

    fn add(&mut self, numbers: &[f32]) {
        for number in numbers {
            let bits = u64::from(number.to_bits());
            self.0 = (self.0 ^ bits).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use ssdlite_core::MobileNetV3;
    use ssdlite_core::mobilenet::Variant;
    use ssdlite_nn::Detector;

    use super::*;

    fn parameters(seed: u64) -> Parameters {
        let network = MobileNetV3 {
            width_multiplier: 0.1,
            ..MobileNetV3::new(Variant::Small)
        };
        let device = Device::flex().autodiff();
        Parameters::new(&Detector::new(&network.detector(1), seed, &device)).unwrap()
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

    #[test]
    fn a_checkpoint_comes_back_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let saved = parameters(1);
        save(folder.path(), &saved, &progress(3)).unwrap();
        let mut other = parameters(2);
        let (back, faults) = load_newest(folder.path(), &mut other).unwrap();
        assert_eq!((back, faults.len()), (progress(3), 0));
        assert_eq!(other.numbers(), saved.numbers());
    }

    #[test]
    fn the_last_two_are_kept_and_a_damaged_one_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let none = load_newest(folder.path(), &mut parameters(0)).unwrap_err();
        assert!(none.to_string().contains("found none"), "{none}");
        for step in [9, 10, 11] {
            save(folder.path(), &parameters(step), &progress(step)).unwrap();
        }
        let paths = newest_first(folder.path()).unwrap();
        assert_eq!(paths.len(), KEPT);
        let sound = fs::read(&paths[0]).unwrap();
        let mut flipped = sound.clone();
        flipped[sound.len() / 2] ^= 1;
        for damaged in [
            &sound[..sound.len() / 2],
            &flipped,
            b"",
            b"nothing of the kind",
        ] {
            fs::write(&paths[0], damaged).unwrap();
            let mut back = parameters(0);
            let (found, faults) = load_newest(folder.path(), &mut back).unwrap();
            assert_eq!((found.steps_done, faults.len()), (10, 1));
            assert_eq!(back.numbers(), parameters(10).numbers());
        }
        fs::write(&paths[1], b"").unwrap();
        assert!(load_newest(folder.path(), &mut parameters(0)).is_err());
    }
}
