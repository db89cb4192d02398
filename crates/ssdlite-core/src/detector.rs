//! SSD-lite on MobileNetV3 as a table.
//!
//! Source: arXiv 1905.02244, section 6.3, and arXiv 1801.04381 (SSD-lite), read
//! as torchvision's `models/detection/ssdlite.py` reads them: the first map at
//! the expansion of the bottleneck of C4, the second at the last layer before
//! pooling, four extra blocks, separable heads on all six maps.

use crate::default_boxes::BOXES_PER_CELL;
use crate::mobilenet::{Backbone, KeyScheme, MobileNetV3};
use crate::unit::{Activation, Conv, ConvUnit, HeadConv, MapSize};

/// The number of feature maps.
pub const FEATURE_MAPS: usize = 6;

/// Output channels of the extra blocks at width 1.
const EXTRA_CHANNELS: [usize; 4] = [512, 256, 256, 128];

/// The least channels of an extra block: torchvision's `min_depth`.
const MIN_EXTRA_CHANNELS: usize = 16;

/// Numbers that describe a box relative to a default box.
pub const BOX_NUMBERS: usize = 4;

/// An extra block: 1x1 to half the channels, depthwise 3x3 of stride 2, 1x1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraBlock {
    /// 1x1 to half of the block's channels.
    pub squeeze: ConvUnit,
    /// 3x3, stride 2.
    pub depthwise: ConvUnit,
    /// 1x1 to the block's channels.
    pub expand: ConvUnit,
}

/// A separable head on one map: depthwise 3x3, then 1x1 with bias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// 3x3 with batch norm and ReLU6.
    pub depthwise: ConvUnit,
    /// 1x1 with bias; its output channel is `default box * numbers + number`.
    pub output: HeadConv,
}

/// An SSD-lite detector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectorNetwork {
    /// The convolutional part of MobileNetV3.
    pub backbone: Backbone,
    /// The blocks after it.
    pub extra: Vec<ExtraBlock>,
    /// One head of class scores a map, background first.
    pub classification: Vec<Head>,
    /// One head of box regressions a map.
    pub regression: Vec<Head>,
    /// Classes, background counted.
    pub outputs_per_box: usize,
}

impl MobileNetV3 {
    /// The detector for this many classes, background not counted.
    pub fn detector(&self, classes: usize) -> DetectorNetwork {
        let backbone = self.backbone(KeyScheme::Detector);
        let mut channels = vec![backbone.c4_channels(), backbone.c5_channels()];
        let mut extra = Vec::with_capacity(EXTRA_CHANNELS.len());
        for (index, full_width) in EXTRA_CHANNELS.into_iter().enumerate() {
            let scaled = (full_width as f64 * self.width()) as usize;
            let out = scaled.max(MIN_EXTRA_CHANNELS);
            let in_channels = channels[channels.len() - 1];
            extra.push(ExtraBlock::new(index, in_channels, out));
            channels.push(out);
        }
        let outputs_per_box = classes + 1;
        let heads = |name: &str, numbers: usize| {
            let of_map =
                |(map, &channels): (usize, &usize)| Head::new(name, map, channels, numbers);
            channels.iter().enumerate().map(of_map).collect()
        };
        DetectorNetwork {
            classification: heads("classification_head", outputs_per_box),
            regression: heads("regression_head", BOX_NUMBERS),
            backbone,
            extra,
            outputs_per_box,
        }
    }
}

impl ExtraBlock {
    fn new(index: usize, in_channels: usize, out: usize) -> Self {
        let unit = |part: usize, conv| {
            ConvUnit::new(
                format!("backbone.extra.{index}.{part}"),
                conv,
                Activation::Relu6,
            )
        };
        let middle = out / 2;
        Self {
            squeeze: unit(0, Conv::pointwise(in_channels, middle)),
            depthwise: unit(1, Conv::depthwise(middle, 3, 2)),
            expand: unit(2, Conv::pointwise(middle, out)),
        }
    }
}

impl Head {
    fn new(name: &str, map: usize, channels: usize, numbers: usize) -> Self {
        let key = format!("head.{name}.module_list.{map}");
        Self {
            depthwise: ConvUnit::new(
                format!("{key}.0"),
                Conv::depthwise(channels, 3, 1),
                Activation::Relu6,
            ),
            output: HeadConv {
                key: format!("{key}.1"),
                conv: Conv::pointwise(channels, BOXES_PER_CELL * numbers),
            },
        }
    }
}

impl DetectorNetwork {
    /// Sizes of the feature maps for an input of this size, largest first.
    pub fn feature_maps(&self, input: MapSize) -> [MapSize; FEATURE_MAPS] {
        let mut map = input.strided(self.backbone.stem.conv.stride);
        for block in &self.backbone.blocks[..self.backbone.c4_block] {
            map = map.strided(block.depthwise.conv.stride);
        }
        let mut maps = [map; FEATURE_MAPS];
        for block in &self.backbone.blocks[self.backbone.c4_block..] {
            map = map.strided(block.depthwise.conv.stride);
        }
        maps[1] = map;
        for (slot, block) in maps[2..].iter_mut().zip(&self.extra) {
            map = map.strided(block.depthwise.conv.stride);
            *slot = map;
        }
        maps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mobilenet::Variant;

    #[test]
    fn feature_maps_at_300_and_320() {
        for variant in [Variant::Small, Variant::Large] {
            let network = MobileNetV3::new(variant).detector(20);
            let sides = |side| {
                network
                    .feature_maps(MapSize::new(side, side))
                    .map(|map| map.height)
            };
            assert_eq!(sides(300), [19, 10, 5, 3, 2, 1]);
            assert_eq!(sides(320), [20, 10, 5, 3, 2, 1]);
        }
    }

    #[test]
    fn feature_maps_keep_rows_and_columns_apart() {
        let network = MobileNetV3::new(Variant::Small).detector(20);
        let maps = network.feature_maps(MapSize::new(200, 333));
        assert_eq!(maps[0], MapSize::new(13, 21));
        assert_eq!(maps[5], MapSize::new(1, 1));
    }
}
