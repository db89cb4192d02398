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

    /// The split that a folder or list of this name holds, in any case and by any
    /// name in use.
    pub(crate) fn from_folder_name(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" | "dev" => Some(Self::Val),
            "trainval" | "train_val" | "trainvalid" => Some(Self::TrainVal),
            "test" | "testing" => Some(Self::Test),
            _ => None,
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
        Self::from_folder_name(name).ok_or_else(|| {
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

/// Which images of a set stay together when it is divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// Copies, near-duplicates and frames of one video: see
    /// [`duplicates`](crate::duplicates). Every image is decoded.
    #[default]
    ByLook,
    /// None: for images that are known to have nothing in common, or all to be of one
    /// scene.
    Apart,
}

/// Items divided three ways, each part in the items' own order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Division<T> {
    pub(crate) train: Vec<T>,
    pub(crate) val: Vec<T>,
    pub(crate) test: Vec<T>,
}

/// How many items each part of a division gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartSizes {
    train: usize,
    trainval: usize,
}

impl PartSizes {
    /// The shares of `count` items, rounded to the nearest; `train` gets one first.
    pub(crate) fn rounded(count: usize, shares: &SplitShares) -> Self {
        let trainval = part_of(count, shares.trainval);
        let train = part_of(trainval, shares.train);
        Self { train, trainval }
    }

    /// The same, but with an item in each part.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for fewer than three items, and for a share that
    /// leaves nothing for another part.
    pub(crate) fn without_empty(count: usize, shares: &SplitShares) -> Result<Self> {
        expect_rest("trainval", shares.trainval, "test")?;
        expect_rest("train", shares.train, "val")?;
        if count < 3 {
            return Err(Error::InvalidRequest(format!(
                "expected at least 3 images, one each for train, val and test; found {count}"
            )));
        }
        let rounded = Self::rounded(count, shares);
        let trainval = rounded.trainval.clamp(2, count - 1);
        Ok(Self {
            train: part_of(trainval, shares.train).clamp(1, trainval - 1),
            trainval,
        })
    }

    /// The sizes of `train`, `val` and `test` of so many items.
    pub(crate) const fn of_parts(self, count: usize) -> [usize; 3] {
        [
            self.train,
            self.trainval - self.train,
            count - self.trainval,
        ]
    }
}

/// The sizes of `train` and `val` of so many items, with an item in each.
///
/// # Errors
/// [`Error::InvalidRequest`] for fewer than two items, and for a share that leaves
/// nothing for `val`.
pub(crate) fn train_and_val(count: usize, shares: &SplitShares) -> Result<[usize; 2]> {
    expect_rest("train", shares.train, "val")?;
    if count < 2 {
        return Err(Error::InvalidRequest(format!(
            "expected at least 2 images, one each for train and val; found {count}"
        )));
    }
    let train = part_of(count, shares.train).clamp(1, count - 1);
    Ok([train, count - train])
}

fn expect_rest(name: &str, share: f64, rest: &str) -> Result<()> {
    if share < 1.0 {
        return Ok(());
    }
    Err(Error::InvalidRequest(format!(
        "expected a share of {name} below 1, found {share}, which leaves no image for {rest}"
    )))
}

/// Divides items at random.
///
/// `keys` are what the random order depends on, besides the number of items.
pub(crate) fn divide<T>(items: Vec<T>, sizes: PartSizes, keys: &[u64]) -> Division<T> {
    let count = items.len();
    let PartSizes { train, trainval } = sizes;
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
        assert_eq!("Valid".parse::<Split>().unwrap(), Split::Val);
        assert!("eval".parse::<Split>().is_err());
    }

    #[test]
    fn a_division_keeps_every_item_once_in_order() {
        let shares = SplitShares {
            trainval: 0.8,
            train: 0.75,
            seed: 5,
        };
        let part_sizes = PartSizes::rounded(101, &shares);
        let division = divide((0..101).collect(), part_sizes, &[5]);
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
        assert_ne!(division, divide((0..101).collect(), part_sizes, &[6]));
    }

    #[test]
    fn small_sets_fill_train_first() {
        let shares = SplitShares::default();
        let train = |items: Vec<u8>| {
            let sizes = PartSizes::rounded(items.len(), &shares);
            divide(items, sizes, &[]).train
        };
        assert!(train(Vec::new()).is_empty());
        assert_eq!(train(vec![7]), [7]);
    }

    #[test]
    fn three_items_are_enough_to_leave_no_part_empty() {
        for train in [0.01, 0.5, 0.9, 0.999] {
            for trainval in [0.01, 0.5, 0.9, 0.999] {
                let shares = SplitShares {
                    trainval,
                    train,
                    seed: 0,
                };
                for count in 3..40 {
                    let sizes = PartSizes::without_empty(count, &shares).unwrap();
                    let division = divide((0..count).collect(), sizes, &[1]);
                    let parts = [division.train, division.val, division.test];
                    assert!(
                        parts.iter().all(|part| !part.is_empty()),
                        "{count} {shares:?}"
                    );
                    assert_eq!(parts.concat().len(), count);
                }
                assert!(PartSizes::without_empty(2, &shares).is_err());
            }
        }
        let shares = SplitShares {
            train: 1.0,
            ..SplitShares::default()
        };
        let message = PartSizes::without_empty(100, &shares)
            .unwrap_err()
            .to_string();
        assert!(message.contains("no image for val"), "{message}");
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
