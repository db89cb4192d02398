//! The GPU that steps run on.

#[cfg(any(feature = "vulkan", feature = "metal"))]
use burn::backend::{WgpuDevice, WgpuDeviceKind};
#[cfg(any(feature = "vulkan", feature = "metal"))]
use burn::tensor::wgpu::{WgpuBackend, WgpuInitError};
use burn::tensor::{Device, Tensor};
use ssdlite_core::Graph;
use ssdlite_train::Result;
use ssdlite_train::step::{Cpu, StepOptions, TensorLayout, TrainingDevice, TrainingStep};

use crate::guard::{failed, guarded};
use crate::step::GpuStep;

/// A way to reach a GPU; those that the crate was built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interface {
    /// Vulkan: GPUs of all makers.
    #[cfg(feature = "vulkan")]
    Vulkan,
    /// Metal: Apple's GPUs.
    #[cfg(feature = "metal")]
    Metal,
}

/// A GPU that steps run on.
#[derive(Clone, Debug)]
pub struct Gpu {
    pub(crate) device: Device,
}

/// The best GPU that an interface reaches.
///
/// # Errors
/// [`Error::Device`](ssdlite_train::Error::Device) if there is none, or if it can't compute.
pub fn open(interface: Interface) -> Result<Gpu> {
    let what = format!("{interface:?}: expected a GPU that computes");
    guarded(&what, || {
        let device = device(interface)?;
        let sum = Tensor::<1>::ones([4], &device).sum().try_into_data();
        let sum = sum.map_err(|error| failed(&what, &error))?;
        match sum.iter::<f32>().next() {
            Some(4.0) => Ok(Gpu { device }),
            other => Err(failed(&what, &format!("1 + 1 + 1 + 1 came to {other:?}"))),
        }
    })
}

fn device(interface: Interface) -> Result<Device> {
    match interface {
        #[cfg(feature = "vulkan")]
        Interface::Vulkan => wgpu(WgpuBackend::Vulkan),
        #[cfg(feature = "metal")]
        Interface::Metal => wgpu(WgpuBackend::Metal),
    }
}

/// Burn keeps one runtime for each interface in a process, so the second time
/// it is there already.
#[cfg(any(feature = "vulkan", feature = "metal"))]
fn wgpu(interface: WgpuBackend) -> Result<Device> {
    match Device::wgpu_options().graphics_api(interface).init() {
        Ok(device) => Ok(device),
        Err(WgpuInitError::Registration { .. }) => {
            let best = WgpuDevice::new(WgpuDeviceKind::DefaultDevice);
            Ok(Device::new(best.on(interface)))
        }
        Err(error) => Err(ssdlite_train::Error::Device(format!(
            "{interface:?}: {error}"
        ))),
    }
}

impl TrainingDevice for Gpu {
    fn step_bytes(&self, _: &Graph, _: &TensorLayout, _: StepOptions) -> Result<u64> {
        Ok(0)
    }

    fn takes_processor(&self) -> bool {
        false
    }

    fn step(
        &self,
        graph: &Graph,
        layout: &TensorLayout,
        options: StepOptions,
        cpu: &Cpu,
    ) -> Result<Box<dyn TrainingStep>> {
        let step = GpuStep::new(graph, layout, options, cpu.threads(), &self.device);
        Ok(Box::new(step))
    }
}
