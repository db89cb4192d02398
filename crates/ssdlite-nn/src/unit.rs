//! The modules that both networks are made of, built from the tables of
//! `ssdlite-core`.

use burn::module::{Flag, Module, Param};
use burn::tensor::Tensor;
use ssdlite_core::unit::{self as table, BATCH_NORM_EPS, Conv, ConvUnit, HeadConv};

use crate::buffer::Buffer;
use crate::ops::{
    Activation, Convolution, ExcitationTensors, FeatureMap, NormSpec, RunningTensors, UnitResult,
    UnitSpec, UnitTensors,
};
use crate::parameters::{ConvolutionFill, Fill, ParameterBuilder};

/// Deviation of the weights of a linear layer: torchvision's `mobilenetv3.py`.
const LINEAR_DEVIATION: f64 = 0.01;

/// How the units of a part of a network are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnitOptions {
    /// First values of the convolutions' weights.
    pub(crate) fill: ConvolutionFill,
    /// Share of the newest batch in the running statistics.
    pub(crate) momentum: f64,
}

impl From<&Conv> for Convolution {
    fn from(conv: &Conv) -> Self {
        Self {
            stride: conv.stride,
            padding: conv.kernel / 2,
            groups: conv.groups(),
        }
    }
}

/// Batch normalisation as PyTorch's `BatchNorm2d`: normalises with the biased
/// variance and keeps a running mean of the unbiased one.
#[derive(Module, Debug)]
pub struct BatchNorm {
    gamma: Param<Tensor<1>>,
    beta: Param<Tensor<1>>,
    running_mean: Buffer,
    running_variance: Buffer,
    batches_tracked: Buffer,
    training: Param<Flag>,
    #[module(skip)]
    momentum: f64,
}

impl BatchNorm {
    fn new(key: &str, channels: usize, momentum: f64, builder: &mut ParameterBuilder<'_>) -> Self {
        let shape = [channels];
        Self {
            gamma: builder.parameter(format!("{key}.weight"), shape, Fill::Constant(1.0)),
            beta: builder.parameter(format!("{key}.bias"), shape, Fill::Constant(0.0)),
            running_mean: builder.buffer(format!("{key}.running_mean"), channels, 0.0),
            running_variance: builder.buffer(format!("{key}.running_var"), channels, 1.0),
            batches_tracked: builder.buffer(format!("{key}.num_batches_tracked"), 1, 0.0),
            training: Param::from_bool(true),
            momentum,
        }
    }

    /// Whether batches are normalised by their own statistics: on a device
    /// with autodiff, unless frozen.
    fn uses_batch_statistics(&self) -> bool {
        self.training.is_enabled() && self.gamma.val().is_autodiff()
    }

    /// The running statistics, unless the batch's own are due.
    fn running(&self) -> Option<RunningTensors> {
        (!self.uses_batch_statistics()).then(|| RunningTensors {
            mean: self.running_mean.value(),
            variance: self.running_variance.value(),
        })
    }

    /// Moves the running statistics towards the batch's. Where a channel has a
    /// single value its unbiased variance is undefined, so the running one
    /// stays as it is; PyTorch refuses such a batch.
    fn update(&self, result: UnitResult) {
        let [batch, _, height, width] = result.map.dims();
        let count = (batch * height * width) as f64;
        let moved = |running: &Buffer, newest: Tensor<1>, factor: f64| {
            let kept = running.value().mul_scalar(1.0 - self.momentum);
            running.set(kept + newest.mul_scalar(self.momentum * factor));
        };
        moved(&self.running_mean, result.mean, 1.0);
        if count > 1.0 {
            let unbiased = count / (count - 1.0);
            moved(&self.running_variance, result.variance, unbiased);
        }
        self.batches_tracked
            .set(self.batches_tracked.value().add_scalar(1.0));
    }
}

/// Convolution, batch normalisation and activation: torchvision's
/// `Conv2dNormActivation`. Everything in both networks that convolves is one,
/// but for the ends of the heads.
#[derive(Module, Debug)]
pub struct Unit {
    weight: Param<Tensor<4>>,
    batch_norm: BatchNorm,
    #[module(skip)]
    convolution: Convolution,
    #[module(skip)]
    activation: Activation,
}

impl Unit {
    pub(crate) fn new(
        unit: &ConvUnit,
        options: UnitOptions,
        builder: &mut ParameterBuilder<'_>,
    ) -> Self {
        let shape = unit.conv.weight_shape();
        let weight = builder.parameter(
            format!("{}.0.weight", unit.key),
            shape,
            options.fill.of_weight(shape),
        );
        let batch_norm = BatchNorm::new(
            &format!("{}.1", unit.key),
            unit.conv.out_channels,
            options.momentum,
            builder,
        );
        Self {
            weight,
            batch_norm,
            convolution: Convolution::from(&unit.conv),
            activation: unit.activation,
        }
    }

    /// From `[N, Ci, H, W]` to `[N, Co, H', W']`.
    pub fn forward(&self, input: FeatureMap) -> FeatureMap {
        self.run(input, None)
    }

    /// The same with squeeze-and-excitation after the activation.
    pub fn forward_excited(&self, input: FeatureMap, layer: &SqueezeExcitation) -> FeatureMap {
        self.run(input, Some(layer.tensors()))
    }

    fn run(&self, input: FeatureMap, excitation: Option<ExcitationTensors>) -> FeatureMap {
        let parameters = UnitTensors {
            weight: self.weight.val(),
            gamma: self.batch_norm.gamma.val(),
            beta: self.batch_norm.beta.val(),
            excitation,
        };
        let spec = UnitSpec {
            convolution: self.convolution,
            norm: NormSpec {
                epsilon: BATCH_NORM_EPS,
                activation: self.activation,
            },
        };
        let result = input.unit(parameters, self.batch_norm.running(), spec);
        let map = result.map.clone();
        if self.batch_norm.uses_batch_statistics() {
            self.batch_norm.update(result);
        }
        map
    }
}

/// A 1x1 convolution with bias and nothing after it.
#[derive(Module, Debug)]
pub struct BiasedConvolution {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    convolution: Convolution,
}

impl BiasedConvolution {
    pub(crate) fn of_head(
        head: &HeadConv,
        fill: ConvolutionFill,
        builder: &mut ParameterBuilder<'_>,
    ) -> Self {
        Self::new(&head.key, &head.conv, fill, builder)
    }

    fn new(
        key: &str,
        conv: &Conv,
        fill: ConvolutionFill,
        builder: &mut ParameterBuilder<'_>,
    ) -> Self {
        let shape = conv.weight_shape();
        Self {
            weight: builder.parameter(format!("{key}.weight"), shape, fill.of_weight(shape)),
            bias: builder.parameter(
                format!("{key}.bias"),
                [conv.out_channels],
                Fill::Constant(0.0),
            ),
            convolution: Convolution::from(conv),
        }
    }

    /// From `[N, Ci, H, W]` to `[N, Co, H, W]`.
    pub fn forward(&self, input: FeatureMap) -> Tensor<4> {
        input.biased_convolution(self.weight.val(), self.bias.val(), self.convolution)
    }
}

/// Squeeze-and-excitation: scales each channel by a gate between 0 and 1
/// computed from all channels' means.
#[derive(Module, Debug)]
pub struct SqueezeExcitation {
    squeeze: BiasedConvolution,
    expand: BiasedConvolution,
}

impl SqueezeExcitation {
    pub(crate) fn new(
        layer: &table::SqueezeExcite,
        fill: ConvolutionFill,
        builder: &mut ParameterBuilder<'_>,
    ) -> Self {
        let (wide, narrow) = (layer.channels, layer.squeeze_channels);
        let key = &layer.key;
        let mut part = |name: &str, conv| {
            BiasedConvolution::new(&format!("{key}.{name}"), &conv, fill, builder)
        };
        Self {
            squeeze: part("fc1", Conv::pointwise(wide, narrow)),
            expand: part("fc2", Conv::pointwise(narrow, wide)),
        }
    }

    fn tensors(&self) -> ExcitationTensors {
        ExcitationTensors {
            squeeze: self.squeeze.weight.val(),
            squeeze_bias: self.squeeze.bias.val(),
            expand: self.expand.weight.val(),
            expand_bias: self.expand.bias.val(),
        }
    }
}

/// A linear layer with bias; its weight is `[out, in]` as in PyTorch.
#[derive(Module, Debug)]
pub struct Linear {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Linear {
    pub(crate) fn new(layer: &table::Linear, builder: &mut ParameterBuilder<'_>) -> Self {
        let fill = Fill::Normal {
            deviation: LINEAR_DEVIATION,
        };
        let (key, out) = (&layer.key, layer.out_features);
        Self {
            weight: builder.parameter(format!("{key}.weight"), [out, layer.in_features], fill),
            bias: builder.parameter(format!("{key}.bias"), [out], Fill::Constant(0.0)),
        }
    }

    /// From `[N, in]` to `[N, out]`.
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let [batch, _] = input.dims();
        let weight = self.weight.val();
        let [outputs, inputs] = weight.dims();
        let map = FeatureMap::from(input.reshape([batch, inputs, 1, 1]));
        let weight = weight.reshape([outputs, inputs, 1, 1]);
        map.biased_convolution(weight, self.bias.val(), Convolution::POINTWISE)
            .reshape([batch, outputs])
    }
}
