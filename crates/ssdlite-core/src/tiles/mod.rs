//! Looking at a large image in parts, so that its small objects are large enough
//! for a network: which parts, and what they find together.
//!
//! A part, a tile, is a rectangle of the image that is stretched to the network's
//! input as the whole image is. Tiles overlap, so that an object of up to
//! [`LEAST_OVERLAP`] of a tile is whole in one of them, and the whole image is looked
//! at besides, for what is larger: slicing aided inference, arXiv 2202.06934.
//!
//! A model file says at what size its network learnt objects ([`LearntView`]); from
//! that `auto` follows.

mod merge;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use merge::{Pass, merge_passes};

use crate::error::{Error, Result};
use crate::geometry::{ImageSize, PixelBox};

/// The most tiles along the longer side of an image that can be asked for.
pub const MOST_PARTS: u32 = 16;

/// The most tiles of an image; where more would be needed they are larger instead.
/// As many as [`MOST_PARTS`] along both sides of a square.
pub const MOST_TILES: usize = 256;

/// The least share of a tile's side that it has in common with its neighbour.
pub const LEAST_OVERLAP: f32 = 0.25;

/// How much smaller than it was learnt an object may be seen, as a factor on its side,
/// before `auto` takes tiles. Zooming out in training shows smaller ones.
const LEAST_SCALE: f32 = 0.6;

/// The least side of a tile, in pixels of the image.
const LEAST_TILE_SIDE: u32 = 8;

/// The side in cells of its map of the smallest object that is found well.
///
/// An object lies a quarter of a cell away from the nearest cell's centre along each
/// axis on average. A default box of its own side, `k` cells, then overlaps it by an
/// IoU of `c / (2 - c)` with `c = (1 - 1 / 4k)^2`: 0.53 at 1.5 cells, enough for a match,
/// 0.39 at one.
pub const LEAST_CELLS: f32 = 1.5;

/// Whether an image is looked at in tiles besides as a whole.
///
/// Written `off`, `auto` or the number of tiles along the longer side, as `3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Tiles {
    /// As a whole alone.
    #[default]
    Off,
    /// In tiles of the size that the network learnt from, where the whole image would
    /// show objects too small.
    Auto,
    /// In this many tiles along the longer side, 2 to [`MOST_PARTS`].
    Parts(u32),
}

impl FromStr for Tiles {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "off" => return Ok(Self::Off),
            "auto" => return Ok(Self::Auto),
            _ => {}
        }
        let parts = text.parse().ok();
        let parts = parts.filter(|parts| (2..=MOST_PARTS).contains(parts));
        parts.map(Self::Parts).ok_or_else(|| {
            Error::Malformed(format!(
                "expected `auto`, `off` or the number of tiles along the longer side, 2 to \
                 {MOST_PARTS}, found `{text}`"
            ))
        })
    }
}

impl fmt::Display for Tiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Auto => f.write_str("auto"),
            Self::Parts(parts) => parts.fmt(f),
        }
    }
}

impl TryFrom<String> for Tiles {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Tiles> for String {
    fn from(tiles: Tiles) -> Self {
        tiles.to_string()
    }
}

/// What a network saw of its training images, as far as it decides how much of another
/// image it should be shown at a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearntView {
    /// Pixels of an image that filled the input: the median size of the training
    /// images, or of their tiles.
    pub size: ImageSize,
    /// Side of the smallest tenth of the objects in it, in pixels of the network's
    /// input: the square root of width times height.
    pub least_side: f32,
    /// Whether these were tiles. A network that learnt from them is run on tiles
    /// unless asked otherwise.
    pub tiles: bool,
}

impl LearntView {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a size without a pixel or a side that is no positive
    /// number.
    pub fn validate(&self) -> Result<()> {
        let is_sound = self.least_side.is_finite() && self.least_side > 0.0;
        if self.size.pixels() > 0 && is_sound {
            return Ok(());
        }
        Err(Error::Malformed(format!(
            "expected a view of at least a pixel with objects of a positive side, found {} with \
             {}",
            self.size, self.least_side
        )))
    }

    /// Whether an image seen as a whole would show objects much smaller than they were
    /// learnt; and, unless they were learnt from tiles, its smallest below `least_side`
    /// pixels of the input.
    pub fn is_exceeded_by(&self, image: ImageSize, least_side: f32) -> bool {
        let learnt = self.size.pixels() as f32;
        let scale = (learnt / image.pixels().max(1) as f32).sqrt();
        let is_too_small = || self.tiles || self.least_side * scale < least_side;
        scale < LEAST_SCALE && is_too_small()
    }
}

/// A rectangle of whole pixels of an image, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// The image's columns to its left.
    pub left: u32,
    /// The image's rows above it.
    pub top: u32,
    /// Its size.
    pub size: ImageSize,
}

impl Tile {
    /// All of an image.
    pub const fn whole(image: ImageSize) -> Self {
        Self {
            left: 0,
            top: 0,
            size: image,
        }
    }

    /// The rectangle in pixels of the image.
    pub fn to_box(self) -> PixelBox {
        let (left, top) = (self.left as f32, self.top as f32);
        let (width, height) = (self.size.width as f32, self.size.height as f32);
        PixelBox::new(left, top, left + width, top + height)
    }
}

/// How a network looks at images of any size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tiling {
    tiles: Tiles,
    view: Option<LearntView>,
    least_side: f32,
}

impl Tiling {
    /// The whole of each image alone.
    pub const OFF: Self = Self {
        tiles: Tiles::Off,
        view: None,
        least_side: 0.0,
    };

    /// Tiles for a network that learnt from such views and finds objects of
    /// `least_side` pixels of its input well.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for [`Tiles::Auto`] where it isn't known what the
    /// network learnt from.
    pub fn new(tiles: Tiles, view: Option<LearntView>, least_side: f32) -> Result<Self> {
        if tiles == Tiles::Auto && view.is_none() {
            return Err(Error::Unsupported(format!(
                "tiles auto: expected a model file that says at what size objects were \
                 learnt, found one of an earlier version or of another program; a number of tiles \
                 along the longer side, 2 to {MOST_PARTS}, works with any"
            )));
        }
        Ok(Self {
            tiles,
            view,
            least_side,
        })
    }

    /// Which tiles were asked for.
    pub const fn tiles(&self) -> Tiles {
        self.tiles
    }

    /// The tiles of an image, row by row; none where the whole image is enough.
    pub fn tiles_of(&self, image: ImageSize) -> Vec<Tile> {
        let size = match (self.tiles, self.view) {
            (Tiles::Parts(parts), view) => {
                let shape = view.map_or(ImageSize::square(1), |view| view.size);
                tile_of_parts(image, parts, shape)
            }
            (Tiles::Auto, Some(view)) if view.is_exceeded_by(image, self.least_side) => view.size,
            _ => return Vec::new(),
        };
        grid(image, size)
    }
}

/// The size of a tile in the form of `shape` that fits `parts` times along an image's
/// longer side.
pub fn tile_of_parts(image: ImageSize, parts: u32, shape: ImageSize) -> ImageSize {
    let parts = parts as f32;
    // parts * side - (parts - 1) * overlap * side = extent
    let share = 1.0 / (parts - (parts - 1.0) * LEAST_OVERLAP);
    let (width, height) = (shape.width.max(1) as f32, shape.height.max(1) as f32);
    let side = |pixels: f32| pixels.ceil() as u32;
    if image.width >= image.height {
        let along = image.width as f32 * share;
        ImageSize::new(side(along), side(along * height / width))
    } else {
        let along = image.height as f32 * share;
        ImageSize::new(side(along * width / height), side(along))
    }
}

/// Tiles of about this size that cover an image, at most [`MOST_TILES`]; none if one
/// would be the whole image.
fn grid(image: ImageSize, tile: ImageSize) -> Vec<Tile> {
    let (mut width, mut height) = (
        tile.width.max(LEAST_TILE_SIDE).min(image.width),
        tile.height.max(LEAST_TILE_SIDE).min(image.height),
    );
    while tiles_along(image.width, width) * tiles_along(image.height, height) > MOST_TILES as u64 {
        width = larger(width).min(image.width);
        height = larger(height).min(image.height);
    }
    let size = ImageSize::new(width, height);
    if size == image {
        return Vec::new();
    }
    let rows = starts(image.height, height);
    rows.flat_map(|top| starts(image.width, width).map(move |left| Tile { left, top, size }))
        .collect()
}

/// A twentieth longer, and a pixel at least.
fn larger(side: u32) -> u32 {
    side.saturating_add(side.div_ceil(20))
}

/// How many tiles of `side` pixels cover `extent` pixels.
fn tiles_along(extent: u32, side: u32) -> u64 {
    if side >= extent {
        return 1;
    }
    let overlap = (side as f32 * LEAST_OVERLAP) as u32;
    u64::from((extent - side).div_ceil(side - overlap)) + 1
}

/// Where tiles of `side` pixels begin, spread evenly from edge to edge.
fn starts(extent: u32, side: u32) -> impl Iterator<Item = u32> + Clone {
    let steps = tiles_along(extent, side) - 1;
    let slack = u64::from(extent - side);
    // At most the extent, which is a u32.
    (0..=steps).map(move |index| (index * slack).checked_div(steps).unwrap_or(0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [ImageSize; 7] = [
        ImageSize::new(1920, 1440),
        ImageSize::new(1440, 1931),
        ImageSize::new(97, 4001),
        ImageSize::new(640, 480),
        ImageSize::new(10_007, 9_973),
        ImageSize::new(65_535, 16),
        ImageSize::new(1, 1),
    ];

    fn view(width: u32, height: u32) -> LearntView {
        LearntView {
            size: ImageSize::new(width, height),
            least_side: 20.0,
            tiles: false,
        }
    }

    fn tilings() -> Vec<Tiling> {
        let mut all = Vec::new();
        for tiles in ["auto", "2", "3", "7", "16"] {
            for view in [view(640, 480), view(31, 53), view(1, 1)] {
                all.push(Tiling::new(tiles.parse().unwrap(), Some(view), 24.0).unwrap());
            }
        }
        all.push(Tiling::new(Tiles::Parts(5), None, 24.0).unwrap());
        all
    }

    /// Whether tiles with these starts cover `0..extent` and overlap enough.
    fn covers(extent: u32, side: u32, mut starts: Vec<u32>) -> bool {
        starts.sort_unstable();
        starts.dedup();
        let overlap = (side as f32 * LEAST_OVERLAP) as u32;
        let overlaps = starts
            .windows(2)
            .all(|pair| pair[0] + side >= pair[1] + overlap);
        starts.first() == Some(&0)
            && starts.last().map(|last| last + side) == Some(extent)
            && overlaps
    }

    #[test]
    fn tiles_cover_the_image_overlap_and_stay_inside() {
        let mut tiled = 0;
        for image in SIZES {
            for tiling in tilings() {
                let tiles = tiling.tiles_of(image);
                assert!(tiles.len() <= MOST_TILES, "{image}: {}", tiles.len());
                let Some(first) = tiles.first() else {
                    continue;
                };
                tiled += 1;
                let size = first.size;
                assert!(tiles.iter().all(|tile| tile.size == size));
                let lefts = tiles.iter().map(|tile| tile.left).collect();
                let tops = tiles.iter().map(|tile| tile.top).collect();
                assert!(covers(image.width, size.width, lefts), "{image} {tiling:?}");
                assert!(
                    covers(image.height, size.height, tops),
                    "{image} {tiling:?}"
                );
                assert_ne!(size, image);
            }
        }
        assert!(tiled > 60, "{tiled}");
    }

    #[test]
    fn a_number_is_that_of_tiles_along_the_longer_side() {
        for parts in 2..=MOST_PARTS {
            for image in [ImageSize::new(1931, 1440), ImageSize::new(700, 4001)] {
                let tiling = Tiling::new(Tiles::Parts(parts), None, 24.0).unwrap();
                let tiles = tiling.tiles_of(image);
                let along = |tile: &&Tile| match image.width > image.height {
                    true => tile.top == 0,
                    false => tile.left == 0,
                };
                assert_eq!(tiles.iter().filter(along).count(), parts as usize);
                let size = tiles[0].size;
                let is_square = size.width.abs_diff(size.height) <= 1;
                assert!(is_square || size.width == image.width, "{size}");
            }
        }
    }

    #[test]
    fn tiles_have_the_form_that_was_learnt() {
        let tiling = Tiling::new(Tiles::Parts(3), Some(view(640, 480)), 24.0).unwrap();
        let size = tiling.tiles_of(ImageSize::new(3000, 2800))[0].size;
        assert_eq!(size, ImageSize::new(1200, 900));
    }

    #[test]
    fn auto_takes_tiles_where_objects_would_be_too_small() {
        let auto = |least_side| Tiling::new(Tiles::Auto, Some(view(640, 480)), least_side).unwrap();
        let tiles = |width, height, least_side| {
            let tiles = auto(least_side).tiles_of(ImageSize::new(width, height));
            tiles.first().map(|tile| tile.size)
        };
        let learnt = ImageSize::new(640, 480);
        assert_eq!(tiles(640, 480, 24.0), None);
        assert_eq!(tiles(1000, 750, 24.0), None);
        assert_eq!(tiles(1920, 1440, 24.0), Some(learnt));
        // Seen at a third, objects of 20 pixels still have 6.
        assert_eq!(tiles(1920, 1440, 6.0), None);
        assert_eq!(tiles(4000, 480, 24.0), Some(learnt));
        let from_tiles = LearntView {
            tiles: true,
            ..view(640, 480)
        };
        let tiling = Tiling::new(Tiles::Auto, Some(from_tiles), 6.0).unwrap();
        assert!(!tiling.tiles_of(ImageSize::new(1920, 1440)).is_empty());
    }

    #[test]
    fn auto_needs_to_know_what_was_learnt() {
        let error = Tiling::new(Tiles::Auto, None, 24.0).unwrap_err();
        assert!(error.to_string().contains("tiles"), "{error}");
        assert!(Tiling::new(Tiles::Off, None, 24.0).is_ok());
    }

    #[test]
    fn values_come_back_and_others_are_told_what_is_expected() {
        for text in ["off", "auto", "2", "16"] {
            assert_eq!(text.parse::<Tiles>().unwrap().to_string(), text);
        }
        for text in ["", "0", "1", "17", "-2", "3.5", "Auto", "on", "640px"] {
            let error = text.parse::<Tiles>().unwrap_err().to_string();
            assert!(error.contains("2 to 16") && error.contains(&format!("`{text}`")));
        }
    }

    #[test]
    fn views_of_nothing_are_refused() {
        assert!(view(640, 480).validate().is_ok());
        assert!(view(0, 480).validate().is_err());
        for least_side in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let view = LearntView {
                least_side,
                ..view(640, 480)
            };
            assert!(view.validate().is_err());
        }
    }
}
