//! What the class logits of a default box say.

use serde::{Deserialize, Serialize};

/// How scores follow from the class logits of a default box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scores {
    /// The softmax over the background, which comes first, and the classes: SSD,
    /// arXiv 1512.02325.
    #[default]
    Softmax,
    /// The sigmoid of each class's logit, without a background: RetinaNet, arXiv
    /// 1708.02002, section 3.
    Sigmoid,
}

impl Scores {
    /// The logits before those of the classes: that of the background, or none.
    pub const fn background_logits(self) -> usize {
        match self {
            Self::Softmax => 1,
            Self::Sigmoid => 0,
        }
    }

    /// The logits of a default box that tells so many classes apart, background
    /// not counted.
    pub const fn logits(self, classes: usize) -> usize {
        classes + self.background_logits()
    }
}
