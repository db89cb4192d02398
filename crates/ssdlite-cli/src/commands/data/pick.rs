//! `data pick`: the photos that are most worth labelling.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use ssdlite_data::photos::{Photo, PhotoFolder};
use ssdlite_evaluate::pick::{Choice, Pick, Picked};
use ssdlite_files::{NewFolder, write_atomically};
use ssdlite_infer::Detector;

use crate::args::model::ModelArg;
use crate::args::number::whole;
use crate::args::post_processing::PostProcessingArgs;
use crate::console::{self, counted};
use crate::evaluation::{once_on_all_cores, until_stopped};
use crate::models::{Purpose, load_detector};
use crate::outcome::Outcome;
use crate::output::findings::warn_of;
use crate::paths::{expect_folder_there, expect_unused};
use crate::signals::stop_on_signal;

/// The most photos that are chosen.
const MOST_PHOTOS: usize = 1_000_000;

#[derive(Args)]
pub(crate) struct PickArgs {
    /// A folder of photos; those in it that have an annotation count as labelled
    folder: PathBuf,
    /// A detector's model file, or a run's folder for its best model
    model: ModelArg,
    /// How many photos to choose
    #[arg(long, value_name = "N", value_parser = whole(1..=MOST_PHOTOS))]
    count: usize,
    /// Another detector: photos about which the two differ are worth more
    #[arg(long, value_name = "MODEL")]
    second: Option<ModelArg>,
    /// A data folder with more labelled photos: those that look like them are worth less
    #[arg(long, value_name = "DATA")]
    labelled: Option<PathBuf>,
    /// Write the paths of the chosen photos to this file, one a line
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Copy the chosen photos to this folder, which is new or empty
    #[arg(long, value_name = "DIR")]
    copy: Option<PathBuf>,
    /// Print one JSON object a photo
    #[arg(long)]
    json: bool,
}

/// A chosen photo as `--json` prints it.
#[derive(Serialize)]
struct PickJson<'a> {
    image: &'a str,
    #[serde(flatten)]
    pick: &'a Pick,
}

impl PickArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        if let Some(folder) = &self.copy {
            expect_unused(folder, "--copy")?;
        }
        let photos = photos_in(&self.folder)?;
        if photos.unlabelled.is_empty() {
            bail!(
                "{}: expected photos without an annotation, found {} that all have one",
                self.folder.display(),
                counted(photos.labelled.len(), "image")
            );
        }
        let mut labelled = photos.labelled;
        if let Some(folder) = &self.labelled {
            let more = photos_in(folder)?.labelled;
            if more.is_empty() {
                bail!(
                    "{}: expected images with an annotation, found none",
                    folder.display()
                );
            }
            labelled.extend(more);
        }
        let detector = load(&self.model)?;
        let second = self.second.as_ref().map(load).transpose()?;
        let stop = stop_on_signal("stopping after these images")?;
        let choice = Choice {
            photos: &photos.unlabelled,
            labelled: &labelled,
            detector: &detector,
            second: second.as_ref(),
            count: self.count,
        };
        let (picked, failures) =
            until_stopped(&stop, |watch| choice.pick(once_on_all_cores(), watch))?;
        let Some(picked) = picked else {
            console::note("stopped: nothing was chosen");
            return Ok(Outcome::Failed);
        };
        let told = self.tell(&photos.unlabelled, &picked);
        let chosen: Vec<&Path> = (picked.picks.iter())
            .map(|pick| &*photos.unlabelled[pick.photo].path)
            .collect();
        // What was asked for is written too where nobody reads what is printed.
        if let Some(file) = &self.list {
            write_list(file, &chosen)?;
        }
        if let Some(folder) = &self.copy {
            copy(&chosen, &self.folder, folder)?;
        }
        told?;
        Ok(Outcome::from_failures(failures))
    }

    fn tell(&self, photos: &[Photo], picked: &Picked) -> Result<()> {
        warn_of(&picked.findings);
        let found = picked.picks.len();
        if found < self.count {
            console::note(&format!(
                "there are no more than {} to choose from",
                counted(found, "photo")
            ));
        }
        for pick in &picked.picks {
            let path = photos[pick.photo].path.to_string_lossy();
            if self.json {
                console::json(&PickJson { image: &path, pick })?;
            } else {
                let (worth, reasons) = (pick.worth, reasons(pick));
                console::text(format_args!("{path}: worth {worth:.2}: {reasons}"))?;
            }
        }
        Ok(())
    }
}

/// Why a photo was chosen, in words.
fn reasons(pick: &Pick) -> String {
    let mut reasons = vec![format!("about {:.1} labels in doubt", pick.doubt)];
    if let Some(disagreement) = pick.disagreement {
        reasons.push(format!(
            "the models differ by about {disagreement:.1} objects"
        ));
    }
    let alike = [
        (pick.alike_labelled, "labelled already"),
        (pick.alike_picked, "chosen before"),
    ];
    let alike: Vec<String> = (alike.into_iter())
        .filter(|(count, _)| *count > 0)
        .map(|(count, how)| format!("{count} {how}"))
        .collect();
    reasons.push(match alike.is_empty() {
        true => "looks like no other one".to_owned(),
        false => format!("looks like {}", alike.join(" and ")),
    });
    reasons.join(", ")
}

fn photos_in(folder: &Path) -> Result<PhotoFolder> {
    expect_folder_there(folder)?;
    let photos = PhotoFolder::open(folder)?;
    warn_of(&photos.findings);
    Ok(photos)
}

fn load(model: &ModelArg) -> Result<Detector> {
    // Images, not layers, are shared out among threads.
    load_detector(
        &model.file()?,
        &PostProcessingArgs::default(),
        Purpose::Evaluate,
        Some(NonZeroUsize::MIN),
    )
}

fn write_list(file: &Path, chosen: &[&Path]) -> Result<()> {
    let mut text = String::new();
    for path in chosen {
        let Some(path) = path.to_str() else {
            bail!(
                "{}: its name is not UTF-8, so it can't stand in {}",
                path.display(),
                file.display()
            );
        };
        text.push_str(path);
        text.push('\n');
    }
    write_atomically(file, text.as_bytes()).with_context(|| file.display().to_string())
}

/// Copies photos to a new folder, each under its path in the folder that it is from.
fn copy(chosen: &[&Path], from: &Path, to: &Path) -> Result<()> {
    let cannot = |path: &Path| format!("can't write {}", path.display());
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(|| cannot(parent))?;
    }
    let folder = NewFolder::create(to).with_context(|| cannot(to))?;
    for path in chosen {
        let name = path.strip_prefix(from).unwrap_or(path);
        let target = folder.path().join(name);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).with_context(|| cannot(parent))?;
        }
        fs::copy(path, &target).with_context(|| format!("can't copy {}", path.display()))?;
    }
    folder.commit().with_context(|| cannot(to))
}
