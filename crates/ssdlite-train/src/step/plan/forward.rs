//! The forward pass.

use ssdlite_core::unit::BATCH_NORM_EPS;
use ssdlite_kernels::Context;
use ssdlite_kernels::train::accumulate::accumulate;
use ssdlite_kernels::train::norm::{Affine, Moments, normalise};
use ssdlite_kernels::train::operand::Input;
use ssdlite_kernels::train::pointwise::pointwise_forward;
use ssdlite_kernels::train::squeeze_excite::{
    Excite as ExciteParameters, average_pool, excite_forward,
};
use ssdlite_kernels::train::upsample::upsample_nearest;

use super::linear::{activate, drop_out};
use super::source::Pending;
use super::source::{Source, State, fitting};
use super::steps::{
    Add, Conv, Excite, ExciteTensors, Linear, Pool, Rows, Trains, Unit, UnitTensors, Upsample, Work,
};
use super::{Pass, StepPlan};
use crate::step::BatchStatistics;

/// What the steps of a forward pass work on.
struct Forward<'a> {
    cx: Context<'a>,
    places: &'a ssdlite_kernels::arena::Places,
    arena: &'a mut [f32],
    states: &'a mut [State],
    outputs: &'a mut [Vec<f32>],
    pixels: &'a [f32],
    values: &'a [f32],
    images: usize,
    random: u64,
}

impl StepPlan {
    pub(super) fn run_forward(
        &mut self,
        pixels: &[f32],
        values: &[f32],
        random: u64,
        after: &mut impl FnMut(Pass, &str),
    ) {
        let Self {
            steps,
            places,
            arena,
            states,
            outputs,
            options,
            cpu,
            ..
        } = self;
        let mut pass = Forward {
            cx: cpu.context(),
            places,
            arena,
            states,
            outputs,
            pixels,
            values,
            images: options.images.get(),
            random,
        };
        for step in steps {
            match &step.work {
                Work::Unit(unit) => pass.unit(step.node, unit),
                Work::Conv(conv) => pass.conv(conv),
                Work::Excite(excite) => pass.excite(step.node, excite),
                Work::Add(add) => pass.add(add),
                Work::Upsample(upsample) => pass.upsample(upsample),
                Work::Pool(pool) => pass.pool(pool),
                Work::Linear(linear) => pass.linear(step.node, linear),
            }
            after(Pass::Forward, &step.key);
        }
    }
}

impl StepPlan {
    /// Counts the batch of the last forward pass into the running statistics of
    /// the parts that train.
    pub(super) fn add_statistics(&self, values: &mut [f32]) {
        for step in &self.steps {
            let (Work::Unit(unit), Some(moments)) = (&step.work, &self.states[step.node].moments)
            else {
                continue;
            };
            if unit.trains == Trains::Yes {
                let batch = BatchStatistics {
                    mean: &moments.mean,
                    variance: &moments.variance,
                    count: moments.count,
                };
                unit.tensors.running.add(values, batch);
            }
        }
    }
}

impl Forward<'_> {
    fn unit(&mut self, node: usize, unit: &Unit) {
        let slots = [unit.source.slot(), Some(unit.z), unit.stored];
        let [input, z, stored] = self.places.some_slots(self.arena, slots);
        let input = unit.source.input(input, self.pixels, self.states);
        let UnitTensors {
            weight,
            gamma,
            beta,
            running,
        } = &unit.tensors;
        let weight = &self.values[weight.clone()];
        let moments = match unit.trains {
            Trains::Yes => unit.kernel.forward_moments(self.cx, input, weight, z),
            Trains::No => {
                unit.kernel.forward(self.cx, input, weight, z);
                Moments {
                    mean: self.values[running.mean.clone()].to_vec(),
                    variance: self.values[running.variance.clone()].to_vec(),
                    count: unit.shape.rows(),
                }
            }
        };
        let affine = fitting(Affine::from_norm(
            &moments.mean,
            &moments.variance,
            &self.values[gamma.clone()],
            &self.values[beta.clone()],
            BATCH_NORM_EPS as f32,
        ));
        let state = &mut self.states[node];
        state.affine = Some(affine);
        if unit.stored.is_some() {
            let pending = Pending {
                unit: node,
                z: unit.z,
                activation: unit.activation,
                excite: None,
            };
            let result = pending.normalised(z, self.states);
            fitting(normalise(self.cx, unit.shape, result, None, stored));
        }
        self.states[node].moments = Some(moments);
    }

    fn conv(&mut self, conv: &Conv) {
        let slots = [conv.source.slot(), Some(conv.z)];
        let [input, z] = self.places.some_slots(self.arena, slots);
        let input = conv.source.input(input, self.pixels, self.states);
        let weights = (
            &self.values[conv.weight.clone()],
            Some(&self.values[conv.bias.clone()]),
        );
        fitting(pointwise_forward(self.cx, conv.shape, input, weights, z));
        conv.rows.write(self.images, z, self.outputs);
    }

    fn excite(&mut self, node: usize, excite: &Excite) {
        let [z] = self.places.slots(self.arena, [excite.input.z]);
        let input = Input::Normalised(excite.input.normalised(z, self.states));
        let parameters = excite.tensors.parameters(self.values);
        let excited = fitting(excite_forward(self.cx, excite.shape, input, parameters));
        self.states[node].excited = Some(excited);
    }

    fn add(&mut self, node: &Add) {
        let slots = [node.first.slot(), Some(node.second), Some(node.sum)];
        let [first, second, sum] = self.places.some_slots(self.arena, slots);
        match node.first {
            Source::Pending(pending) => {
                let first = pending.normalised(first, self.states);
                fitting(normalise(self.cx, node.shape, first, Some(second), sum));
            }
            Source::Stored(_) | Source::Pixels => {
                sum.copy_from_slice(first);
                fitting(accumulate(self.cx, sum, second));
            }
        }
    }

    fn upsample(&mut self, node: &Upsample) {
        let slots = [node.source.slot(), Some(node.output)];
        let [input, output] = self.places.some_slots(self.arena, slots);
        let input = node.source.input(input, self.pixels, self.states);
        fitting(upsample_nearest(self.cx, node.shape, input, output));
    }

    fn pool(&mut self, node: &Pool) {
        let slots = [node.source.slot(), Some(node.output)];
        let [input, output] = self.places.some_slots(self.arena, slots);
        let input = node.source.input(input, self.pixels, self.states);
        fitting(average_pool(self.cx, node.shape, input, output));
    }

    fn linear(&mut self, node: usize, linear: &Linear) {
        let slots = [
            Some(linear.input),
            linear.dropped.map(|(slot, _)| slot),
            Some(linear.z),
            linear.activated,
        ];
        let [input, dropped, z, activated] = self.places.some_slots(self.arena, slots);
        let input = match linear.dropped {
            None => input,
            Some((_, chance)) => {
                dropped.copy_from_slice(input);
                drop_out(dropped, chance, [self.random, node as u64]);
                dropped
            }
        };
        let weights = (
            &self.values[linear.weight.clone()],
            Some(&self.values[linear.bias.clone()]),
        );
        let input = Input::Plain(input);
        fitting(pointwise_forward(self.cx, linear.shape, input, weights, z));
        let result = match linear.activated {
            None => z,
            Some(_) => {
                activate(linear.activation, z, activated);
                activated
            }
        };
        if let Some(rows) = &linear.rows {
            rows.write(self.images, result, self.outputs);
        }
    }
}

impl ExciteTensors {
    pub(super) fn parameters<'a>(&self, values: &'a [f32]) -> ExciteParameters<'a> {
        ExciteParameters {
            squeeze: &values[self.squeeze.clone()],
            squeeze_bias: &values[self.squeeze_bias.clone()],
            expand: &values[self.expand.clone()],
            expand_bias: &values[self.expand_bias.clone()],
        }
    }
}

impl Rows {
    /// Copies each image's numbers to their place in the output.
    fn write(&self, images: usize, numbers: &[f32], outputs: &mut [Vec<f32>]) {
        let output = &mut outputs[self.output];
        let (whole, part) = (output.len() / images, self.range.len());
        let images = output.chunks_exact_mut(whole);
        for (output, numbers) in images.zip(numbers.chunks_exact(part)) {
            output[self.range.clone()].copy_from_slice(numbers);
        }
    }

    /// The reverse of [`Self::write`].
    pub(super) fn read(&self, images: usize, outputs: &[Vec<f32>], numbers: &mut [f32]) {
        let output = &outputs[self.output];
        let (whole, part) = (output.len() / images, self.range.len());
        let images = output.chunks_exact(whole);
        for (output, numbers) in images.zip(numbers.chunks_exact_mut(part)) {
            numbers.copy_from_slice(&output[self.range.clone()]);
        }
    }
}
