//! Random numbers that stay the same on every platform and in every release.
//!
//! What is drawn for a sample of an epoch, for an image of the sample data or
//! for a parameter's first values is a function of its keys alone: a generator
//! is made from them where it is needed, and never shared. The sequence is part
//! of what "repeatable" means here, so it is written out and pinned by a test
//! instead of taken from a crate that may change it. Not for secrets.
//!
//! Sources: SplitMix64, in G. Steele, D. Lea, C. Flood, "Fast Splittable
//! Pseudorandom Number Generators", OOPSLA 2014, with the mixing constants of
//! S. Vigna's `splitmix64.c`; FNV-1a of 64 bits, in G. Fowler, L. Noll,
//! K. Vo, D. Eastlake, "The FNV Non-Cryptographic Hash Algorithm".

use std::f64::consts::TAU;
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

    /// The generator for a text under a seed, such as a parameter's key.
    pub fn from_text(seed: u64, text: &str) -> Self {
        let mut hash = Fnv1a::default();
        hash.add_bytes(text.as_bytes());
        Self {
            state: seed ^ hash.value(),
        }
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

    /// A draw from the normal distribution with mean 0 and deviation 1, by Box
    /// and Muller's transform.
    pub fn normal(&mut self) -> f64 {
        // Above 0 and up to 1, in the 53 bits that an f64 holds exactly.
        let mut uniform = || ((self.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        let radius = (-2.0 * uniform().ln()).sqrt();
        radius * (TAU * uniform()).cos()
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

/// A hash of 64 bits, the same everywhere: for names and damaged files, not
/// against anybody who means harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Fnv1a {
    /// Adds bits; FNV-1a itself adds a byte at a time.
    pub fn add(&mut self, bits: u64) {
        self.0 = (self.0 ^ bits).wrapping_mul(0x0000_0100_0000_01B3);
    }

    /// Adds bytes, one after the other.
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.add(byte.into());
        }
    }

    /// The hash of all that was added.
    pub fn value(&self) -> u64 {
        self.0
    }
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

    /// Test vectors of the FNV reference code.
    #[test]
    fn the_hash_is_fnv_1a() {
        for (text, expected) in [
            ("", 0xCBF2_9CE4_8422_2325),
            ("a", 0xAF63_DC4C_8601_EC8C),
            ("foobar", 0x8594_4171_F739_67E8),
        ] {
            let mut hash = Fnv1a::default();
            hash.add_bytes(text.as_bytes());
            assert_eq!(hash.value(), expected, "{text}");
        }
    }

    #[test]
    fn texts_and_seeds_matter() {
        let first = |seed, text| Rng::from_text(seed, text).next_u64();
        assert_eq!(first(7, "a.weight"), first(7, "a.weight"));
        assert_ne!(first(7, "a.weight"), first(8, "a.weight"));
        assert_ne!(first(7, "a.weight"), first(7, "b.weight"));
    }

    /// Made by these formulas in Python. The last digits are the mathematics
    /// library's.
    #[test]
    fn a_parameters_first_values_stay_the_same() {
        let mut rng = Rng::from_text(1, "a.weight");
        for expected in [
            0.025904009498578292,
            -0.1702173930719293,
            -0.1718942345196277,
        ] {
            let found = rng.normal();
            assert!((found - expected).abs() < 1e-12, "{found}");
        }
    }

    #[test]
    fn normal_draws_have_their_moments() {
        let mut rng = Rng::from_text(1, "a.weight");
        let values: Vec<f64> = (0..40_000).map(|_| rng.normal()).collect();
        let count = values.len() as f64;
        let moment = |power| values.iter().map(|v| v.powi(power)).sum::<f64>() / count;
        // Four standard errors of each moment.
        assert!(moment(1).abs() < 4.0 / count.sqrt());
        assert!((moment(2) - 1.0).abs() < 4.0 * (2.0 / count).sqrt());
        assert!((moment(4) - 3.0).abs() < 4.0 * (96.0 / count).sqrt());
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
