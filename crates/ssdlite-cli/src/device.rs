//! What this build can train a network on.

use anyhow::Result;
use ssdlite_train::config::DeviceKind;
use ssdlite_train::{OnCpu, TrainingDevice};

/// The device that a configuration or an option names.
///
/// # Errors
/// If this build has not that kind of device, or the machine none of it.
pub(crate) fn device_from_kind(kind: DeviceKind) -> Result<Box<dyn TrainingDevice>> {
    match kind {
        DeviceKind::Cpu => Ok(Box::new(OnCpu)),
        #[cfg(feature = "vulkan")]
        DeviceKind::Vulkan => Ok(Box::new(ssdlite_gpu::open(ssdlite_gpu::Interface::Vulkan)?)),
        #[cfg(feature = "metal")]
        DeviceKind::Metal => Ok(Box::new(ssdlite_gpu::open(ssdlite_gpu::Interface::Metal)?)),
        #[cfg(not(all(feature = "vulkan", feature = "metal")))]
        other => {
            let name = other.name();
            anyhow::bail!(
                "the run is to be trained on the device `{name}`, which this build of ssdlite has \
                 not: build it with `--features {name}`, or set `device = \"cpu\"` in the \
                 configuration"
            )
        }
    }
}
