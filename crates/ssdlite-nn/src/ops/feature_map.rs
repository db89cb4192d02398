//! The operations on Burn's tensors.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::{
    Convolution, Excitation, ExcitationParameters, Gate, GateValues, NetworkOps, NormSpec,
    PendingMap, Statistics, UnitInput, UnitOutput, UnitParameters, UnitSpec,
};

/// A feature map on its way from one operation to the next.
#[derive(Clone, Debug)]
pub struct FeatureMap(Form);

#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are two or three at a time, and a box would be allocated for every layer"
)]
enum Form {
    /// Values as they are, `[N, C, H, W]`, of a tensor that others may read.
    Plain(Tensor<4>),
    /// Values as they are, which nobody else has.
    Stored(Tensor<4>),
    /// A unit's result, computed by its reader.
    Pending(Pending),
}

/// See [`PendingMap`].
#[derive(Clone, Debug)]
struct Pending {
    values: Tensor<4>,
    mean: Tensor<1>,
    variance: Tensor<1>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    gate: Option<[Tensor<4>; 3]>,
    norm: NormSpec,
}

/// A unit's parameters; see [`UnitParameters`].
#[derive(Clone, Debug)]
pub struct UnitTensors {
    /// `[Co, Ci / groups, k, k]`
    pub weight: Tensor<4>,
    /// `[Co]`
    pub gamma: Tensor<1>,
    /// `[Co]`
    pub beta: Tensor<1>,
    /// Squeeze-and-excitation after the activation, if any.
    pub excitation: Option<ExcitationTensors>,
}

/// Parameters of squeeze-and-excitation; see [`ExcitationParameters`].
#[derive(Clone, Debug)]
pub struct ExcitationTensors {
    /// `[S, C, 1, 1]`
    pub squeeze: Tensor<4>,
    /// `[S]`
    pub squeeze_bias: Tensor<1>,
    /// `[C, S, 1, 1]`
    pub expand: Tensor<4>,
    /// `[C]`
    pub expand_bias: Tensor<1>,
}

/// Statistics of earlier batches.
#[derive(Clone, Debug)]
pub struct RunningTensors {
    /// `[Co]`
    pub mean: Tensor<1>,
    /// `[Co]`
    pub variance: Tensor<1>,
}

/// A unit's result with the statistics that it was normalised by.
#[derive(Clone, Debug)]
pub struct UnitResult {
    /// `[N, Co, H', W']`
    pub map: FeatureMap,
    /// Mean of each channel, `[Co]`, without autodiff.
    pub mean: Tensor<1>,
    /// Biased variance of each channel, `[Co]`, without autodiff.
    pub variance: Tensor<1>,
}

impl From<Tensor<4>> for FeatureMap {
    /// A map of values as they are, `[N, C, H, W]`.
    fn from(values: Tensor<4>) -> Self {
        Self(Form::Plain(values))
    }
}

impl FeatureMap {
    /// `[N, C, H, W]`.
    pub fn dims(&self) -> [usize; 4] {
        match &self.0 {
            Form::Plain(values) | Form::Stored(values) => values.dims(),
            Form::Pending(map) => map.values.dims(),
        }
    }

    /// The values, `[N, C, H, W]`.
    pub fn activations(self) -> Tensor<4> {
        match self.0 {
            Form::Plain(values) => values,
            form => Tensor::from_dispatch(Dispatch::activations(Self(form).into())),
        }
    }

    /// The same map; its values are computed now, once for all readers.
    #[must_use]
    pub fn stored(self) -> Self {
        match self.0 {
            Form::Pending(_) => Self(Form::Stored(self.activations())),
            form => Self(form),
        }
    }

    /// The map plus `residual`, both `[N, C, H, W]`.
    #[must_use]
    pub fn activations_add(self, residual: Self) -> Self {
        match self.0 {
            Form::Pending(map) => {
                let sum = Dispatch::activations_add(map.into(), residual.into());
                Self(Form::Stored(Tensor::from_dispatch(sum)))
            }
            form => (Self(form).activations() + residual.activations()).into(),
        }
    }

    /// The mean of each channel over the map: from `[N, C, H, W]` to
    /// `[N, C, 1, 1]`.
    pub fn average_pool(self) -> Tensor<4> {
        Tensor::from_dispatch(Dispatch::average_pool(self.into()))
    }

    /// Convolution, batch norm, activation and squeeze-and-excitation: from
    /// `[N, Ci, H, W]` to `[N, Co, H', W']`. Batch norm takes the `running`
    /// statistics, or those of the batch where there are none.
    pub fn unit(
        self,
        parameters: UnitTensors,
        running: Option<RunningTensors>,
        spec: UnitSpec,
    ) -> UnitResult {
        // Readers see them as constants: their gradient is the unit's own.
        let gamma = parameters.gamma.clone().inner();
        let beta = parameters.beta.clone().inner();
        let statistics = running.map_or(Statistics::Batch, |running| Statistics::Running {
            mean: running.mean.into_dispatch(),
            variance: running.variance.into_dispatch(),
        });
        let UnitOutput {
            values,
            mean,
            variance,
            gate,
        } = Dispatch::unit(self.into(), parameters.into(), statistics, spec);
        let mean = Tensor::<1>::from_dispatch(mean).inner();
        let variance = Tensor::<1>::from_dispatch(variance).inner();
        let gate = match gate {
            Gate::Absent => None,
            Gate::Present(gate) => {
                let parts = [gate.pooled, gate.hidden, gate.factors];
                Some(parts.map(|part| Tensor::from_dispatch(part).inner()))
            }
        };
        let map = Pending {
            values: Tensor::from_dispatch(values),
            mean: mean.clone(),
            variance: variance.clone(),
            gamma,
            beta,
            gate,
            norm: spec.norm,
        };
        UnitResult {
            map: Self(Form::Pending(map)),
            mean,
            variance,
        }
    }

    /// Convolution with a bias, `[Co]`, and nothing after it: from
    /// `[N, Ci, H, W]` to `[N, Co, H', W']`.
    pub fn biased_convolution(
        self,
        weight: Tensor<4>,
        bias: Tensor<1>,
        convolution: Convolution,
    ) -> Tensor<4> {
        Tensor::from_dispatch(Dispatch::biased_convolution(
            self.into(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            convolution,
        ))
    }
}

impl From<FeatureMap> for UnitInput<Dispatch> {
    fn from(map: FeatureMap) -> Self {
        match map.0 {
            Form::Plain(values) => Self::Plain(values.into_dispatch()),
            Form::Stored(values) => Self::Stored(values.into_dispatch()),
            Form::Pending(map) => Self::Pending(map.into()),
        }
    }
}

impl From<Pending> for PendingMap<Dispatch> {
    fn from(map: Pending) -> Self {
        let gate = match map.gate.map(|parts| parts.map(Tensor::into_dispatch)) {
            None => Gate::Absent,
            Some([pooled, hidden, factors]) => Gate::Present(GateValues {
                pooled,
                hidden,
                factors,
            }),
        };
        Self {
            values: map.values.into_dispatch(),
            mean: map.mean.into_dispatch(),
            variance: map.variance.into_dispatch(),
            gamma: map.gamma.into_dispatch(),
            beta: map.beta.into_dispatch(),
            gate,
            norm: map.norm,
        }
    }
}

impl From<UnitTensors> for UnitParameters<Dispatch> {
    fn from(parameters: UnitTensors) -> Self {
        let excitation = match parameters.excitation {
            None => Excitation::Absent,
            Some(parameters) => Excitation::Present(ExcitationParameters {
                squeeze: parameters.squeeze.into_dispatch(),
                squeeze_bias: parameters.squeeze_bias.into_dispatch(),
                expand: parameters.expand.into_dispatch(),
                expand_bias: parameters.expand_bias.into_dispatch(),
            }),
        };
        Self {
            weight: parameters.weight.into_dispatch(),
            gamma: parameters.gamma.into_dispatch(),
            beta: parameters.beta.into_dispatch(),
            excitation,
        }
    }
}
