//! What a network is trained on.

use burn::tensor::Device;

use crate::config::DeviceKind;
use crate::error::{Error, Result};

/// The device that a configuration or an option names.
///
/// # Errors
/// [`Error::InvalidRequest`] if this build has it not.
pub fn device_from_kind(kind: DeviceKind) -> Result<Device> {
    match kind {
        DeviceKind::Cpu => Ok(Device::flex()),
        #[cfg(feature = "vulkan")]
        DeviceKind::Vulkan => Ok(Device::vulkan(Default::default())),
        #[cfg(not(feature = "vulkan"))]
        DeviceKind::Vulkan => Err(Error::InvalidRequest(
            "the run is to be trained through Vulkan, which this build of ssdlite has not: build \
             it with `--features vulkan`, or set `device = \"cpu\"` in the configuration"
                .into(),
        )),
    }
}
