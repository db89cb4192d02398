//! The backward pass.

use std::ops::Range;

use ssdlite_core::unit::BATCH_NORM_EPS;
use ssdlite_kernels::Context;
use ssdlite_kernels::arena::Slot;
use ssdlite_kernels::train::accumulate::accumulate;
use ssdlite_kernels::train::gradient::{ConvGradients, InputGradient, Store};
use ssdlite_kernels::train::norm::{NormContext, NormGradient, norm_backward_sums};
use ssdlite_kernels::train::operand::{ExciteGradient, Input, NormBackward, OutputGradient};
use ssdlite_kernels::train::pointwise::pointwise_backward;
use ssdlite_kernels::train::squeeze_excite::{average_pool_backward, excite_backward};
use ssdlite_kernels::train::upsample::upsample_nearest_backward;

use super::linear::{activate_backward, drop_out};
use super::source::{Gather, Kernel, State, Target, fitting, kernel_activation};
use super::steps::{
    Conv, ConvBackward, Excite, InputTarget, Linear, LinearBackward, Sums, Trains, Unit,
    UnitBackward, Work,
};
use super::{Pass, StepPlan};

/// What a backward pass is given.
pub(super) struct Backward<'a> {
    /// The images of the batch.
    pub(super) pixels: &'a [f32],
    /// All tensors.
    pub(super) values: &'a [f32],
    /// Receives those of trained parameters.
    pub(super) gradients: &'a mut [f32],
    /// The loss's gradient by each output.
    pub(super) outputs: &'a [Vec<f32>],
    pub(super) random: u64,
}

/// What its steps work on.
struct Worker<'a> {
    cx: Context<'a>,
    places: &'a ssdlite_kernels::arena::Places,
    arena: &'a mut [f32],
    states: &'a mut [State],
    images: usize,
    pass: Backward<'a>,
}

impl StepPlan {
    pub(super) fn run_backward(&mut self, pass: Backward<'_>, after: &mut impl FnMut(Pass, &str)) {
        let Self {
            steps,
            places,
            arena,
            states,
            options,
            cpu,
            ..
        } = self;
        let mut worker = Worker {
            cx: cpu.context(),
            places,
            arena,
            states,
            images: options.images.get(),
            pass,
        };
        for step in steps.iter().rev().filter(|step| step.work.has_backward()) {
            worker.step(step.node, &step.work);
            after(Pass::Backward, &step.key);
        }
    }
}

impl Worker<'_> {
    fn step(&mut self, node: usize, work: &Work) {
        match work {
            Work::Unit(unit) => {
                if let Some(backward) = &unit.backward {
                    self.unit(node, unit, backward);
                }
            }
            Work::Conv(conv) => {
                if let Some(backward) = &conv.backward {
                    self.conv(conv, backward);
                }
            }
            Work::Excite(excite) => self.excite(node, excite),
            Work::Add(node) => {
                for &(gradient, target) in &node.backward {
                    self.pass_on(gradient, target);
                }
            }
            Work::Upsample(upsample) => {
                if let Some((gradient, target)) = upsample.backward {
                    let slots = [gradient, target.written()];
                    let [gradient, dx] = self.places.slots(self.arena, slots);
                    fitting(upsample_nearest_backward(
                        self.cx,
                        upsample.shape,
                        gradient,
                        dx,
                    ));
                    self.add_part(target);
                }
            }
            Work::Pool(pool) => {
                if let Some((gradient, target)) = pool.backward {
                    let slots = [gradient, target.written()];
                    let [gradient, dx] = self.places.slots(self.arena, slots);
                    fitting(average_pool_backward(self.cx, pool.shape, gradient, dx));
                    self.add_part(target);
                }
            }
            Work::Linear(linear) => {
                if let Some(backward) = &linear.backward {
                    self.linear(node, linear, backward);
                }
            }
        }
    }

    fn unit(&mut self, node: usize, unit: &Unit, backward: &UnitBackward) {
        let gathered = self.states[node].sums.take();
        let slots = [
            unit.source.slot(),
            Some(unit.z),
            Some(backward.gradient),
            backward.input.map(|input| input.target.written()),
        ];
        let [input, z, gradient, dx] = self.places.some_slots(self.arena, slots);
        let state = &self.states[node];
        let (moments, affine) = (state.moments(), state.affine());
        let activation = kernel_activation(unit.activation);
        let excite = match backward.sums {
            Sums::Excited(excite) => Some(ExciteGradient {
                scale: &self.states[excite].excited().scale,
                shift: &self.states[excite].shift,
            }),
            Sums::Gathered | Sums::Pass => None,
        };
        let norm_gradient = match unit.trains {
            Trains::No => NormGradient::frozen(affine),
            Trains::Yes => {
                let sums = gathered.unwrap_or_else(|| {
                    let norm = NormContext {
                        affine,
                        mean: &moments.mean,
                        activation,
                    };
                    let pass = (&*gradient, &*z);
                    fitting(norm_backward_sums(self.cx, unit.shape, norm, pass, excite))
                });
                let gamma = &self.pass.values[unit.tensors.gamma.clone()];
                let norm = fitting(sums.gradient(moments, gamma, BATCH_NORM_EPS as f32));
                let gradients = &mut *self.pass.gradients;
                gradients[unit.tensors.gamma.clone()].copy_from_slice(&norm.dgamma);
                gradients[unit.tensors.beta.clone()].copy_from_slice(&norm.dbeta);
                norm
            }
        };
        let output = OutputGradient::Normalised {
            dy: gradient,
            norm: NormBackward {
                z,
                affine,
                activation,
                gradient: &norm_gradient,
                excite,
            },
        };
        let mut weight = match unit.trains {
            Trains::Yes => Some(WeightGradient::new(
                &mut self.pass.gradients[unit.tensors.weight.clone()],
                backward.weight_store,
            )),
            Trains::No => None,
        };
        let convolution = Convolution {
            kernel: unit.kernel,
            input: unit.source.input(input, self.pass.pixels, self.states),
            weight: &self.pass.values[unit.tensors.weight.clone()],
            output,
        };
        let gradients = (
            backward.input.map(|input| (input, dx)),
            weight.as_mut().map(WeightGradient::written),
            None,
        );
        let found = convolution.backward(self.cx, self.states, gradients);
        if let Some(weight) = weight {
            weight.finish(self.cx);
        }
        self.keep(backward.input, found);
    }

    fn conv(&mut self, conv: &Conv, backward: &ConvBackward) {
        let slots = [
            conv.source.slot(),
            Some(backward.gradient),
            backward.input.map(|input| input.target.written()),
        ];
        let [input, gradient, dx] = self.places.some_slots(self.arena, slots);
        conv.rows.read(self.images, self.pass.outputs, gradient);
        let convolution = Convolution {
            kernel: Kernel::Pointwise(conv.shape),
            input: conv.source.input(input, self.pass.pixels, self.states),
            weight: &self.pass.values[conv.weight.clone()],
            output: OutputGradient::Plain(gradient),
        };
        let ranges = [conv.weight.clone(), conv.bias.clone()];
        let (weight, bias) = weight_and_bias(self.pass.gradients, conv.trains, ranges);
        let store = backward.weight_store;
        let mut weight = weight.map(|weight| WeightGradient::new(weight, store));
        let mut bias = bias.map(|bias| WeightGradient::new(bias, store));
        let gradients = (
            backward.input.map(|input| (input, dx)),
            weight.as_mut().map(WeightGradient::written),
            bias.as_mut().map(WeightGradient::written),
        );
        let found = convolution.backward(self.cx, self.states, gradients);
        for gradient in weight.into_iter().chain(bias) {
            gradient.finish(self.cx);
        }
        self.keep(backward.input, found);
    }

    /// Keeps what was gathered.
    fn keep(&mut self, input: Option<InputTarget>, found: Gathered) {
        match input.map(|input| input.gather) {
            None | Some(Gather::Nothing) => {}
            Some(Gather::NormSums(unit)) => self.states[unit].sums = found.sums,
            Some(Gather::Factors(excite)) => self.states[excite].factor_gradient = found.factors,
        }
    }

    fn add_part(&mut self, target: Target) {
        if let Some(part) = target.part {
            let [sum, part] = self.places.slots(self.arena, [target.slot, part]);
            fitting(accumulate(self.cx, sum, part));
        }
    }

    fn excite(&mut self, node: usize, excite: &Excite) {
        let state = &self.states[node];
        let tensors = &excite.tensors;
        let gradients = fitting(excite_backward(
            self.cx,
            excite.shape,
            tensors.parameters(self.pass.values),
            state.excited(),
            &state.factor_gradient,
        ));
        if excite.trains == Trains::Yes {
            for (range, numbers) in [
                (&tensors.squeeze, &gradients.squeeze),
                (&tensors.squeeze_bias, &gradients.squeeze_bias),
                (&tensors.expand, &gradients.expand),
                (&tensors.expand_bias, &gradients.expand_bias),
            ] {
                self.pass.gradients[range.clone()].copy_from_slice(numbers);
            }
        }
        self.states[node].shift = gradients.shift;
    }

    fn pass_on(&mut self, gradient: Slot, target: Target) {
        let [gradient, dx] = self.places.slots(self.arena, [gradient, target.slot]);
        match target.store {
            Store::Overwrite => dx.copy_from_slice(gradient),
            Store::Add => fitting(accumulate(self.cx, dx, gradient)),
        }
    }

    fn linear(&mut self, node: usize, linear: &Linear, backward: &LinearBackward) {
        let input = linear.dropped.map_or(linear.input, |(slot, _)| slot);
        let slots = [
            Some(input),
            Some(linear.z),
            Some(backward.gradient),
            backward.input.map(Target::written),
        ];
        let [input, z, gradient, dx] = self.places.some_slots(self.arena, slots);
        if let Some(rows) = &linear.rows {
            rows.read(self.images, self.pass.outputs, gradient);
        }
        activate_backward(linear.activation, z, gradient);
        let ranges = [linear.weight.clone(), linear.bias.clone()];
        let (weight, bias) = weight_and_bias(self.pass.gradients, linear.trains, ranges);
        let gradients = ConvGradients {
            input: backward.input.map(|_| InputGradient::alone(dx)),
            weight,
            bias,
        };
        fitting(pointwise_backward(
            self.cx,
            linear.shape,
            Input::Plain(input),
            OutputGradient::Plain(gradient),
            &self.pass.values[linear.weight.clone()],
            gradients,
        ));
        if let Some(target) = backward.input {
            if let Some((_, chance)) = linear.dropped {
                let [dx] = self.places.slots(self.arena, [target.written()]);
                drop_out(dx, chance, [self.pass.random, node as u64]);
            }
            self.add_part(target);
        }
    }
}

/// The gradient of a weight or a bias, which several nodes may share.
struct WeightGradient<'a> {
    sum: &'a mut [f32],
    /// This node's own, where others have written before.
    part: Option<Vec<f32>>,
}

impl<'a> WeightGradient<'a> {
    fn new(sum: &'a mut [f32], store: Store) -> Self {
        let part = (store == Store::Add).then(|| vec![0.0; sum.len()]);
        Self { sum, part }
    }

    /// What the node writes.
    fn written(&mut self) -> &mut [f32] {
        self.part.as_deref_mut().unwrap_or(self.sum)
    }

    fn finish(self, cx: Context<'_>) {
        if let Some(part) = self.part {
            fitting(accumulate(cx, self.sum, &part));
        }
    }
}

/// Where the gradients of a weight and a bias go, if they train.
fn weight_and_bias(
    gradients: &mut [f32],
    trains: Trains,
    ranges: [Range<usize>; 2],
) -> (Option<&mut [f32]>, Option<&mut [f32]>) {
    match trains {
        Trains::No => (None, None),
        Trains::Yes => {
            let parts = gradients.get_disjoint_mut(ranges);
            let [weight, bias] = parts.expect("tensors lie apart");
            (Some(weight), Some(bias))
        }
    }
}

/// A convolution's backward pass.
struct Convolution<'a> {
    kernel: Kernel,
    input: Input<'a>,
    weight: &'a [f32],
    output: OutputGradient<'a>,
}

/// What it gathers of the input's gradient.
struct Gathered {
    sums: Option<ssdlite_kernels::train::norm::NormSums>,
    factors: Vec<f32>,
}

/// The gradients that it writes: of the input, of the weight, of the bias.
type Wanted<'a> = (
    Option<(InputTarget, &'a mut [f32])>,
    Option<&'a mut [f32]>,
    Option<&'a mut [f32]>,
);

impl Convolution<'_> {
    fn backward(self, cx: Context<'_>, states: &[State], wanted: Wanted<'_>) -> Gathered {
        let (input, weight, bias) = wanted;
        let mut factors = match &input {
            Some((
                InputTarget {
                    gather: Gather::Factors(node),
                    ..
                },
                _,
            )) => {
                vec![0.0; states[*node].excited().scale.len()]
            }
            _ => Vec::new(),
        };
        let gradients = ConvGradients {
            input: input.map(|(input, dx)| InputGradient {
                dx,
                store: input.target.store,
                epilogue: input.gather.epilogue(states, &mut factors),
            }),
            weight,
            bias,
        };
        let sums = self
            .kernel
            .backward(cx, self.input, self.output, self.weight, gradients);
        Gathered { sums, factors }
    }
}
