//! Random numbers that stay the same on every platform and in every release.
//!
//! What is drawn for a sample of an epoch, or for a picture of the sample
//! data, is a function of its keys alone: a generator is made from them where
//! it is needed, and never shared. The sequence is part of what "repeatable"
//! means here, so it is written out and pinned by a test instead of taken from
//! a crate that may change it. Not for secrets.
//!
//! Source: SplitMix64, in G. Steele, D. Lea, C. Flood, "Fast Splittable
//! Pseudorandom Number Generators", OOPSLA 2014, with the mixing constants of
//! S. Vigna's `splitmix64.c`.

use std::ops::Range;

/// The golden ratio's fraction in 64 bits, odd: SplitMix64's increment.
const INCREMENT: u64 = 0x9E37_79B9_7F4A_7C15;

/// A random number generator, repeatable from its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The generator for these keys, such as seed, epoch and position. Their
    /// order and number matter.
    pub fn from_keys(keys: &[u64]) -> Self {
        let state = keys.iter().fold(keys.len() as u64, |state, &key| {
            mix(state.wrapping_add(INCREMENT) ^ mix(key.wrapping_add(INCREMENT)))
        });
        Self { state }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(INCREMENT);
        mix(self.state)
    }

    /// A number from 0 to 1, the 1 excluded.
    pub fn unit(&mut self) -> f32 {
        // The 24 bits that an f32 holds exactly.
        (self.next_u64() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// A number from `range.start` to `range.end`; the end itself only comes
    /// up where rounding reaches it.
    pub fn uniform(&mut self, range: Range<f32>) -> f32 {
        range.start + self.unit() * (range.end - range.start)
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// A whole number below `bound`; 0 if `bound` is 0.
    ///
    /// A number comes up at most `bound / 2^64` more often than another.
    pub fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.next_u64()) * bound as u128;
        (product >> 64) as usize
    }

    /// One of the items; none if there is none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// Brings the items into random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of `splitmix64.c` from state 1234567, as published
    /// with the algorithm at Rosetta Code.
    #[test]
    fn the_sequence_is_splitmix64() {
        let mut rng = Rng { state: 1_234_567 };
        let drawn: Vec<u64> = (0..3).map(|_| rng.next_u64()).collect();
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn keys_matter_by_value_order_and_number() {
        let first = |keys: &[u64]| Rng::from_keys(keys).next_u64();
        let drawn = [
            first(&[]),
            first(&[0]),
            first(&[0, 0]),
            first(&[0, 1]),
            first(&[1, 0]),
            first(&[1, 1]),
        ];
        for (index, a) in drawn.iter().enumerate() {
            assert!(drawn[..index].iter().all(|b| a != b));
        }
        assert_eq!(first(&[7, 9]), first(&[7, 9]));
    }

    #[test]
    fn draws_stay_in_their_ranges_and_reach_all_of_them() {
        let mut rng = Rng::from_keys(&[1]);
        let mut counts = [0; 7];
        let mut sum = 0.0;
        for _ in 0..7000 {
            counts[rng.below(7)] += 1;
            let value = rng.uniform(-3.0..5.0);
            assert!((-3.0..=5.0).contains(&value));
            sum += value;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)));
        assert!((sum / 7000.0 - 1.0).abs() < 0.15);
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.pick::<u8>(&[]), None);
        assert!(!rng.chance(0.0));
        assert!(rng.chance(1.0));
    }

    #[test]
    fn shuffling_permutes() {
        let mut items: Vec<usize> = (0..97).collect();
        Rng::from_keys(&[3, 0]).shuffle(&mut items);
        assert_ne!(items, (0..97).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..97).collect::<Vec<_>>());
    }
}
