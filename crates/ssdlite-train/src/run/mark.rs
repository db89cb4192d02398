//! What a resumed run is to find as it was: the data that it learns from, and the
//! machine that its numbers depend on.

use std::fmt;

use serde::{Deserialize, Serialize};
use ssdlite_core::ClassNames;
use ssdlite_files::counted;

use super::checksum::Checksum;
use crate::step::Cpu;

/// What a run learns from, as far as a resumed run must find it the same: its
/// place in the data means nothing in others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DataMark {
    /// Hash of the classes' names in their order.
    classes: String,
    /// Training images.
    images: usize,
    /// Hash of their names in their order.
    names: String,
    pub(crate) steps_per_epoch: u64,
}

impl DataMark {
    /// The mark of training images by their names in the data set.
    pub(crate) fn new<'a>(
        classes: &ClassNames,
        images: impl Iterator<Item = &'a str>,
        steps_per_epoch: u64,
    ) -> Self {
        let mut names = Checksum::default();
        let mut count = 0;
        for name in images {
            names.add_text(name);
            count += 1;
        }
        let mut hash = Checksum::default();
        for class in classes.iter() {
            hash.add_text(class);
        }
        Self {
            classes: hash.digits(),
            images: count,
            names: names.digits(),
            steps_per_epoch,
        }
    }

    /// What of `found` is not as it was, in words.
    pub(super) fn difference(&self, found: &Self) -> Option<String> {
        if self.classes != found.classes {
            Some("other classes".into())
        } else if self.images != found.images {
            Some(format!(
                "{} training images, not {}",
                found.images, self.images
            ))
        } else if self.names != found.names {
            Some("other training images".into())
        } else if self.steps_per_epoch != found.steps_per_epoch {
            let (was, is) = (self.steps_per_epoch, found.steps_per_epoch);
            Some(format!("{} an epoch, not {was}", counted(is, "step")))
        } else {
            None
        }
    }
}

/// What sums of floating-point numbers depend on besides the numbers: they are
/// taken in parts, as many as there are threads, each by the vectors of an
/// instruction set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) threads: usize,
    pub(crate) instructions: String,
}

impl Machine {
    pub(crate) fn of(cpu: &Cpu) -> Self {
        Self {
            threads: cpu.threads().get(),
            instructions: cpu.isa.to_string(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = if self.threads == 1 { "" } else { "s" };
        let Self {
            threads,
            instructions,
        } = self;
        write!(f, "{threads} thread{ending} with {instructions}")
    }
}
