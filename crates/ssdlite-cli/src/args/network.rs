//! Networks and devices as options name them.

use clap::ValueEnum;
use serde::Serialize;
use ssdlite_core::Variant;
use ssdlite_train::config::{DeviceKind, HeadKind};

/// A MobileNetV3.
#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BackboneArg {
    Small,
    Large,
}

impl From<BackboneArg> for Variant {
    fn from(backbone: BackboneArg) -> Self {
        match backbone {
            BackboneArg::Small => Self::Small,
            BackboneArg::Large => Self::Large,
        }
    }
}

/// What a detector has on its MobileNetV3.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum HeadArg {
    Ssdlite,
    Fpn,
}

impl From<HeadArg> for HeadKind {
    fn from(head: HeadArg) -> Self {
        match head {
            HeadArg::Ssdlite => Self::Ssdlite,
            HeadArg::Fpn => Self::Fpn,
        }
    }
}

/// What this build can train a network on.
#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DeviceArg {
    Cpu,
    #[cfg(feature = "vulkan")]
    Vulkan,
    #[cfg(feature = "metal")]
    Metal,
}

impl From<DeviceArg> for DeviceKind {
    fn from(device: DeviceArg) -> Self {
        match device {
            DeviceArg::Cpu => Self::Cpu,
            #[cfg(feature = "vulkan")]
            DeviceArg::Vulkan => Self::Vulkan,
            #[cfg(feature = "metal")]
            DeviceArg::Metal => Self::Metal,
        }
    }
}
