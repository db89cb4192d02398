//! What both networks have in common: their tensors by torchvision's keys.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use ssdlite_model::{LoadReport, Result, StateDict, StateTensor, Values};

use crate::parameters::Inventory;

/// A network whose parameters and buffers have torchvision's `state_dict` keys.
pub trait Network: Module {
    /// The network's tensors and their keys.
    fn inventory(&self) -> &Inventory;

    /// All parameters and buffers. PyTorch's `load_state_dict(strict=True)`
    /// takes them.
    fn state_dict(&self) -> StateDict {
        let mut collector = Collector {
            inventory: self.inventory(),
            tensors: BTreeMap::new(),
        };
        self.visit(&mut collector);
        StateDict::from(collector.tensors)
    }

    /// The network with all parameters and buffers replaced. Which of them
    /// train stays as it is.
    ///
    /// # Errors
    /// What [`StateDict::check`] finds.
    fn load_state_dict(self, state: &StateDict) -> Result<Self> {
        state.check(self.inventory().specs())?;
        Ok(self.assign(state))
    }

    /// The network with every parameter and buffer replaced for which `state`
    /// has one of the same key, type and shape, and a list of the others.
    ///
    /// # Errors
    /// What [`StateDict::select_fitting`] finds.
    fn load_matching(self, state: &StateDict) -> Result<(Self, LoadReport)> {
        let (fitting, report) = state.select_fitting(self.inventory().specs())?;
        Ok((self.assign(&fitting), report))
    }

    /// Replaces what `state` has; its shapes have been checked.
    #[doc(hidden)]
    fn assign(self, state: &StateDict) -> Self {
        let inventory = self.inventory().clone();
        self.map(&mut Assigner {
            inventory: &inventory,
            state,
        })
    }
}

struct Collector<'a> {
    inventory: &'a Inventory,
    tensors: BTreeMap<String, StateTensor>,
}

impl ModuleVisitor for Collector<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(spec) = self.inventory.spec(param.id) else {
            return;
        };
        let data = param.val().into_data().convert::<f32>();
        let values: Vec<f32> = data.iter::<f32>().collect();
        let values = if spec.role == ssdlite_core::TensorRole::BatchesTracked {
            Values::I64(values.into_iter().map(|count| count as i64).collect())
        } else {
            Values::F32(values)
        };
        let tensor = StateTensor {
            shape: spec.shape.clone(),
            values,
        };
        self.tensors.insert(spec.key.clone(), tensor);
    }
}

struct Assigner<'a> {
    inventory: &'a Inventory,
    state: &'a StateDict,
}

impl ModuleMapper for Assigner<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let tensor = self
            .inventory
            .spec(param.id)
            .and_then(|spec| self.state.get(&spec.key));
        let values = match tensor.map(|tensor| &tensor.values) {
            Some(Values::F32(values)) => values.clone(),
            Some(Values::I64(counts)) => counts.iter().map(|&count| count as f32).collect(),
            Some(Values::Unread(_)) | None => return param,
        };
        param.map(|old| {
            let data = TensorData::new(values, old.shape());
            let tensor = Tensor::from_data(data, &old.device());
            tensor.set_require_grad(old.is_require_grad())
        })
    }
}
