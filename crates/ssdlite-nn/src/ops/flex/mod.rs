//! The operations on the CPU, by the kernels of `ssdlite-kernels`.
//!
//! A map's numbers lie channels-last; its tensor, `[N, C, H, W]`, is a permuted
//! view of them, so nothing is rearranged between two operations. Convolutions
//! that neither network has (other kernels, groups or strides) are left to the
//! default bodies.

mod backward;
#[cfg(any(test, feature = "default-bodies"))]
mod bodies;
mod convolution;
mod memory;
mod tensors;
#[cfg(test)]
mod tests;
mod threads;

use burn::backend::Flex;
#[cfg(any(test, feature = "default-bodies"))]
use burn::backend::ops::FloatTensorOps;
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use ssdlite_kernels::Context;
use ssdlite_kernels::train::norm::{Affine, normalise};
use ssdlite_kernels::train::operand::{Input, Normalised};
use ssdlite_kernels::train::pointwise::pointwise_forward;
use ssdlite_kernels::train::squeeze_excite::{average_pool, excite_forward};

use self::convolution::Kernel;
use self::memory::Buffer;
use self::tensors::{ExcitationNumbers, Map, Numbers, Source, fitting, kernel_activation};
use super::{
    Convolution, Excitation, ExcitationParameters, Gate, GateValues, NetworkOps, PendingMap,
    Statistics, UnitInput, UnitOutput, UnitParameters, UnitSpec, primitives,
};

#[cfg(any(test, feature = "default-bodies"))]
pub use bodies::with_default_bodies;
pub use threads::{set_cpu_threads, with_cpu_context};

impl NetworkOps for Flex {
    fn unit(
        input: UnitInput<Self>,
        parameters: UnitParameters<Self>,
        statistics: Statistics<Self>,
        spec: UnitSpec,
    ) -> UnitOutput<Self> {
        match Kernel::new(&input, &parameters.weight, spec.convolution) {
            None => primitives::unit(input, parameters, statistics, spec),
            Some(kernel) => threads::with_cpu_context(|cx| {
                unit(
                    cx,
                    &kernel,
                    Source::new(input),
                    parameters,
                    statistics,
                    spec,
                )
            }),
        }
    }

    fn biased_convolution(
        input: UnitInput<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self> {
        let kernel = Kernel::new(&input, &weight, convolution);
        let Some((size, shape)) = kernel.and_then(|k| Some((k.output(), k.as_pointwise()?))) else {
            let values = primitives::operand(input);
            return Self::conv2d(values, weight, Some(bias), convolution.options());
        };
        let source = Source::new(input);
        let (weight, bias) = (Numbers::new(weight), Numbers::new(bias));
        let mut output = Buffer::take(size.len());
        threads::with_cpu_context(|cx| {
            let weights: (&[f32], Option<&[f32]>) = (&weight, Some(&bias));
            fitting(pointwise_forward(
                cx,
                shape,
                source.input(),
                weights,
                &mut output,
            ));
        });
        output.into_map(size)
    }

    fn activations(input: UnitInput<Self>) -> FloatTensor<Self> {
        match input {
            UnitInput::Plain(values) | UnitInput::Stored(values) => values,
            UnitInput::Pending(map) => activations(map, None),
        }
    }

    fn activations_add(map: PendingMap<Self>, residual: UnitInput<Self>) -> FloatTensor<Self> {
        activations(map, Some(Self::activations(residual)))
    }

    fn average_pool(input: UnitInput<Self>) -> FloatTensor<Self> {
        let source = Source::new(input);
        let size = source.size();
        let mut pooled = vec![0.0; size.images * size.channels];
        threads::with_cpu_context(|cx| {
            fitting(average_pool(cx, size.shape(), source.input(), &mut pooled));
        });
        Numbers::from_vec(pooled).into_tensor_of([size.images, size.channels, 1, 1])
    }
}

fn unit(
    cx: Context<'_>,
    kernel: &Kernel,
    source: Source,
    parameters: UnitParameters<Flex>,
    statistics: Statistics<Flex>,
    spec: UnitSpec,
) -> UnitOutput<Flex> {
    let size = kernel.output();
    let weight = Numbers::new(parameters.weight);
    let mut values = Buffer::take(size.len());
    let (mean, variance) = match statistics {
        Statistics::Batch => {
            let moments = kernel.forward_moments(cx, source.input(), &weight, &mut values);
            (
                Numbers::from_vec(moments.mean),
                Numbers::from_vec(moments.variance),
            )
        }
        Statistics::Running { mean, variance } => {
            kernel.forward(cx, source.input(), &weight, &mut values);
            (Numbers::new(mean), Numbers::new(variance))
        }
    };
    let gate = match parameters.excitation {
        Excitation::Absent => Gate::Absent,
        Excitation::Present(excitation) => {
            let (gamma, beta) = (
                Numbers::new(parameters.gamma),
                Numbers::new(parameters.beta),
            );
            let epsilon = spec.norm.epsilon as f32;
            let affine = fitting(Affine::from_norm(&mean, &variance, &gamma, &beta, epsilon));
            let input = Input::Normalised(Normalised {
                z: &values,
                affine: &affine,
                activation: kernel_activation(spec.norm.activation),
                image_scale: None,
            });
            Gate::Present(gate(cx, kernel, input, excitation))
        }
    };
    UnitOutput {
        values: values.into_map(size),
        mean: mean.into_tensor(),
        variance: variance.into_tensor(),
        gate,
    }
}

fn gate(
    cx: Context<'_>,
    kernel: &Kernel,
    input: Input<'_>,
    parameters: ExcitationParameters<Flex>,
) -> GateValues<Flex> {
    let size = kernel.output();
    let parameters = ExcitationNumbers::new(parameters);
    let excited = fitting(excite_forward(cx, size.shape(), input, parameters.excite()));
    let squeezed = parameters.squeeze_bias.len();
    let tensor = |values: Vec<f32>, channels: usize| {
        Numbers::from_vec(values).into_tensor_of([size.images, channels, 1, 1])
    };
    GateValues {
        pooled: tensor(excited.pooled, size.channels),
        hidden: tensor(excited.hidden, squeezed),
        factors: tensor(excited.scale, size.channels),
    }
}

fn activations(map: PendingMap<Flex>, residual: Option<FloatTensor<Flex>>) -> FloatTensor<Flex> {
    #[cfg(any(test, feature = "default-bodies"))]
    if bodies::default_bodies_wanted() {
        let values = primitives::operand(UnitInput::Pending(map));
        return match residual {
            Some(residual) => Flex::float_add(values, residual),
            None => values,
        };
    }
    let source = Source::new(UnitInput::Pending(map));
    let residual = residual.map(Map::new);
    let size = source.size();
    let mut output = Buffer::take(size.len());
    if let Input::Normalised(input) = source.input() {
        let residual = residual.as_deref();
        threads::with_cpu_context(|cx| {
            fitting(normalise(cx, size.shape(), input, residual, &mut output));
        });
    }
    output.into_map(size)
}
