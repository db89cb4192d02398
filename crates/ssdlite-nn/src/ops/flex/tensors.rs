//! Tensors as the slices that kernels read.

use std::ops::Deref;

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Shape, TensorData};
use ssdlite_kernels::Activation as KernelActivation;
use ssdlite_kernels::train::map::MapShape;
use ssdlite_kernels::train::norm::Affine;
use ssdlite_kernels::train::operand::{Input, Normalised};
use ssdlite_kernels::train::squeeze_excite::Excite;

use super::super::{Activation, ExcitationParameters, Gate, PendingMap, UnitInput};

/// What a kernel made of tensors that fit each other.
///
/// # Panics
/// If they didn't, as Burn's operations do.
#[track_caller]
pub(super) fn fitting<T>(result: Result<T, ssdlite_kernels::Error>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("tensors that don't fit each other: {error}"),
    }
}

pub(super) fn kernel_activation(activation: Activation) -> KernelActivation {
    match activation {
        Activation::Identity => KernelActivation::None,
        Activation::Relu => KernelActivation::Relu,
        Activation::Relu6 => KernelActivation::Relu6,
        Activation::HardSwish => KernelActivation::HardSwish,
    }
}

/// The size of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MapSize {
    pub(super) images: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
}

impl MapSize {
    /// Of a tensor `[N, C, H, W]`.
    pub(super) fn of(tensor: &FloatTensor<Flex>) -> Self {
        Self::of_shape(&tensor.shape())
    }

    /// `[N, C, H, W]`
    pub(super) fn of_shape(shape: &Shape) -> Self {
        Self {
            images: shape[0],
            height: shape[2],
            width: shape[3],
            channels: shape[1],
        }
    }

    pub(super) fn len(self) -> usize {
        self.images * self.height * self.width * self.channels
    }

    pub(super) fn shape(self) -> MapShape {
        fitting(MapShape::new(
            self.images,
            self.height * self.width,
            self.channels,
        ))
    }
}

/// Numbers of a tensor, row-major.
#[derive(Clone, Debug)]
pub(super) struct Numbers(FloatTensor<Flex>);

impl Numbers {
    /// Of a tensor of f32; they are copied only if they don't lie row-major.
    pub(super) fn new(tensor: FloatTensor<Flex>) -> Self {
        if tensor.as_slice::<f32>().is_some() {
            Self(tensor)
        } else {
            Self(tensor.to_contiguous())
        }
    }

    pub(super) fn from_vec(values: Vec<f32>) -> Self {
        let length = values.len();
        Self(FloatTensor::<Flex>::from_data(TensorData::new(
            values,
            [length],
        )))
    }

    pub(super) fn into_tensor(self) -> FloatTensor<Flex> {
        self.0
    }

    pub(super) fn into_tensor_of<const D: usize>(self, shape: [usize; D]) -> FloatTensor<Flex> {
        Flex::float_reshape(self.0, Shape::new(shape))
    }
}

impl Deref for Numbers {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.0
            .as_slice()
            .expect("the networks' tensors are of f32, and these lie row-major")
    }
}

/// A map's numbers, channels-last.
#[derive(Clone, Debug)]
pub(super) struct Map {
    numbers: Numbers,
    pub(super) size: MapSize,
}

impl Map {
    /// Of a tensor `[N, C, H, W]`.
    pub(super) fn new(tensor: FloatTensor<Flex>) -> Self {
        let size = MapSize::of(&tensor);
        let numbers = Numbers::new(Flex::float_permute(tensor, &[0, 2, 3, 1]));
        Self { numbers, size }
    }

    /// `[N, C, H, W]`
    pub(super) fn into_tensor(self) -> FloatTensor<Flex> {
        Flex::float_permute(self.numbers.into_tensor(), &[0, 3, 1, 2])
    }
}

impl Deref for Map {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.numbers
    }
}

/// What an operation reads.
pub(super) struct Source {
    values: Map,
    pending: Option<PendingSource>,
}

/// What makes a unit's result of its values.
struct PendingSource {
    affine: Affine,
    activation: KernelActivation,
    mean: Numbers,
    factors: Option<Numbers>,
}

impl Source {
    pub(super) fn new(input: UnitInput<Flex>) -> Self {
        match input {
            UnitInput::Plain(values) | UnitInput::Stored(values) => Self {
                values: Map::new(values),
                pending: None,
            },
            UnitInput::Pending(map) => Self::pending(map),
        }
    }

    fn pending(map: PendingMap<Flex>) -> Self {
        let [mean, variance] = [map.mean, map.variance].map(Numbers::new);
        let [gamma, beta] = [map.gamma, map.beta].map(Numbers::new);
        let epsilon = map.norm.epsilon as f32;
        let affine = fitting(Affine::from_norm(&mean, &variance, &gamma, &beta, epsilon));
        let factors = match map.gate {
            Gate::Absent => None,
            Gate::Present(gate) => Some(Numbers::new(gate.factors)),
        };
        Self {
            values: Map::new(map.values),
            pending: Some(PendingSource {
                affine,
                activation: kernel_activation(map.norm.activation),
                mean,
                factors,
            }),
        }
    }

    pub(super) fn size(&self) -> MapSize {
        self.values.size
    }

    pub(super) fn input(&self) -> Input<'_> {
        match &self.pending {
            None => Input::Plain(&self.values),
            Some(pending) => Input::Normalised(Normalised {
                z: &self.values,
                affine: &pending.affine,
                activation: pending.activation,
                image_scale: pending.factors.as_deref(),
            }),
        }
    }

    /// The mean of the values per channel, if they are a unit's without factors.
    pub(super) fn mean_without_factors(&self) -> Option<&[f32]> {
        match &self.pending {
            Some(pending) if pending.factors.is_none() => Some(&pending.mean),
            _ => None,
        }
    }

    /// How many factors there are, if any.
    pub(super) fn factors(&self) -> Option<usize> {
        Some(self.pending.as_ref()?.factors.as_ref()?.len())
    }
}

/// Parameters of squeeze-and-excitation.
pub(super) struct ExcitationNumbers {
    pub(super) squeeze: Numbers,
    pub(super) squeeze_bias: Numbers,
    pub(super) expand: Numbers,
    pub(super) expand_bias: Numbers,
}

impl ExcitationNumbers {
    pub(super) fn new(parameters: ExcitationParameters<Flex>) -> Self {
        Self {
            squeeze: Numbers::new(parameters.squeeze),
            squeeze_bias: Numbers::new(parameters.squeeze_bias),
            expand: Numbers::new(parameters.expand),
            expand_bias: Numbers::new(parameters.expand_bias),
        }
    }

    pub(super) fn excite(&self) -> Excite<'_> {
        Excite {
            squeeze: &self.squeeze,
            squeeze_bias: &self.squeeze_bias,
            expand: &self.expand,
            expand_bias: &self.expand_bias,
        }
    }
}
