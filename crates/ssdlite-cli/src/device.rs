//! What this build can train a network on.

use anyhow::Result;
use ssdlite_train::config::DeviceKind;
use ssdlite_train::{OnCpu, TrainingDevice};

/// The device that a configuration or an option names.
pub(crate) fn device_from_kind(kind: DeviceKind) -> Result<Box<dyn TrainingDevice>> {
    match kind {
        DeviceKind::Cpu => Ok(Box::new(OnCpu)),
        DeviceKind::Vulkan => anyhow::bail!(
            "the run is to be trained through Vulkan, which this build of ssdlite has not: build \
             it with `--features vulkan`, or set `device = \"cpu\"` in the configuration"
        ),
    }
}
