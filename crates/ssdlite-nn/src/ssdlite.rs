//! SSD-lite (arXiv 1801.04381) on MobileNetV3, as torchvision's
//! `detection/ssdlite.py`.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ssdlite_core::detector::{self as table, BOX_NUMBERS, DetectorNetwork};

use crate::mobilenet::Backbone;
use crate::network::Network;
use crate::ops::FeatureMap;
use crate::parameters::{ConvolutionFill, Inventory, ParameterBuilder};
use crate::unit::{BiasedConvolution, Unit, UnitOptions};

/// Share of the newest batch in the running statistics of a detector:
/// torchvision's `ssdlite.py`.
pub const DETECTOR_MOMENTUM: f64 = 0.03;

/// First values of the extra blocks and heads: torchvision's `ssdlite.py`.
const FILL: ConvolutionFill = ConvolutionFill::Normal(0.03);

const OPTIONS: UnitOptions = UnitOptions {
    fill: FILL,
    momentum: DETECTOR_MOMENTUM,
};

/// An extra block after the backbone: 1x1, depthwise 3x3 of stride 2, 1x1.
#[derive(Module, Debug)]
pub struct ExtraBlock {
    squeeze: Unit,
    depthwise: Unit,
    expand: Unit,
}

impl ExtraBlock {
    fn new(block: &table::ExtraBlock, builder: &mut ParameterBuilder<'_>) -> Self {
        let mut unit = |unit| Unit::new(unit, OPTIONS, builder);
        Self {
            squeeze: unit(&block.squeeze),
            depthwise: unit(&block.depthwise),
            expand: unit(&block.expand),
        }
    }

    /// From `[N, Ci, H, W]` to `[N, Co, H / 2, W / 2]`, sizes rounded up.
    pub fn forward(&self, map: FeatureMap) -> FeatureMap {
        let map = self.squeeze.forward(map);
        let map = self.depthwise.forward(map);
        self.expand.forward(map)
    }
}

/// A separable head on one feature map.
#[derive(Module, Debug)]
pub struct Head {
    depthwise: Unit,
    output: BiasedConvolution,
    #[module(skip)]
    numbers: usize,
}

impl Head {
    fn new(head: &table::Head, numbers: usize, builder: &mut ParameterBuilder<'_>) -> Self {
        Self {
            depthwise: Unit::new(&head.depthwise, OPTIONS, builder),
            output: BiasedConvolution::of_head(&head.output, FILL, builder),
            numbers,
        }
    }

    /// From `[N, C, H, W]` to `[N, H * W * boxes a cell, numbers]`: rows of the
    /// map outermost, then columns, then the boxes of a cell.
    pub fn forward(&self, map: FeatureMap) -> Tensor<3> {
        let output = self.output.forward(self.depthwise.forward(map));
        let [batch, channels, height, width] = output.dims();
        let boxes = height * width * channels / self.numbers;
        output
            .permute([0, 2, 3, 1])
            .reshape([batch, boxes, self.numbers])
    }
}

/// What a detector says about every default box, in the order of the default
/// boxes of `ssdlite-core`.
#[derive(Clone, Debug)]
pub struct DetectorOutput {
    /// Class logits, `[N, boxes, classes + 1]`, the background first.
    pub logits: Tensor<3>,
    /// Box regressions, `[N, boxes, 4]`: what the box coder decodes.
    pub regressions: Tensor<3>,
}

/// Which parts of a detector don't train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frozen {
    /// MobileNetV3.
    Backbone,
    /// MobileNetV3 and the extra blocks.
    AllButHeads,
}

/// SSD-lite on MobileNetV3.
#[derive(Module, Debug)]
pub struct Detector {
    backbone: Backbone,
    extra: Vec<ExtraBlock>,
    classification: Vec<Head>,
    regression: Vec<Head>,
    #[module(skip)]
    inventory: Arc<Inventory>,
}

impl Detector {
    /// A detector with first values as in torchvision, drawn from `seed`. On a
    /// device with autodiff it is in training mode; [`Module::valid`] gives the
    /// evaluation mode.
    pub fn new(network: &DetectorNetwork, seed: u64, device: &Device) -> Self {
        let mut builder = ParameterBuilder::new(network.tensors(), seed, device);
        let backbone = Backbone::new(&network.backbone, DETECTOR_MOMENTUM, &mut builder);
        let extra = network
            .extra
            .iter()
            .map(|block| ExtraBlock::new(block, &mut builder))
            .collect();
        let mut heads = |heads: &[table::Head], numbers| {
            heads
                .iter()
                .map(|head| Head::new(head, numbers, &mut builder))
                .collect()
        };
        let classification = heads(&network.classification, network.outputs_per_box);
        let regression = heads(&network.regression, BOX_NUMBERS);
        Self {
            backbone,
            extra,
            classification,
            regression,
            inventory: builder.into_inventory(),
        }
    }

    /// From images `[N, 3, H, W]`, scaled to -1 to 1, to the heads' outputs.
    pub fn forward(&self, images: Tensor<4>) -> DetectorOutput {
        let maps = self.feature_maps(images);
        let run = |heads: &[Head]| {
            let outputs = heads.iter().zip(&maps);
            Tensor::cat(
                outputs
                    .map(|(head, map)| head.forward(map.clone()))
                    .collect(),
                1,
            )
        };
        DetectorOutput {
            logits: run(&self.classification),
            regressions: run(&self.regression),
        }
    }

    /// The six maps that the heads read, largest first.
    fn feature_maps(&self, images: Tensor<4>) -> Vec<FeatureMap> {
        let backbone = self.backbone.forward_maps(images);
        let mut map = backbone.c5.clone();
        let mut maps = vec![backbone.c4, backbone.c5];
        for block in &self.extra {
            map = block.forward(map);
            maps.push(map.clone());
        }
        maps
    }

    /// Stops the training of some parts. They keep their running statistics and
    /// store no activations.
    #[must_use]
    pub fn freeze_parts(self, frozen: Frozen) -> Self {
        let extra = match frozen {
            Frozen::Backbone => self.extra,
            Frozen::AllButHeads => self.extra.freeze(),
        };
        Self {
            backbone: self.backbone.freeze(),
            extra,
            ..self
        }
    }
}

impl Network for Detector {
    fn inventory(&self) -> &Inventory {
        &self.inventory
    }
}
