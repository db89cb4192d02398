//! What a detector has on its backbone.

use serde::{Deserialize, Serialize};
use ssdlite_core::{FinestMap, Head};

use super::boxes::Boxes;
use super::choice::Choice;

/// What a detector has on its backbone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DetectorHeadOptions {
    /// What finds objects in the backbone's maps.
    pub head: Choice<HeadKind>,
    /// Stride of the finest map: 8 or 16 pixels.
    pub finest: Choice<FinestMap>,
    /// The default boxes, or where they come from.
    pub boxes: Boxes,
}

impl DetectorHeadOptions {
    /// The head, where it is left open a pyramid.
    pub fn head(&self) -> Head {
        self.kind().head()
    }

    pub(crate) fn kind(&self) -> HeadKind {
        self.head.or(HeadKind::Fpn)
    }

    /// The finest map, where it is left open that of stride 8.
    pub fn finest(&self) -> FinestMap {
        self.finest.or(FinestMap::Stride8)
    }
}

/// A head by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadKind {
    /// The paper's SSD-lite.
    Ssdlite,
    /// A feature pyramid with one head for all maps.
    Fpn,
}

impl HeadKind {
    /// The head with its usual numbers.
    pub const fn head(self) -> Head {
        match self {
            Self::Ssdlite => Head::Ssdlite,
            Self::Fpn => Head::Fpn {
                channels: Head::USUAL_CHANNELS,
            },
        }
    }
}

impl From<Head> for HeadKind {
    fn from(head: Head) -> Self {
        match head {
            Head::Ssdlite => Self::Ssdlite,
            Head::Fpn { .. } => Self::Fpn,
        }
    }
}
