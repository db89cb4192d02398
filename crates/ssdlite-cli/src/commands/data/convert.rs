//! `data convert`: images with boxes written anew in another format.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use ssdlite_data::finding::Losses;
use ssdlite_data::{Error, ImageFiles, WriteOptions, WrittenFormat, WrittenSet, write_set};

use crate::args::reading::ReadingArgs;
use crate::console::{self, counted};
use crate::outcome::Outcome;
use crate::output::findings::{warn_of, warn_of_reading};
use crate::signals::stop_on_signal;

#[derive(Args)]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    reading: ReadingArgs,
    /// A folder that does not exist yet, or is empty
    out: PathBuf,
    /// The format to write
    #[arg(long, value_name = "FORMAT", value_parser = written_format())]
    to: WrittenFormat,
    /// Give the image files a second name (hard link) instead of copying them; both
    /// folders have to be on one file system
    #[arg(long)]
    link: bool,
}

fn written_format() -> impl TypedValueParser<Value = WrittenFormat> {
    PossibleValuesParser::new(WrittenFormat::ALL.map(WrittenFormat::name))
        .try_map(|name| name.parse())
}

impl ConvertArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        self.reading.expect_there()?;
        let folder = self.reading.open_boxes()?;
        expect_apart(folder.root(), &self.out)?;
        warn_of(folder.findings());
        let reading = folder.read_all(&self.reading.box_options()?)?;
        warn_of_reading(folder.root(), &reading);
        let options = WriteOptions {
            format: self.to,
            images: if self.link {
                ImageFiles::Link
            } else {
                ImageFiles::Copy
            },
        };
        let stop = stop_on_signal("stopping")?;
        match write_set(&self.out, &reading.set, &options, &stop) {
            Err(Error::Stopped) => {
                console::note("stopped: what was not finished was removed");
                return Ok(Outcome::Failed);
            }
            written => self.tell(&written?)?,
        }
        Ok(outcome(reading.losses))
    }

    fn tell(&self, written: &WrittenSet) -> Result<()> {
        if written.rounded_boxes > 0 {
            console::warning(&format!(
                "moved to whole pixels, as VOC has no fractions and no box of one pixel: {} of {}",
                written.rounded_boxes,
                counted(written.objects, "object")
            ));
        }
        if written.repeated_images > 0 {
            console::warning(&format!(
                "written again for another split that the image stands in: {}",
                counted(written.repeated_images, "file")
            ));
        }
        for class in &written.lost_classes {
            console::warning(&format!(
                "the class {class} has no object, and VOC names classes by objects alone: lost"
            ));
        }
        console::text(format_args!(
            "{}: {} with {}, as {}",
            self.out.display(),
            counted(written.images, "image"),
            counted(written.objects, "object"),
            self.to
        ))
    }
}

/// What was left out is not in the new set, so not all that was asked for was done.
fn outcome(losses: Losses) -> Outcome {
    if losses.images_skipped + losses.objects_skipped == 0 {
        return Outcome::Done;
    }
    console::error(&format!("not all could be converted: {losses}"));
    Outcome::Failed
}

/// Refuses to write into the folder that is read.
fn expect_apart(data: &Path, out: &Path) -> Result<()> {
    let absolute = |path: &Path| -> Result<PathBuf> {
        let path = std::path::absolute(path).with_context(|| path.display().to_string())?;
        // As far up as it is there.
        let there = path
            .ancestors()
            .find_map(|part| Some((part, part.canonicalize().ok()?)));
        Ok(match there {
            Some((part, real)) => real.join(path.strip_prefix(part).unwrap_or(Path::new(""))),
            None => path,
        })
    };
    let (data, out) = (absolute(data)?, absolute(out)?);
    if out.starts_with(&data) {
        bail!(
            "{}: expected a folder outside of the one that is read, {}",
            out.display(),
            data.display()
        );
    }
    Ok(())
}
