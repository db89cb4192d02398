//! Which lists tell the splits of a data folder.

use anyhow::Result;
use clap::Args;
use ssdlite_data::DetectionFolder;
use ssdlite_data::voc::MAIN_LISTS;

/// Which lists tell the splits.
#[derive(Args)]
pub(crate) struct ListsArgs {
    #[arg(
        long,
        value_name = "NAME",
        help = format!(
            "The folder of ImageSets whose lists tell the splits, such as fold1 [default: \
             {MAIN_LISTS}]"
        )
    )]
    lists: Option<String>,
}

impl ListsArgs {
    /// The folder with these lists.
    ///
    /// # Errors
    /// If there are none of this name.
    pub(crate) fn of(&self, folder: DetectionFolder) -> Result<DetectionFolder> {
        let name = self.lists.as_deref();
        Ok(folder.with_lists(name.unwrap_or(MAIN_LISTS))?)
    }

    /// Whether lists were asked for.
    pub(crate) const fn is_given(&self) -> bool {
        self.lists.is_some()
    }
}
