//! A network's tensors as flat numbers, which steps read, the optimizer changes
//! and a checkpoint holds.

use std::ops::Range;

use ssdlite_core::{ModelInfo, Part, TensorRole, TensorSpec};
use ssdlite_kernels::Context;
use ssdlite_model::{ModelFile, StateDict, StateTensor, Values};

use super::optimizer::{
    Optimizer, ParameterSlices, UpdateSettings, average_decay, clipping_factor, norm,
};
use super::{Schedule, StepTensors, TensorLayout};
use crate::config::TrainingOptions;
use crate::error::{Error, Result};

/// All tensors of a network, what the optimizer remembers of them, and their
/// moving average: vectors of one [`TensorLayout`].
#[derive(Clone, Debug)]
pub struct Parameters {
    layout: TensorLayout,
    values: Vec<f32>,
    gradients: Vec<f32>,
    first_moments: Vec<f32>,
    second_moments: Vec<f32>,
    averages: Vec<f32>,
}

/// What belongs in a checkpoint, by the name it has there.
pub(crate) type NamedNumbers<'a> = (&'static str, &'a [f32]);

impl Parameters {
    /// Tensors as they are, nothing remembered.
    ///
    /// # Errors
    /// [`Error::WeightsMismatch`] if `values` are not as many as the layout's.
    pub fn new(layout: TensorLayout, values: Vec<f32>) -> Result<Self> {
        let len = layout.len();
        if values.len() != len {
            return Err(Error::WeightsMismatch(format!(
                "expected {len} numbers for the network, found {}",
                values.len()
            )));
        }
        Ok(Self {
            gradients: vec![0.0; len],
            first_moments: vec![0.0; len],
            second_moments: vec![0.0; len],
            averages: values.clone(),
            values,
            layout,
        })
    }

    /// Where each tensor lies.
    pub fn layout(&self) -> &TensorLayout {
        &self.layout
    }

    /// What a training step works on.
    pub fn step_tensors(&mut self) -> StepTensors<'_> {
        StepTensors {
            values: &self.values,
            gradients: &mut self.gradients,
        }
    }

    /// The numbers of a tensor and its gradient, which is 0 unless it trains.
    pub fn tensor(&self, key: &str) -> Option<(&[f32], &[f32])> {
        let range = self.layout.range(key)?;
        Some((&self.values[range.clone()], &self.gradients[range]))
    }

    /// The norm of all gradients together.
    pub fn gradient_norm(&self) -> f64 {
        norm(&self.gradients)
    }

    /// Takes an optimizer's step with learning rates at the schedule's share of
    /// their highest. `step` is the number of steps taken before.
    pub fn update(
        &mut self,
        cx: Context<'_>,
        options: &TrainingOptions,
        schedule: &Schedule,
        step: u64,
        gradient_norm: f64,
    ) {
        let optimizer = Optimizer::new(options);
        let factor = schedule.factor(step);
        let decay = average_decay(options.ema, step, schedule.steps);
        let gradient_scale = clipping_factor(gradient_norm, options.clip_norm);
        for slot in self.layout.slots() {
            let range = slot.range.clone();
            if !slot.trained {
                continue;
            }
            let decays = slot.spec.role == TensorRole::Weight;
            let settings = UpdateSettings {
                gradient_scale,
                step,
                average_decay: decay,
                lr: (lr_of_part(slot.spec.part, options) * factor) as f32,
                weight_decay: if decays {
                    options.weight_decay as f32
                } else {
                    0.0
                },
            };
            let slices = ParameterSlices {
                values: &mut self.values[range.clone()],
                gradients: &self.gradients[range.clone()],
                first_moments: &mut self.first_moments[range.clone()],
                second_moments: &mut self.second_moments[range.clone()],
                averages: &mut self.averages[range],
            };
            optimizer.update(cx, slices, settings);
        }
    }

    /// The moving average of all tensors. The running statistics of parts that
    /// train belong to no weights yet: no batch is counted in.
    pub fn averages(&self) -> Vec<f32> {
        let mut averages = self.averages.clone();
        for slot in self.layout.slots() {
            let start = match slot.spec.role {
                TensorRole::RunningMean | TensorRole::BatchesTracked => 0.0,
                TensorRole::RunningVar => 1.0,
                _ => continue,
            };
            if self.layout.trains(slot.spec.part) {
                averages[slot.range.clone()].fill(start);
            }
        }
        averages
    }

    /// Numbers of the layout as a model.
    ///
    /// # Errors
    /// [`Error::Model`] for numbers that are not finite, or tensors other than
    /// `info` asks for.
    pub fn model(&self, info: ModelInfo, numbers: &[f32]) -> Result<ModelFile> {
        Ok(ModelFile::new(info, state_dict(&self.layout, numbers))?)
    }

    /// The tensors' keys and places in each of [`Self::numbers`].
    pub(crate) fn places(&self) -> impl Iterator<Item = (&TensorSpec, Range<usize>)> {
        let slots = self.layout.slots().iter();
        slots.map(|slot| (&slot.spec, slot.range.clone()))
    }

    /// All that has to be kept to go on.
    pub(crate) fn numbers(&self) -> [NamedNumbers<'_>; 4] {
        [
            ("model", &self.values),
            ("first_moment", &self.first_moments),
            ("second_moment", &self.second_moments),
            ("average", &self.averages),
        ]
    }

    /// Where to put back what [`Self::numbers`] gave, in the same order.
    pub(crate) fn numbers_mut(&mut self) -> [(&'static str, &mut [f32]); 4] {
        [
            ("model", &mut self.values),
            ("first_moment", &mut self.first_moments),
            ("second_moment", &mut self.second_moments),
            ("average", &mut self.averages),
        ]
    }
}

/// The highest learning rate of a part.
fn lr_of_part(part: Part, options: &TrainingOptions) -> f64 {
    let own = match part {
        Part::Backbone => options.base_net_lr,
        Part::Extra => options.extra_layers_lr,
        Part::Neck | Part::Head => None,
    };
    own.unwrap_or(options.lr)
}

/// Tensors by name from a flat vector.
pub(crate) fn state_dict(layout: &TensorLayout, numbers: &[f32]) -> StateDict {
    let tensors = layout.slots().iter().map(|slot| {
        let numbers = &numbers[slot.range.clone()];
        let values = if slot.spec.role == TensorRole::BatchesTracked {
            Values::I64(numbers.iter().map(|&count| count as i64).collect())
        } else {
            Values::F32(numbers.to_vec())
        };
        let tensor = StateTensor {
            shape: slot.spec.shape.clone(),
            values,
        };
        (slot.spec.key.clone(), tensor)
    });
    tensors.collect()
}

/// Puts every tensor of `state` that the layout has, and that has its length,
/// into a flat vector.
pub(crate) fn fill(values: &mut [f32], layout: &TensorLayout, state: &StateDict) {
    for slot in layout.slots() {
        let into = &mut values[slot.range.clone()];
        match state.get(&slot.spec.key).map(|tensor| &tensor.values) {
            Some(Values::F32(numbers)) if numbers.len() == into.len() => {
                into.copy_from_slice(numbers);
            }
            Some(Values::I64(counts)) if counts.len() == into.len() => {
                for (number, &count) in into.iter_mut().zip(counts) {
                    *number = count as f32;
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use ssdlite_core::{MobileNetV3, Variant};

    use super::super::{Cpu, Decay, random_values};
    use super::*;

    /// At its highest from the first step on.
    const SCHEDULE: Schedule = Schedule {
        steps: 1000,
        warmup_steps: 0,
        decay: Decay::Cosine,
    };

    fn parameters(trained: &[Part]) -> Parameters {
        let network = MobileNetV3 {
            width_multiplier: 0.25,
            ..MobileNetV3::new(Variant::Small)
        };
        let graph = network.detector(2, &[6; 6]);
        let layout = TensorLayout::new(&graph, trained);
        let values = random_values(&layout, 7);
        let mut parameters = Parameters::new(layout, values).unwrap();
        parameters.gradients.fill(0.5);
        parameters
    }

    /// After a step without weight decay, momentum or clipping: by how much a
    /// tensor moved.
    fn moved(options: &TrainingOptions, parameters: &mut Parameters, key: &str) -> f32 {
        let range = parameters.layout().range(key).unwrap();
        let before = parameters.values[range.start];
        let cpu = Cpu::new(NonZeroUsize::MIN).unwrap();
        parameters.update(cpu.context(), options, &SCHEDULE, 0, 0.0);
        before - parameters.values[range.start]
    }

    #[test]
    fn each_part_has_its_learning_rate() {
        let options = TrainingOptions {
            optimizer: crate::config::OptimizerKind::Sgd,
            lr: 0.4,
            base_net_lr: Some(0.1),
            extra_layers_lr: Some(0.2),
            momentum: 0.0,
            weight_decay: 0.0,
            clip_norm: 0.0,
            ..TrainingOptions::default()
        };
        let all = [Part::Backbone, Part::Extra, Part::Head];
        for (key, lr) in [
            ("backbone.features.0.0.1.weight", 0.1),
            ("backbone.extra.1.0.1.weight", 0.2),
            ("head.regression_head.module_list.2.1.bias", 0.4),
        ] {
            let found = moved(&options, &mut parameters(&all), key);
            assert!((found - 0.5 * lr).abs() < 1e-6, "{key}: {found}");
        }
        let key = "backbone.extra.1.0.1.weight";
        assert_eq!(moved(&options, &mut parameters(&[Part::Head]), key), 0.0);
    }

    #[test]
    fn frozen_parts_are_not_counted_as_trained() {
        let count = |trained: &[Part]| parameters(trained).layout().trained_count();
        let (heads, extra) = (count(&[Part::Head]), count(&[Part::Extra, Part::Head]));
        assert!(0 < heads && heads < extra);
        assert!(extra < count(&[Part::Backbone, Part::Extra, Part::Head]));
    }

    #[test]
    fn the_average_lies_between_start_and_end() {
        let mut parameters = parameters(&[Part::Head]);
        let range = parameters
            .layout()
            .range("head.regression_head.module_list.0.1.weight")
            .unwrap();
        let start = parameters.values[range.clone()].to_vec();
        let cpu = Cpu::new(NonZeroUsize::MIN).unwrap();
        let options = TrainingOptions::default();
        parameters.update(cpu.context(), &options, &SCHEDULE, 0, 0.0);
        let ends = &parameters.values[range.clone()];
        for ((start, average), end) in start.iter().zip(&parameters.averages[range]).zip(ends) {
            // Decay 0.1 at step 0.
            let expected = start + 0.9 * (end - start);
            assert!((average - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn statistics_are_forgotten_where_weights_move() {
        let parameters = parameters(&[Part::Head]);
        let averages = parameters.averages();
        for slot in parameters.layout().slots() {
            let range = slot.range.clone();
            let before = &parameters.values[range.clone()];
            match slot.spec.role {
                TensorRole::RunningVar if slot.spec.part == Part::Head => {
                    assert!(averages[range].iter().all(|&x| x == 1.0));
                }
                TensorRole::RunningMean if slot.spec.part == Part::Head => {
                    assert!(averages[range].iter().all(|&x| x == 0.0));
                }
                _ => assert_eq!(&averages[range], before, "{}", slot.spec.key),
            }
        }
    }

    #[test]
    fn a_state_comes_back() {
        let parameters = parameters(&[]);
        let state = state_dict(parameters.layout(), &parameters.values);
        let mut values = vec![f32::NAN; parameters.values.len()];
        fill(&mut values, parameters.layout(), &state);
        assert_eq!(values, parameters.values);
    }
}
