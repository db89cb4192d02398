//! Values that the forward pass changes: running statistics.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::{
    Content, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param,
    ParamId,
};
use burn::tensor::{Device, Tensor};

/// A vector of a module that is no parameter and may change behind `&self`.
///
/// It never takes part in autodiff. Unlike Burn's `RunningState` it holds its
/// newest value at any time, and a clone has a value of its own.
#[derive(Debug)]
pub struct Buffer {
    id: ParamId,
    value: Mutex<Tensor<1>>,
}

impl Buffer {
    pub(crate) fn new(id: ParamId, value: Tensor<1>) -> Self {
        Self {
            id,
            value: Mutex::new(value.without_autodiff()),
        }
    }

    /// The value.
    pub fn value(&self) -> Tensor<1> {
        self.lock().clone()
    }

    /// Replaces the value.
    pub fn set(&self, value: Tensor<1>) {
        *self.lock() = value.without_autodiff();
    }

    /// A tensor is replaced as a whole, so a poisoned lock guards a sound one.
    fn lock(&self) -> MutexGuard<'_, Tensor<1>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(&self, value: Tensor<1>) -> Self {
        Self::new(self.id, value)
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        self.with(self.value())
    }
}

impl fmt::Display for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({})", self.id)
    }
}

impl ModuleDisplayDefault for Buffer {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&self.to_string()).optional()
    }
}

impl ModuleDisplay for Buffer {}

impl Module for Buffer {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        visitor.visit_float(&Param::initialized(self.id, self.value()));
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let mapped = mapper.map_float(Param::initialized(self.id, self.value()));
        self.with(mapped.into_value())
    }

    fn to_device(self, device: &Device) -> Self {
        self.with(self.value().to_device(device))
    }

    fn fork(self, device: &Device) -> Self {
        self.to_device(device)
    }

    fn collect_devices(&self, mut devices: Vec<Device>) -> Vec<Device> {
        let device = self.value().device();
        if !devices.contains(&device) {
            devices.push(device);
        }
        devices
    }

    fn materialize(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        self.clone()
    }

    fn train(self) -> Self {
        self
    }
}
