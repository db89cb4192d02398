//! The option of commands that look at large images in parts.

use clap::Args;
use ssdlite_core::Tiles;
use ssdlite_core::tiles::MOST_PARTS;

/// Whether large images are looked at in tiles too.
#[derive(Args, Clone, Copy, Default)]
pub(crate) struct TilesArgs {
    #[arg(
        long,
        value_name = "auto|off|N",
        help = format!(
            "Also look at overlapping tiles of large images, in which small objects are larger: \
             `auto` where the whole would show them smaller than they were learnt, or N tiles \
             along the longer side, 2 to {MOST_PARTS} [default: auto for a model that was trained \
             with tiles, else off]"
        )
    )]
    tiles: Option<Tiles>,
}

impl TilesArgs {
    /// What was asked for, if anything.
    pub(crate) fn asked(self) -> Option<Tiles> {
        self.tiles
    }
}
