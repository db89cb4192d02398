//! MobileNetV3 (arXiv 1905.02244) as a backbone and as a classifier.

use std::sync::Arc;

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Tensor};
use ssdlite_core::mobilenet::{self as table, CLASSIFIER_DROPOUT, ClassifierNetwork};

use crate::network::Network;
use crate::ops::FeatureMap;
use crate::parameters::{ConvolutionFill, Inventory, ParameterBuilder};
use crate::unit::{Linear, SqueezeExcitation, Unit, UnitOptions};

/// Share of the newest batch in the running statistics of a classifier:
/// torchvision's `mobilenetv3.py`.
pub const CLASSIFIER_MOMENTUM: f64 = 0.01;

/// An inverted residual block: widen, depthwise, narrow.
#[derive(Module, Debug)]
pub struct InvertedResidual {
    expand: Option<Unit>,
    depthwise: Unit,
    squeeze_excitation: Option<SqueezeExcitation>,
    project: Unit,
    #[module(skip)]
    residual: bool,
}

impl InvertedResidual {
    fn new(
        block: &table::InvertedResidual,
        options: UnitOptions,
        builder: &mut ParameterBuilder<'_>,
    ) -> Self {
        Self {
            expand: block
                .expand
                .as_ref()
                .map(|unit| Unit::new(unit, options, builder)),
            depthwise: Unit::new(&block.depthwise, options, builder),
            squeeze_excitation: block
                .squeeze_excite
                .as_ref()
                .map(|layer| SqueezeExcitation::new(layer, options.fill, builder)),
            project: Unit::new(&block.project, options, builder),
            residual: block.residual,
        }
    }

    /// From `[N, Ci, H, W]` to `[N, Co, H', W']`.
    pub fn forward(&self, input: FeatureMap) -> FeatureMap {
        if !self.residual {
            return self.narrow(self.widen(input));
        }
        let input = input.stored();
        let output = self.narrow(self.widen(input.clone()));
        output.activations_add(input)
    }

    fn widen(&self, input: FeatureMap) -> FeatureMap {
        match &self.expand {
            Some(unit) => unit.forward(input),
            None => input,
        }
    }

    fn narrow(&self, widened: FeatureMap) -> FeatureMap {
        let map = match &self.squeeze_excitation {
            Some(layer) => self.depthwise.forward_excited(widened, layer),
            None => self.depthwise.forward(widened),
        };
        self.project.forward(map)
    }
}

/// The convolutional part of MobileNetV3.
#[derive(Module, Debug)]
pub struct Backbone {
    stem: Unit,
    blocks: Vec<InvertedResidual>,
    last: Unit,
    #[module(skip)]
    c4_block: usize,
}

/// The two maps of the backbone that a detector looks at.
#[derive(Clone, Debug)]
pub struct BackboneMaps {
    /// The expansion inside the bottleneck of stride 32, at stride 16,
    /// `[N, C4, H / 16, W / 16]`.
    pub c4: FeatureMap,
    /// The last map, `[N, C5, H / 32, W / 32]`.
    pub c5: FeatureMap,
}

impl Backbone {
    pub(crate) fn new(
        backbone: &table::Backbone,
        momentum: f64,
        builder: &mut ParameterBuilder<'_>,
    ) -> Self {
        let options = UnitOptions {
            fill: ConvolutionFill::KaimingFanOut,
            momentum,
        };
        let stem = Unit::new(&backbone.stem, options, builder);
        let blocks = backbone
            .blocks
            .iter()
            .map(|block| InvertedResidual::new(block, options, builder))
            .collect();
        let last = Unit::new(&backbone.last, options, builder);
        Self {
            stem,
            blocks,
            last,
            c4_block: backbone.c4_block,
        }
    }

    /// From images `[N, 3, H, W]` to the last map, `[N, C5, H / 32, W / 32]`,
    /// sizes rounded up.
    pub fn forward(&self, images: Tensor<4>) -> FeatureMap {
        let start = self.stem.forward(images.into());
        let map = self
            .blocks
            .iter()
            .fold(start, |map, block| block.forward(map));
        self.last.forward(map)
    }

    /// From images `[N, 3, H, W]` to both maps, sizes rounded up.
    pub fn forward_maps(&self, images: Tensor<4>) -> BackboneMaps {
        let (before, from_c4) = self.blocks.split_at(self.c4_block);
        let start = self.stem.forward(images.into());
        let map = before.iter().fold(start, |map, block| block.forward(map));
        let (tapped, after) = (&from_c4[0], &from_c4[1..]);
        let c4 = tapped.widen(map);
        let start = tapped.narrow(c4.clone());
        let map = after.iter().fold(start, |map, block| block.forward(map));
        BackboneMaps {
            c4,
            c5: self.last.forward(map),
        }
    }
}

/// MobileNetV3 as a classifier.
#[derive(Module, Debug)]
pub struct Classifier {
    backbone: Backbone,
    hidden: Linear,
    dropout: Dropout,
    output: Linear,
    #[module(skip)]
    inventory: Arc<Inventory>,
}

impl Classifier {
    /// A classifier with first values as in torchvision, drawn from `seed`. On
    /// a device with autodiff it is in training mode; [`Module::valid`] gives
    /// the evaluation mode.
    pub fn new(network: &ClassifierNetwork, seed: u64, device: &Device) -> Self {
        let mut builder = ParameterBuilder::new(network.tensors(), seed, device);
        let backbone = Backbone::new(&network.backbone, CLASSIFIER_MOMENTUM, &mut builder);
        let hidden = Linear::new(&network.hidden, &mut builder);
        let output = Linear::new(&network.output, &mut builder);
        Self {
            backbone,
            hidden,
            dropout: DropoutConfig::new(CLASSIFIER_DROPOUT).init(),
            output,
            inventory: builder.into_inventory(),
        }
    }

    /// From images `[N, 3, H, W]`, normalised by ImageNet's mean and deviation,
    /// to logits `[N, classes]`. Dropout draws from the device's generator.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let pooled = self.backbone.forward(images).average_pool();
        let pooled = pooled.flatten::<2>(1, 3);
        let hidden = self.hidden.forward(pooled);
        let gate = hidden
            .clone()
            .add_scalar(3.0)
            .clamp(0.0, 6.0)
            .div_scalar(6.0);
        self.output.forward(self.dropout.forward(hidden * gate))
    }

    /// Stops the training of everything but the two linear layers. The
    /// backbone keeps its running statistics and stores no activations.
    #[must_use]
    pub fn freeze_backbone(self) -> Self {
        Self {
            backbone: self.backbone.freeze(),
            ..self
        }
    }
}

impl Network for Classifier {
    fn inventory(&self) -> &Inventory {
        &self.inventory
    }
}
