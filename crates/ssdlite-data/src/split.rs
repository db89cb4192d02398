//! Splits: which images are learnt from, watched and tested on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use ssdlite_core::random::Rng;

/// A part of a data set, by VOC's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What the network learns from.
    Train,
    /// What tells during training how well it learns.
    Val,
    /// `train` and `val` together.
    TrainVal,
    /// What is kept away until the end.
    Test,
}

impl Split {
    /// All splits.
    pub const ALL: [Self; 4] = [Self::Train, Self::Val, Self::TrainVal, Self::Test];

    /// The name in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::TrainVal => "trainval",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Split {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|split| split.name() == name)
            .ok_or_else(|| {
                Error::InvalidRequest(format!(
                    "expected the split train, val, trainval or test, found `{name}`"
                ))
            })
    }
}

/// How a data set is divided at random.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitShares {
    /// The part of all images that is `trainval`; the rest is `test`.
    pub trainval: f64,
    /// The part of `trainval` that is `train`; the rest is `val`.
    pub train: f64,
    /// Another seed gives another division of the same sizes.
    pub seed: u64,
}

impl Default for SplitShares {
    /// 90 % of all for `trainval`, 90 % of these for `train`.
    fn default() -> Self {
        Self {
            trainval: 0.9,
            train: 0.9,
            seed: 0,
        }
    }
}

impl SplitShares {
    /// Refuses shares that are no parts of a whole.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a share that is not above 0 and at most 1.
    pub fn check(&self) -> Result<()> {
        for (name, share) in [("trainval", self.trainval), ("train", self.train)] {
            if !(share > 0.0 && share <= 1.0) {
                return Err(Error::InvalidRequest(format!(
                    "expected a share of {name} above 0 and up to 1, found {share}"
                )));
            }
        }
        Ok(())
    }
}

/// Items divided three ways, each part in the items' own order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Division<T> {
    pub(crate) train: Vec<T>,
    pub(crate) val: Vec<T>,
    pub(crate) test: Vec<T>,
}

/// Divides items at random; sizes are rounded to the nearest, but the first
/// item of the random order is always in `train`.
///
/// `keys` are what the random order depends on, besides the number of items.
pub(crate) fn divide<T>(items: Vec<T>, shares: &SplitShares, keys: &[u64]) -> Division<T> {
    let count = items.len();
    let trainval = part_of(count, shares.trainval);
    let train = part_of(trainval, shares.train);
    let mut order: Vec<usize> = (0..count).collect();
    Rng::from_keys(keys).shuffle(&mut order);
    let mut rank = vec![0; count];
    for (position, &index) in order.iter().enumerate() {
        rank[index] = position;
    }
    let mut division = Division {
        train: Vec::new(),
        val: Vec::new(),
        test: Vec::new(),
    };
    for (item, rank) in items.into_iter().zip(rank) {
        let part = match rank {
            rank if rank < train => &mut division.train,
            rank if rank < trainval => &mut division.val,
            _ => &mut division.test,
        };
        part.push(item);
    }
    division
}

fn part_of(count: usize, share: f64) -> usize {
    ((count as f64 * share).round() as usize).clamp(1.min(count), count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for split in Split::ALL {
            assert_eq!(split.name().parse::<Split>().unwrap(), split);
        }
        assert!("Train".parse::<Split>().is_err());
    }

    #[test]
    fn a_division_keeps_every_item_once_in_order() {
        let shares = SplitShares {
            trainval: 0.8,
            train: 0.75,
            seed: 5,
        };
        let division = divide((0..101).collect(), &shares, &[5]);
        let sizes = [&division.train, &division.val, &division.test].map(Vec::len);
        assert_eq!(sizes, [61, 20, 20]);
        let mut all = Vec::new();
        for part in [&division.train, &division.val, &division.test] {
            assert!(part.is_sorted());
            all.extend(part.iter().copied());
        }
        all.sort_unstable();
        assert_eq!(all, (0..101).collect::<Vec<_>>());
        assert_ne!(division.train, (0..61).collect::<Vec<_>>());
        assert_ne!(division, divide((0..101).collect(), &shares, &[6]));
    }

    #[test]
    fn small_sets_fill_train_first() {
        let shares = SplitShares::default();
        assert!(divide(Vec::<u8>::new(), &shares, &[]).train.is_empty());
        assert_eq!(divide(vec![7], &shares, &[]).train, [7]);
    }

    #[test]
    fn shares_are_checked() {
        for share in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
            let shares = SplitShares {
                train: share,
                ..SplitShares::default()
            };
            assert!(shares.check().is_err());
        }
        assert!(SplitShares::default().check().is_ok());
    }
}
