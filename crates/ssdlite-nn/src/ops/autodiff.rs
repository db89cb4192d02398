//! The operations on autodiff tensors: what the backward pass needs is kept,
//! and [`NetworkGradients`] computes it.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Shape};

use super::gradients::{ExcitationGradients, NetworkGradients, NormGradients, UnitRecord, Wanted};
use super::{
    Convolution, Excitation, ExcitationParameters, Gate, GateValues, NetworkOps, PendingMap,
    Statistics, UnitInput, UnitOutput, UnitParameters, UnitSpec,
};

type Tracked<B, C> = FloatTensor<Autodiff<B, C>>;

impl<B, C> NetworkOps for Autodiff<B, C>
where
    B: NetworkOps + NetworkGradients,
    C: CheckpointStrategy,
{
    fn unit(
        input: UnitInput<Self>,
        parameters: UnitParameters<Self>,
        statistics: Statistics<Self>,
        spec: UnitSpec,
    ) -> UnitOutput<Self> {
        let (input, input_node) = split_input(input);
        let (parameters, nodes) = split_parameters(parameters);
        let (statistics, batch_statistics) = match statistics {
            Statistics::Batch => (Statistics::Batch, true),
            Statistics::Running { mean, variance } => {
                let (mean, variance) = (mean.into_primitive(), variance.into_primitive());
                (Statistics::Running { mean, variance }, false)
            }
        };
        let output = B::unit(input.clone(), parameters.clone(), statistics, spec);
        let (values, mean) = (output.values.clone(), output.mean.clone());
        let (variance, gate) = (output.variance.clone(), output.gate.clone());
        let record = UnitRecord {
            input,
            parameters,
            output,
            batch_statistics,
            spec,
        };
        let [weight, gamma, beta] = nodes.unit;
        let values = match nodes.excitation {
            None => {
                let nodes = [input_node, weight, gamma, beta];
                register::<B, C, _, _, 4>(UnitBackward, nodes, record, values)
            }
            Some([squeeze, squeeze_bias, expand, expand_bias]) => {
                let nodes = [
                    input_node,
                    weight,
                    gamma,
                    beta,
                    squeeze,
                    squeeze_bias,
                    expand,
                    expand_bias,
                ];
                register::<B, C, _, _, 8>(UnitBackward, nodes, record, values)
            }
        };
        UnitOutput {
            values,
            mean: Self::from_inner(mean),
            variance: Self::from_inner(variance),
            gate: constant_gate(gate),
        }
    }

    fn biased_convolution(
        input: UnitInput<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self> {
        let (input, input_node) = split_input(input);
        let (weight, weight_node) = weight.into_parts();
        let (bias, bias_node) = bias.into_parts();
        let output = B::biased_convolution(input.clone(), weight.clone(), bias, convolution);
        let state = (input, weight, convolution);
        let nodes = [input_node, weight_node, bias_node];
        register::<B, C, _, _, 3>(BiasedConvolutionBackward, nodes, state, output)
    }

    fn activations(input: UnitInput<Self>) -> FloatTensor<Self> {
        let (input, node) = split_input(input);
        let state = [Route::of(&input)];
        register::<B, C, _, _, 1>(PassOn, [node], state, B::activations(input))
    }

    fn activations_add(map: PendingMap<Self>, residual: UnitInput<Self>) -> FloatTensor<Self> {
        let (map, node) = split_map(map);
        let (residual, residual_node) = split_input(residual);
        let state = [Route::Map, Route::of(&residual)];
        let output = B::activations_add(map, residual);
        register::<B, C, _, _, 2>(PassOn, [node, residual_node], state, output)
    }

    fn average_pool(input: UnitInput<Self>) -> FloatTensor<Self> {
        let (input, node) = split_input(input);
        let state = (Route::of(&input), input.shape());
        register::<B, C, _, _, 1>(AveragePoolBackward, [node], state, B::average_pool(input))
    }
}

/// Gradients of the maps that this module's operations alone read, by the node
/// of the map. Each is a `FloatTensor` of the backend below autodiff.
///
/// Burn's container adds up the gradients of a tensor's readers as if they lay
/// row-major, and doesn't tell an operation whether it has any. A map is made
/// and read by operations of this module, which all run in the same backward
/// pass, so none is left behind.
static MAP_GRADIENTS: Mutex<BTreeMap<u64, Box<dyn Any + Send>>> = Mutex::new(BTreeMap::new());

fn map_gradients() -> MutexGuard<'static, BTreeMap<u64, Box<dyn Any + Send>>> {
    MAP_GRADIENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the gradient of an operation's input goes.
#[derive(Clone, Copy, Debug)]
enum Route {
    /// To Burn's container.
    Tensor,
    /// To [`MAP_GRADIENTS`].
    Map,
}

impl Route {
    fn of<B: Backend>(input: &UnitInput<B>) -> Self {
        match input {
            UnitInput::Plain(_) => Self::Tensor,
            UnitInput::Stored(_) | UnitInput::Pending(_) => Self::Map,
        }
    }

    fn put<B: NetworkGradients>(
        self,
        grads: &mut Gradients,
        node: NodeId,
        gradient: FloatTensor<B>,
    ) {
        match self {
            Self::Tensor => grads.register::<B>(node, gradient),
            Self::Map => {
                let others = map_gradients().remove(&node.value);
                let gradient = match others.and_then(|others| others.downcast().ok()) {
                    Some(others) => B::accumulate(*others, gradient),
                    None => gradient,
                };
                map_gradients().insert(node.value, Box::new(gradient));
            }
        }
    }
}

/// The gradient of an operation's output.
fn take_gradient<B: NetworkGradients, S, const N: usize>(
    grads: &mut Gradients,
    ops: &Ops<S, N>,
) -> FloatTensor<B> {
    let of_map = map_gradients().remove(&ops.node.id.value);
    match of_map.and_then(|gradient| gradient.downcast().ok()) {
        Some(gradient) => *gradient,
        None => grads.consume::<B>(&ops.node),
    }
}

fn split_input<B: NetworkGradients, C: CheckpointStrategy>(
    input: UnitInput<Autodiff<B, C>>,
) -> (UnitInput<B>, NodeGuard) {
    match input {
        UnitInput::Plain(values) => {
            let (values, node) = values.into_parts();
            (UnitInput::Plain(values), node)
        }
        UnitInput::Stored(values) => {
            let (values, node) = values.into_parts();
            (UnitInput::Stored(values), node)
        }
        UnitInput::Pending(map) => {
            let (map, node) = split_map(map);
            (UnitInput::Pending(map), node)
        }
    }
}

/// A map's constants belong to the unit that made it: its readers' gradients go
/// to the values alone.
fn split_map<B: NetworkGradients, C: CheckpointStrategy>(
    map: PendingMap<Autodiff<B, C>>,
) -> (PendingMap<B>, NodeGuard) {
    let (values, node) = map.values.into_parts();
    let gate = match map.gate {
        Gate::Absent => Gate::Absent,
        Gate::Present(gate) => Gate::Present(GateValues {
            pooled: gate.pooled.into_primitive(),
            hidden: gate.hidden.into_primitive(),
            factors: gate.factors.into_primitive(),
        }),
    };
    let map = PendingMap {
        values,
        mean: map.mean.into_primitive(),
        variance: map.variance.into_primitive(),
        gamma: map.gamma.into_primitive(),
        beta: map.beta.into_primitive(),
        gate,
        norm: map.norm,
    };
    (map, node)
}

fn constant_gate<B: NetworkGradients, C: CheckpointStrategy>(
    gate: Gate<B>,
) -> Gate<Autodiff<B, C>> {
    let constant = <Autodiff<B, C> as AutodiffBackend>::from_inner;
    match gate {
        Gate::Absent => Gate::Absent,
        Gate::Present(gate) => Gate::Present(GateValues {
            pooled: constant(gate.pooled),
            hidden: constant(gate.hidden),
            factors: constant(gate.factors),
        }),
    }
}

/// Nodes of a unit's parameters.
struct ParameterNodes {
    /// Weight, gamma, beta.
    unit: [NodeGuard; 3],
    /// Squeeze, its bias, expand, its bias.
    excitation: Option<[NodeGuard; 4]>,
}

fn split_parameters<B: NetworkGradients, C: CheckpointStrategy>(
    parameters: UnitParameters<Autodiff<B, C>>,
) -> (UnitParameters<B>, ParameterNodes) {
    let (weight, weight_node) = parameters.weight.into_parts();
    let (gamma, gamma_node) = parameters.gamma.into_parts();
    let (beta, beta_node) = parameters.beta.into_parts();
    let (excitation, excitation_nodes) = match parameters.excitation {
        Excitation::Absent => (Excitation::Absent, None),
        Excitation::Present(parameters) => {
            let (parameters, nodes) = split_excitation(parameters);
            (Excitation::Present(parameters), Some(nodes))
        }
    };
    let nodes = ParameterNodes {
        unit: [weight_node, gamma_node, beta_node],
        excitation: excitation_nodes,
    };
    let parameters = UnitParameters {
        weight,
        gamma,
        beta,
        excitation,
    };
    (parameters, nodes)
}

fn split_excitation<B: NetworkGradients, C: CheckpointStrategy>(
    parameters: ExcitationParameters<Autodiff<B, C>>,
) -> (ExcitationParameters<B>, [NodeGuard; 4]) {
    let (squeeze, squeeze_node) = parameters.squeeze.into_parts();
    let (squeeze_bias, squeeze_bias_node) = parameters.squeeze_bias.into_parts();
    let (expand, expand_node) = parameters.expand.into_parts();
    let (expand_bias, expand_bias_node) = parameters.expand_bias.into_parts();
    let parameters = ExcitationParameters {
        squeeze,
        squeeze_bias,
        expand,
        expand_bias,
    };
    let nodes = [
        squeeze_node,
        squeeze_bias_node,
        expand_node,
        expand_bias_node,
    ];
    (parameters, nodes)
}

/// Adds a step to the graph; its state is dropped where no gradient is wanted.
fn register<B, C, T, S, const N: usize>(
    backward: T,
    nodes: [NodeGuard; N],
    state: S,
    output: FloatTensor<B>,
) -> Tracked<B, C>
where
    B: NetworkGradients,
    C: CheckpointStrategy,
    T: Backward<B, N, State = S>,
    S: Clone + Send + core::fmt::Debug + 'static,
{
    match backward.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(state, output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    }
}

/// Parents: input, weight, gamma, beta, then the four of an excitation.
#[derive(Debug)]
struct UnitBackward;

impl<B: NetworkGradients, const N: usize> Backward<B, N> for UnitBackward {
    type State = UnitRecord<B>;

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = take_gradient::<B, _, _>(grads, &ops);
        let wanted = Wanted {
            input: ops.parents[0].is_some(),
            weight: ops.parents[1].is_some(),
        };
        let route = Route::of(&ops.state.input);
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        let gradients = B::unit_backward(ops.state, gradient, wanted);
        let NormGradients { gamma, beta } = gradients.norm;
        let mut list = vec![gradients.weight, Some(gamma), Some(beta)];
        if let Some(ExcitationGradients {
            squeeze,
            squeeze_bias,
            expand,
            expand_bias,
        }) = gradients.excitation
        {
            list.extend([squeeze, squeeze_bias, expand, expand_bias].map(Some));
        }
        put_all::<B>(grads, parents, (route, gradients.input), list);
    }
}

/// Parents: input, weight, bias.
#[derive(Debug)]
struct BiasedConvolutionBackward;

impl<B: NetworkGradients> Backward<B, 3> for BiasedConvolutionBackward {
    type State = (UnitInput<B>, FloatTensor<B>, Convolution);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = take_gradient::<B, _, _>(grads, &ops);
        let wanted = Wanted {
            input: ops.parents[0].is_some(),
            weight: ops.parents[1].is_some(),
        };
        let (input, weight, convolution) = ops.state;
        let route = Route::of(&input);
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        let gradients =
            B::biased_convolution_backward(input, weight, convolution, gradient, wanted);
        let parameters = [gradients.weight, Some(gradients.bias)];
        put_all::<B>(grads, parents, (route, gradients.input), parameters);
    }
}

/// Every parent gets the output's gradient.
#[derive(Debug)]
struct PassOn;

impl<B: NetworkGradients, const N: usize> Backward<B, N> for PassOn {
    type State = [Route; N];

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = take_gradient::<B, _, _>(grads, &ops);
        for (parent, route) in ops.parents.into_iter().zip(ops.state) {
            if let Some(node) = parent {
                route.put::<B>(grads, node.id, gradient.clone());
            }
        }
    }
}

#[derive(Debug)]
struct AveragePoolBackward;

impl<B: NetworkGradients> Backward<B, 1> for AveragePoolBackward {
    type State = (Route, Shape);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = take_gradient::<B, _, _>(grads, &ops);
        let (route, shape) = ops.state;
        let [parent] = ops.parents;
        if let Some(node) = parent {
            let gradient = B::average_pool_backward(shape, gradient);
            route.put::<B>(grads, node.id, gradient);
        }
    }
}

/// Hands the gradients of input and parameters to those that wait for them.
fn put_all<B: NetworkGradients>(
    grads: &mut Gradients,
    parents: impl IntoIterator<Item = Option<NodeId>>,
    (route, input): (Route, Option<FloatTensor<B>>),
    parameters: impl IntoIterator<Item = Option<FloatTensor<B>>>,
) {
    let mut parents = parents.into_iter();
    if let (Some(Some(node)), Some(gradient)) = (parents.next(), input) {
        route.put::<B>(grads, node, gradient);
    }
    for (parent, gradient) in parents.zip(parameters) {
        if let (Some(node), Some(gradient)) = (parent, gradient) {
            grads.register::<B>(node, gradient);
        }
    }
}
