//! A network's tensors as flat numbers, which the optimizer changes and a
//! checkpoint holds.
//!
//! The numbers here are the master copy: each step reads the gradients and the
//! running statistics from the network, updates all in one place, and hands
//! new parameters back. On a GPU that is one transfer each way.

use std::collections::HashMap;
use std::ops::Range;

use burn::module::{ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Gradients, Tensor, TensorData, Transaction};
use ssdlite_core::{ModelInfo, TensorRole, TensorSpec};
use ssdlite_infer::{ModelFile, NamedTensor};
use ssdlite_nn::parameters::id_from_key;
use ssdlite_nn::weights::Values;
use ssdlite_nn::{Network, StateDict, StateTensor};

use crate::config::TrainingOptions;
use crate::error::{Error, Result};
use crate::optimizer::{
    GroupSettings, Optimizer, ParameterSlices, StepSettings, average_decay, clipping_factor, norm,
};

/// Which learning rate a parameter has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// MobileNetV3's convolutions.
    BaseNet,
    /// A detector's extra blocks.
    ExtraLayers,
    /// All else: a detector's heads, a classifier's linear layers.
    Heads,
}

impl Group {
    fn from_key(key: &str) -> Self {
        if key.starts_with("features.") || key.starts_with("backbone.features.") {
            Self::BaseNet
        } else if key.starts_with("backbone.extra.") {
            Self::ExtraLayers
        } else {
            Self::Heads
        }
    }

    fn lr(self, options: &TrainingOptions) -> f64 {
        let own = match self {
            Self::BaseNet => options.base_net_lr,
            Self::ExtraLayers => options.extra_layers_lr,
            Self::Heads => None,
        };
        own.unwrap_or(options.lr)
    }
}

/// Where a tensor lies.
#[derive(Clone, Debug)]
struct Slot {
    spec: TensorSpec,
    range: Range<usize>,
    /// None for buffers and frozen parameters.
    trained: Option<Group>,
}

/// All tensors of a network, what the optimizer remembers of them, and their
/// moving average.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    slots: Vec<Slot>,
    by_id: HashMap<ParamId, usize>,
    values: Vec<f32>,
    gradients: Vec<f32>,
    first_moments: Vec<f32>,
    second_moments: Vec<f32>,
    averages: Vec<f32>,
}

/// What belongs in a checkpoint, by the name it has there.
pub(crate) type NamedNumbers<'a> = (&'static str, &'a [f32]);

impl Parameters {
    /// The tensors of a network as they are, nothing remembered.
    ///
    /// # Errors
    /// [`Error::WeightsMismatch`] if the network lacks one of its tensors.
    pub(crate) fn new<N: Network>(network: &N) -> Result<Self> {
        let mut slots = Vec::new();
        let mut by_id = HashMap::new();
        let mut end = 0;
        for spec in network.inventory().specs() {
            by_id.insert(id_from_key(&spec.key), slots.len());
            let start = end;
            end += spec.elements();
            slots.push(Slot {
                spec: spec.clone(),
                range: start..end,
                trained: None,
            });
        }
        let mut parameters = Self {
            slots,
            by_id,
            values: vec![0.0; end],
            gradients: vec![0.0; end],
            first_moments: vec![0.0; end],
            second_moments: vec![0.0; end],
            averages: Vec::new(),
        };
        network.visit(&mut TrainedMarker(&mut parameters));
        parameters.fill(&network.valid().state_dict())?;
        parameters.averages = parameters.values.clone();
        Ok(parameters)
    }

    fn fill(&mut self, state: &StateDict) -> Result<()> {
        for slot in &self.slots {
            let into = &mut self.values[slot.range.clone()];
            match state.get(&slot.spec.key).map(|tensor| &tensor.values) {
                Some(Values::F32(values)) if values.len() == into.len() => {
                    into.copy_from_slice(values);
                }
                Some(Values::I64(counts)) if counts.len() == into.len() => {
                    for (slot, &count) in into.iter_mut().zip(counts) {
                        *slot = count as f32;
                    }
                }
                _ => {
                    return Err(Error::WeightsMismatch(format!(
                        "expected {} numbers for {}",
                        into.len(),
                        slot.spec.key
                    )));
                }
            }
        }
        Ok(())
    }

    /// Takes the gradients of a backward pass, and the running statistics that
    /// its forward pass left in the network.
    pub(crate) fn read<N: Network>(&mut self, network: &N, gradients: &mut Gradients) {
        self.gradients.fill(0.0);
        let mut reader = Reader {
            parameters: self,
            gradients,
            transaction: Transaction::default(),
            targets: Vec::new(),
        };
        network.visit(&mut reader);
        let Reader {
            transaction,
            targets,
            ..
        } = reader;
        for (data, slot) in transaction.execute().into_iter().zip(targets) {
            let Slot { range, trained, .. } = &self.slots[slot];
            let into = match trained {
                Some(_) => &mut self.gradients,
                None => &mut self.values,
            };
            copy_into(&mut into[range.clone()], data);
        }
    }

    /// The norm of all gradients together.
    pub(crate) fn gradient_norm(&self) -> f64 {
        norm(&self.gradients)
    }

    /// How many numbers are trained.
    pub(crate) fn trained_count(&self) -> usize {
        let trained = self.slots.iter().filter(|slot| slot.trained.is_some());
        trained.map(|slot| slot.range.len()).sum()
    }

    /// Takes an optimizer's step with learning rates at `factor` of their
    /// highest.
    pub(crate) fn update(
        &mut self,
        options: &TrainingOptions,
        step: u64,
        factor: f64,
        gradient_norm: f64,
    ) {
        let optimizer = Optimizer::new(options);
        let settings = StepSettings {
            gradient_scale: clipping_factor(gradient_norm, options.clip_norm),
            step,
            average_decay: average_decay(options.ema, step),
        };
        for slot in &self.slots {
            let range = slot.range.clone();
            let Some(group) = slot.trained else {
                let averages = &mut self.averages[range.clone()];
                let decay = settings.average_decay;
                average_buffer(averages, &self.values[range], slot.spec.role, decay);
                continue;
            };
            let decays = slot.spec.role == TensorRole::Weight;
            let group = GroupSettings {
                lr: (group.lr(options) * factor) as f32,
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
            optimizer.update(slices, settings, group);
        }
    }

    /// The network with the trained parameters as they are here.
    pub(crate) fn write<N: Network>(&self, network: N) -> N {
        network.map(&mut Writer(self))
    }

    /// All tensors as they are.
    pub(crate) fn state(&self) -> StateDict {
        self.state_of(&self.values)
    }

    /// The moving average of all tensors.
    pub(crate) fn averaged_state(&self) -> StateDict {
        self.state_of(&self.averages)
    }

    /// The moving average of all tensors as a model to run.
    ///
    /// # Errors
    /// [`Error::Inference`] for numbers that are not finite, or tensors other
    /// than `info` asks for.
    pub(crate) fn averaged_model(&self, info: &ModelInfo) -> Result<ModelFile> {
        let slots = self.slots.iter();
        let read = slots.filter(|slot| slot.spec.role != TensorRole::BatchesTracked);
        let tensors = read.map(|Slot { spec, range, .. }| NamedTensor {
            key: spec.key.clone(),
            shape: spec.shape.clone(),
            numbers: self.averages[range.clone()].to_vec(),
        });
        Ok(ModelFile::from_tensors(info, tensors)?)
    }

    fn state_of(&self, numbers: &[f32]) -> StateDict {
        let mut state = StateDict::default();
        for Slot { spec, range, .. } in &self.slots {
            let numbers = numbers[range.clone()].to_vec();
            let values = if spec.role == TensorRole::BatchesTracked {
                Values::I64(numbers.into_iter().map(|count| count as i64).collect())
            } else {
                Values::F32(numbers)
            };
            let tensor = StateTensor {
                shape: spec.shape.clone(),
                values,
            };
            state.insert(spec.key.clone(), tensor);
        }
        state
    }

    /// The tensors' keys and places in each of [`Self::numbers`].
    pub(crate) fn layout(&self) -> impl Iterator<Item = (&TensorSpec, Range<usize>)> {
        self.slots
            .iter()
            .map(|slot| (&slot.spec, slot.range.clone()))
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

/// Running statistics are averaged like parameters, as they belong to the
/// weights they were gathered with; counts are only copied.
fn average_buffer(averages: &mut [f32], values: &[f32], role: TensorRole, decay: f32) {
    let keep = match role {
        TensorRole::BatchesTracked => 1.0,
        _ => 1.0 - decay,
    };
    for (average, value) in averages.iter_mut().zip(values) {
        *average += keep * (value - *average);
    }
}

fn copy_into(into: &mut [f32], data: TensorData) {
    match data.as_slice::<f32>() {
        Ok(values) => into.copy_from_slice(values),
        Err(_) => {
            for (slot, value) in into.iter_mut().zip(data.iter::<f32>()) {
                *slot = value;
            }
        }
    }
}

/// Marks what requires a gradient.
struct TrainedMarker<'a>(&'a mut Parameters);

impl ModuleVisitor for TrainedMarker<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(&slot) = self.0.by_id.get(&param.id) else {
            return;
        };
        let Slot { spec, trained, .. } = &mut self.0.slots[slot];
        let trains = spec.role.is_parameter() && param.is_require_grad();
        *trained = trains.then(|| Group::from_key(&spec.key));
    }
}

/// Collects gradients and buffers for one transfer.
struct Reader<'a> {
    parameters: &'a Parameters,
    gradients: &'a mut Gradients,
    transaction: Transaction,
    /// The slot of each registered tensor.
    targets: Vec<usize>,
}

impl ModuleVisitor for Reader<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(&slot) = self.parameters.by_id.get(&param.id) else {
            return;
        };
        let Slot { spec, trained, .. } = &self.parameters.slots[slot];
        let tensor = if trained.is_some() {
            param.val().grad_remove(self.gradients)
        } else if spec.role.is_parameter() {
            None
        } else {
            Some(param.val())
        };
        if let Some(tensor) = tensor {
            let transaction = std::mem::take(&mut self.transaction);
            self.transaction = transaction.register(tensor);
            self.targets.push(slot);
        }
    }
}

/// Replaces the trained parameters.
struct Writer<'a>(&'a Parameters);

impl ModuleMapper for Writer<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let slot = self.0.by_id.get(&param.id).map(|&slot| &self.0.slots[slot]);
        let Some(Slot { range, .. }) = slot.filter(|slot| slot.trained.is_some()) else {
            return param;
        };
        let values = self.0.values[range.clone()].to_vec();
        param.map(|old| {
            let data = TensorData::new(values, old.shape());
            Tensor::from_data(data, &old.device()).require_grad()
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::tensor::Device;
    use ssdlite_core::mobilenet::Variant;
    use ssdlite_core::{MobileNetV3, TensorRole};
    use ssdlite_nn::{Detector, Frozen};

    use super::*;

    fn detector() -> Detector {
        let network = MobileNetV3 {
            width_multiplier: 0.25,
            ..MobileNetV3::new(Variant::Small)
        };
        Detector::new(&network.detector(2), 7, &Device::flex().autodiff())
    }

    fn loss(detector: &Detector) -> Tensor<1> {
        let device = Device::flex().autodiff();
        let mut rng = ssdlite_core::random::Rng::from_keys(&[1]);
        let shape = [3, 3, 96, 64];
        let values = (0..shape.iter().product()).map(|_| rng.uniform(-1.0..1.0));
        let data = TensorData::new(values.collect::<Vec<f32>>(), shape);
        let images = Tensor::<4>::from_data(data, &device);
        let output = detector.forward(images);
        let from_one = |outputs: Tensor<3>| outputs.sub_scalar(1.0).powi_scalar(2).mean();
        from_one(output.logits) + from_one(output.regressions)
    }

    #[test]
    fn a_step_lowers_the_loss_and_moves_what_trains() {
        let mut network = detector().freeze_parts(Frozen::Backbone);
        let mut parameters = Parameters::new(&network).unwrap();
        let before = parameters.state();
        let mut options = TrainingOptions::detector();
        options.extra_layers_lr = Some(0.0);
        options.weight_decay = 0.0;
        let first: f32 = loss(&network).into_scalar();
        for step in 0..3 {
            let mut gradients = loss(&network).backward();
            parameters.read(&network, &mut gradients);
            let norm = parameters.gradient_norm();
            assert!(norm > 0.0);
            parameters.update(&options, step, 1.0, norm);
            network = parameters.write(network);
        }
        let after = parameters.state();
        // The network agrees with the master copy.
        assert!(network.valid().state_dict() == after);
        let last: f32 = loss(&network).into_scalar();
        assert!(last < first, "{last} {first}");
        for (spec, _) in parameters.layout() {
            let moved = before.get(&spec.key).unwrap() != after.get(&spec.key).unwrap();
            let expected = match Group::from_key(&spec.key) {
                Group::BaseNet => false,
                Group::ExtraLayers => !spec.role.is_parameter(),
                Group::Heads => spec.role != TensorRole::BatchNormWeight || moved,
            };
            assert_eq!(moved, expected, "{}", spec.key);
        }
    }

    #[test]
    fn the_average_lies_between_start_and_end() {
        let mut network = detector();
        let mut parameters = Parameters::new(&network).unwrap();
        let start = parameters.state();
        let options = TrainingOptions::detector();
        let mut gradients = loss(&network).backward();
        parameters.read(&network, &mut gradients);
        parameters.update(&options, 0, 1.0, 0.0);
        network = parameters.write(network);
        let key = "head.regression_head.module_list.0.1.weight";
        let of = |state: &StateDict| match &state.get(key).unwrap().values {
            Values::F32(values) => values.clone(),
            other => panic!("{other:?}"),
        };
        let rows = of(&start).into_iter().zip(of(&parameters.averaged_state()));
        for ((start, average), end) in rows.zip(of(&parameters.state())) {
            // Decay 0.1 at step 0.
            let expected = start + 0.9 * (end - start);
            assert!((average - expected).abs() < 1e-6);
        }
        assert!(
            network
                .load_state_dict(&parameters.averaged_state())
                .is_ok()
        );
    }
}
