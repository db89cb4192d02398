//! The operations on autodiff tensors: the inputs are kept, the outputs'
//! gradients come from [`NetworkGradients`].

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend};

use super::gradients::{
    ExcitationGradients, InputGradients, NetworkGradients, NormalizationGradients, Wanted,
};
use super::{Convolution, Convolved, Excitation, NetworkOps, NormalizedMap, UnitInput};

impl<B, C> NetworkOps for Autodiff<B, C>
where
    B: NetworkOps + NetworkGradients,
    C: CheckpointStrategy,
{
    fn unit_convolution(
        input: UnitInput<Self>,
        weight: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self> {
        let step = ConvolutionStep::<B, C>::new(input, weight, convolution);
        let output = B::unit_convolution(step.input(), step.weight(), convolution);
        step.finish(output)
    }

    fn unit_convolution_statistics(
        input: UnitInput<Self>,
        weight: FloatTensor<Self>,
        convolution: Convolution,
    ) -> Convolved<Self> {
        let step = ConvolutionStep::<B, C>::new(input, weight, convolution);
        let output = B::unit_convolution_statistics(step.input(), step.weight(), convolution);
        Convolved {
            values: step.finish(output.values),
            mean: Self::from_inner(output.mean),
            variance: Self::from_inner(output.variance),
        }
    }

    fn unit_convolution_bias(
        input: UnitInput<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self> {
        let (bias, bias_node) = bias.into_parts();
        let step = ConvolutionStep::<B, C>::new(input, weight, convolution);
        let output = B::unit_convolution_bias(step.input(), step.weight(), bias, convolution);
        step.finish_with_bias(bias_node, output)
    }

    fn unit_normalize(map: NormalizedMap<Self>) -> FloatTensor<Self> {
        let (map, nodes) = split_map(map);
        let output = B::unit_normalize(map.clone());
        record::<B, C, _, _, 3>(NormalizationBackward, nodes, map, output)
    }

    fn unit_normalize_add(
        map: NormalizedMap<Self>,
        residual: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (map, [values, gamma, beta]) = split_map(map);
        let (residual, residual_node) = residual.into_parts();
        let output = B::unit_normalize_add(map.clone(), residual);
        let nodes = [values, gamma, beta, residual_node];
        record::<B, C, _, _, 4>(NormalizationBackward, nodes, map, output)
    }
}

type Tracked<B, C> = FloatTensor<Autodiff<B, C>>;

/// A convolution's inputs taken apart into values and graph nodes.
struct ConvolutionStep<B: NetworkGradients, C> {
    state: ConvolutionState<B>,
    weight_node: NodeGuard,
    input_nodes: InputNodes,
    strategy: core::marker::PhantomData<C>,
}

/// The nodes of an input, in the order of [`input_gradients`].
enum InputNodes {
    Plain(NodeGuard),
    Normalized([NodeGuard; 3]),
    Excited([NodeGuard; 3], [NodeGuard; 4]),
}

/// What the backward pass of a convolution needs.
#[derive(Clone, Debug)]
struct ConvolutionState<B: NetworkGradients> {
    input: UnitInput<B>,
    weight: FloatTensor<B>,
    convolution: Convolution,
    /// Whether the second parent is a bias.
    biased: bool,
}

impl<B: NetworkGradients, C: CheckpointStrategy> ConvolutionStep<B, C> {
    fn new(
        input: UnitInput<Autodiff<B, C>>,
        weight: Tracked<B, C>,
        convolution: Convolution,
    ) -> Self {
        let (weight, weight_node) = weight.into_parts();
        let (input, input_nodes) = match input {
            UnitInput::Plain(values) => {
                let (values, node) = values.into_parts();
                (UnitInput::Plain(values), InputNodes::Plain(node))
            }
            UnitInput::Normalized(map) => {
                let (map, nodes) = split_map(map);
                (UnitInput::Normalized(map), InputNodes::Normalized(nodes))
            }
            UnitInput::Excited(map, excitation) => {
                let (map, nodes) = split_map(map);
                let (excitation, gate_nodes) = split_excitation(excitation);
                (
                    UnitInput::Excited(map, excitation),
                    InputNodes::Excited(nodes, gate_nodes),
                )
            }
        };
        Self {
            state: ConvolutionState {
                input,
                weight,
                convolution,
                biased: false,
            },
            weight_node,
            input_nodes,
            strategy: core::marker::PhantomData,
        }
    }

    fn input(&self) -> UnitInput<B> {
        self.state.input.clone()
    }

    fn weight(&self) -> FloatTensor<B> {
        self.state.weight.clone()
    }

    fn finish(self, output: FloatTensor<B>) -> Tracked<B, C> {
        let (state, w) = (self.state, self.weight_node);
        match self.input_nodes {
            InputNodes::Plain(x) => {
                record::<B, C, _, _, 2>(ConvolutionBackward, [w, x], state, output)
            }
            InputNodes::Normalized([x, g, b]) => {
                record::<B, C, _, _, 4>(ConvolutionBackward, [w, x, g, b], state, output)
            }
            InputNodes::Excited([x, g, b], [s, sb, e, eb]) => {
                let nodes = [w, x, g, b, s, sb, e, eb];
                record::<B, C, _, _, 8>(ConvolutionBackward, nodes, state, output)
            }
        }
    }

    fn finish_with_bias(self, bias: NodeGuard, output: FloatTensor<B>) -> Tracked<B, C> {
        let (mut state, w) = (self.state, self.weight_node);
        state.biased = true;
        match self.input_nodes {
            InputNodes::Plain(x) => {
                record::<B, C, _, _, 3>(ConvolutionBackward, [w, bias, x], state, output)
            }
            InputNodes::Normalized([x, g, b]) => {
                record::<B, C, _, _, 5>(ConvolutionBackward, [w, bias, x, g, b], state, output)
            }
            InputNodes::Excited([x, g, b], [s, sb, e, eb]) => {
                let nodes = [w, bias, x, g, b, s, sb, e, eb];
                record::<B, C, _, _, 9>(ConvolutionBackward, nodes, state, output)
            }
        }
    }
}

fn split_map<B: NetworkGradients, C: CheckpointStrategy>(
    map: NormalizedMap<Autodiff<B, C>>,
) -> (NormalizedMap<B>, [NodeGuard; 3]) {
    let (values, values_node) = map.values.into_parts();
    let (gamma, gamma_node) = map.gamma.into_parts();
    let (beta, beta_node) = map.beta.into_parts();
    let map = NormalizedMap {
        values,
        mean: map.mean.into_primitive(),
        variance: map.variance.into_primitive(),
        gamma,
        beta,
        normalization: map.normalization,
    };
    (map, [values_node, gamma_node, beta_node])
}

fn split_excitation<B: NetworkGradients, C: CheckpointStrategy>(
    excitation: Excitation<Autodiff<B, C>>,
) -> (Excitation<B>, [NodeGuard; 4]) {
    let (squeeze, squeeze_node) = excitation.squeeze.into_parts();
    let (squeeze_bias, squeeze_bias_node) = excitation.squeeze_bias.into_parts();
    let (expand, expand_node) = excitation.expand.into_parts();
    let (expand_bias, expand_bias_node) = excitation.expand_bias.into_parts();
    let excitation = Excitation {
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
    (excitation, nodes)
}

/// Adds a step to the graph; its state is dropped where no gradient is wanted.
fn record<B, C, T, S, const N: usize>(
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

/// Parents: weight, bias where there is one, then the input's nodes.
#[derive(Debug)]
struct ConvolutionBackward;

impl<B: NetworkGradients, const N: usize> Backward<B, N> for ConvolutionBackward {
    type State = ConvolutionState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let state = ops.state;
        let input_start = 1 + usize::from(state.biased);
        let wanted = Wanted {
            weight: ops.parents[0].is_some(),
            bias: state.biased && ops.parents[1].is_some(),
            input: ops.parents[input_start..].iter().any(Option::is_some),
        };
        let gradients = B::unit_convolution_backward(
            state.input,
            state.weight,
            state.convolution,
            output_gradient,
            wanted,
        );
        let mut list = vec![gradients.weight];
        if state.biased {
            list.push(gradients.bias);
        }
        list.extend(
            gradients
                .input
                .into_iter()
                .flat_map(input_gradients::<B>)
                .map(Some),
        );
        for (parent, gradient) in ops.parents.into_iter().zip(list) {
            if let (Some(node), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

fn input_gradients<B: NetworkGradients>(gradients: InputGradients<B>) -> Vec<FloatTensor<B>> {
    match gradients {
        InputGradients::Plain(values) => vec![values],
        InputGradients::Normalized(map) => map_gradients::<B>(map).into(),
        InputGradients::Excited(map, excitation) => {
            let ExcitationGradients {
                squeeze,
                squeeze_bias,
                expand,
                expand_bias,
            } = excitation;
            let mut list = Vec::from(map_gradients::<B>(map));
            list.extend([squeeze, squeeze_bias, expand, expand_bias]);
            list
        }
    }
}

fn map_gradients<B: NetworkGradients>(map: NormalizationGradients<B>) -> [FloatTensor<B>; 3] {
    [map.values, map.gamma, map.beta]
}

/// Parents: values, gamma, beta and, for the sum, the residual.
#[derive(Debug)]
struct NormalizationBackward;

impl<B: NetworkGradients, const N: usize> Backward<B, N> for NormalizationBackward {
    type State = NormalizedMap<B>;

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let mut parents = ops.parents.into_iter();
        let map_parents: Vec<_> = parents.by_ref().take(3).collect();
        if let Some(Some(residual)) = parents.next() {
            grads.register::<B>(residual.id, output_gradient.clone());
        }
        if map_parents.iter().all(Option::is_none) {
            return;
        }
        let gradients = B::unit_normalize_backward(ops.state, output_gradient);
        for (parent, gradient) in map_parents.into_iter().zip(map_gradients::<B>(gradients)) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}
