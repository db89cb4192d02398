//! A network with its parameters and a step, as the tests run it.

use std::num::NonZeroUsize;

use ssdlite_core::{BoxCoder, Graph, MapSize, Part, TensorRole};
use ssdlite_model::{StateDict, Values};
use ssdlite_testing::{signed, state_from_formula};
use ssdlite_train::Losses;
use ssdlite_train::step::loss::{
    ClassificationLoss, CrossEntropy, HardNegatives, MultiboxLoss, RegressionLoss,
};
use ssdlite_train::step::{
    Batch, Cpu, Objective, StepOptions, StepPlan, StepTensors, Targets, TensorLayout, TrainingStep,
};

/// All parts.
pub(crate) const ALL: [Part; 4] = [Part::Backbone, Part::Extra, Part::Neck, Part::Head];

pub(crate) const MULTIBOX: Objective = Objective::Multibox(MultiboxLoss {
    classification: ClassificationLoss::Softmax(HardNegatives {
        negative_ratio: 3.0,
        empty_negatives: 3,
        label_smoothing: 0.0,
    }),
    regression: RegressionLoss::SmoothL1,
    coder: BoxCoder {
        center_variance: 0.1,
        size_variance: 0.2,
    },
});

pub(crate) const CROSS_ENTROPY: Objective = Objective::CrossEntropy(CrossEntropy {
    label_smoothing: 0.0,
});

/// What a [`Network`] is made for.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    pub(crate) images: usize,
    pub(crate) input: MapSize,
    pub(crate) objective: Objective,
}

/// A network with weights by the formula.
pub(crate) struct Network {
    pub(crate) layout: TensorLayout,
    pub(crate) numbers: Vec<f32>,
    pub(crate) gradients: Vec<f32>,
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
            objective: options.objective,
        };
        Self {
            plan: StepPlan::new(graph, &layout, options, cpu).unwrap(),
            gradients: vec![0.0; values.len()],
            numbers: values,
            layout,
        }
    }

    /// The outputs for pixels `[images, height, width, 3]`.
    pub(crate) fn forward(&mut self, pixels: &[f32]) -> Vec<Vec<f32>> {
        self.plan.forward(pixels, &self.numbers).unwrap().to_vec()
    }

    pub(crate) fn gather_statistics(&mut self, pixels: &[f32]) {
        let numbers = &mut self.numbers;
        self.plan.gather_statistics(pixels, numbers).unwrap();
    }

    /// Gives all numbers of a kind this value.
    pub(crate) fn fill(&mut self, role: TensorRole, value: f32) {
        let slots = self.layout.slots().iter();
        for slot in slots.filter(|slot| slot.spec.role == role) {
            self.numbers[slot.range.clone()].fill(value);
        }
    }

    pub(crate) fn step(&mut self, pixels: &[f32], targets: Targets<'_>) -> Losses {
        let batch = Batch {
            pixels,
            targets,
            random: 0,
        };
        let tensors = StepTensors {
            values: &self.numbers,
            gradients: &mut self.gradients,
        };
        self.plan.run(batch, tensors).unwrap()
    }

    pub(crate) fn arena_bytes(&self) -> usize {
        self.plan.arena_bytes()
    }

    pub(crate) fn values(&self, key: &str) -> &[f32] {
        &self.numbers[self.layout.range(key).expect(key)]
    }

    pub(crate) fn gradient(&self, key: &str) -> &[f32] {
        &self.gradients[self.layout.range(key).expect(key)]
    }

    pub(crate) fn shape(&self, key: &str) -> &[usize] {
        let slots = self.layout.slots().iter();
        let mut found = slots.filter(|slot| slot.spec.key == key);
        &found.next().expect(key).spec.shape
    }

    /// Keys of all tensors with this role.
    pub(crate) fn keys(&self, role: TensorRole) -> Vec<String> {
        let slots = self.layout.slots().iter();
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
