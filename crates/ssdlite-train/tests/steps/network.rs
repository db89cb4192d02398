//! A network with its parameters and a step, as the tests run it.

use std::num::NonZeroUsize;

use ssdlite_core::{Graph, MapSize, Part, TensorRole};
use ssdlite_model::{StateDict, Values};
use ssdlite_testing::{signed, state_from_formula};
use ssdlite_train::Losses;
use ssdlite_train::step::loss::{CrossEntropy, MultiboxLoss};
use ssdlite_train::step::{
    Batch, Cpu, Objective, Parameters, StepOptions, StepPlan, Targets, TensorLayout, TrainingStep,
};

/// All parts.
pub(crate) const ALL: [Part; 4] = [Part::Backbone, Part::Extra, Part::Neck, Part::Head];

pub(crate) const MULTIBOX: Objective = Objective::Multibox(MultiboxLoss {
    negative_ratio: 3.0,
    empty_negatives: 3,
    label_smoothing: 0.0,
});

pub(crate) const CROSS_ENTROPY: Objective = Objective::CrossEntropy(CrossEntropy {
    label_smoothing: 0.0,
});

/// What a [`Network`] is made for.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    pub(crate) images: usize,
    pub(crate) input: MapSize,
    pub(crate) momentum: f64,
    pub(crate) objective: Objective,
}

/// A network with weights by the formula.
pub(crate) struct Network {
    pub(crate) parameters: Parameters,
    plan: StepPlan,
}

impl Network {
    pub(crate) fn new(graph: &Graph, trained: &[Part], options: Options) -> Self {
        let cpu = Cpu::new(NonZeroUsize::new(2).unwrap()).unwrap();
        Self::on(graph, trained, options, &cpu)
    }

    pub(crate) fn on(graph: &Graph, trained: &[Part], options: Options, cpu: &Cpu) -> Self {
        let layout = TensorLayout::new(graph, trained);
        let values = values_from(&layout, &state_from_formula(&graph.tensors()));
        let options = StepOptions {
            images: NonZeroUsize::new(options.images).unwrap(),
            input: options.input,
            momentum: options.momentum,
            objective: options.objective,
        };
        Self {
            plan: StepPlan::new(graph, &layout, options, cpu).unwrap(),
            parameters: Parameters::new(layout, values).unwrap(),
        }
    }

    /// The outputs for pixels `[images, height, width, 3]`.
    pub(crate) fn forward(&mut self, pixels: &[f32]) -> Vec<Vec<f32>> {
        let values = self.parameters.step_tensors().values;
        self.plan.forward(pixels, values).unwrap().to_vec()
    }

    pub(crate) fn step(&mut self, pixels: &[f32], targets: Targets<'_>) -> Losses {
        let batch = Batch {
            pixels,
            targets,
            random: 0,
        };
        self.plan
            .run(batch, self.parameters.step_tensors())
            .unwrap()
    }

    pub(crate) fn arena_bytes(&self) -> usize {
        self.plan.arena_bytes()
    }

    pub(crate) fn values(&self, key: &str) -> &[f32] {
        self.parameters.tensor(key).expect(key).0
    }

    pub(crate) fn gradient(&self, key: &str) -> &[f32] {
        self.parameters.tensor(key).expect(key).1
    }

    pub(crate) fn shape(&self, key: &str) -> &[usize] {
        let slots = self.parameters.layout().slots().iter();
        let mut found = slots.filter(|slot| slot.spec.key == key);
        &found.next().expect(key).spec.shape
    }

    /// Keys of all tensors with this role.
    pub(crate) fn keys(&self, role: TensorRole) -> Vec<String> {
        let slots = self.parameters.layout().slots().iter();
        let found = slots.filter(|slot| slot.spec.role == role);
        found.map(|slot| slot.spec.key.clone()).collect()
    }
}

/// A flat vector of a state's tensors.
pub(crate) fn values_from(layout: &TensorLayout, state: &StateDict) -> Vec<f32> {
    let slots = layout.slots().iter();
    slots
        .flat_map(|slot| match &state.get(&slot.spec.key).unwrap().values {
            Values::F32(values) => values.clone(),
            Values::I64(counts) => counts.iter().map(|&count| count as f32).collect(),
            Values::Unread(kind) => panic!("expected numbers, found {kind}"),
        })
        .collect()
}

/// Images by the formula, which has `[N, 3, height, width]`.
pub(crate) fn images(shape: [usize; 4]) -> Vec<f32> {
    channels_last(&signed("images", shape.iter().product(), 2.0), shape)
}

/// `[N, height, width, 3]` from `[N, 3, height, width]`.
pub(crate) fn channels_last(values: &[f32], shape: [usize; 4]) -> Vec<f32> {
    let [images, channels, height, width] = shape;
    let cells = height * width;
    let mut pixels = Vec::with_capacity(values.len());
    for image in 0..images {
        for cell in 0..cells {
            let plane = |channel| values[(image * channels + channel) * cells + cell];
            pixels.extend((0..channels).map(plane));
        }
    }
    pixels
}
