//! The operations on the CPU, by the kernels of `ssdlite-kernels`.
//!
//! A map's numbers lie channels-last; its tensor, `[N, C, H, W]`, is a permuted
//! view of them, so nothing is rearranged between two operations. Convolutions
//! that neither network has (other kernels, groups or strides) go to the
//! default bodies.

mod backward;
mod convolution;
mod memory;
mod tensors;
mod threads;

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use ssdlite_kernels::Context;
use ssdlite_kernels::train::map::MapShape;
use ssdlite_kernels::train::norm::{self, Affine, Moments};
use ssdlite_kernels::train::operand::{Input, Normalised};
use ssdlite_kernels::train::squeeze_excite::{Excite, Excited, excite_forward};

use self::convolution::Kernel;
use self::memory::Buffer;
use self::tensors::{Map, Numbers, Source, constant, fitting, kernel_activation};
use super::{
    Convolution, Excitation, ExcitationParameters, Gate, GateValues, NetworkOps, NormSpec,
    PendingMap, Statistics, UnitInput, UnitOutput, UnitParameters, UnitSpec, primitives,
};

pub use threads::set_cpu_threads;
pub(super) use threads::with_context;

impl NetworkOps for Flex {
    fn unit(
        input: UnitInput<Self>,
        parameters: UnitParameters<Self>,
        statistics: Statistics<Self>,
        spec: UnitSpec,
    ) -> UnitOutput<Self> {
        match Kernel::new(&input, &parameters.weight, spec.convolution) {
            None => primitives::unit(input, parameters, statistics, spec),
            Some(kernel) => with_context(|cx| unit(cx, kernel, input, parameters, statistics, spec)),
        }
    }

    fn biased_convolution(
        input: UnitInput<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self> {
        match Kernel::new(&input, &weight, convolution) {
            Some(Kernel::Pointwise(kernel)) => with_context(|cx| {
                let source = Source::new(input);
                let (weight, bias) = (Numbers::new(weight), Numbers::new(bias));
                let mut z = Buffer::take(kernel.shape.output_size());
                fitting(ssdlite_kernels::train::pointwise::pointwise_forward(
                    cx,
                    kernel.shape,
                    source.input(),
                    (&weight, Some(&bias)),
                    &mut z,
                ));
                Map::new(z, kernel.output).into_tensor()
            }),
            _ => {
                let values = primitives::operand(input);
                Self::conv2d_with_bias(values, weight, bias, convolution)
            }
        }
    }

    fn activations(map: PendingMap<Self>) -> FloatTensor<Self> {
        activations(map, None)
    }

    fn activations_add(map: PendingMap<Self>, residual: FloatTensor<Self>) -> FloatTensor<Self> {
        activations(map, Some(residual))
    }
}
