//! Near-duplicates among many hashes, without comparing all with all.
//!
//! Two hashes that differ by few bits agree almost wholly in one of several pieces of
//! their bits (the pigeonhole principle), so those of each piece are sorted into
//! buckets and only buckets that differ by a bit or two are looked into. A hash that
//! was found to belong to a group leaves its buckets, so that a set of images that are
//! all alike is as quick as one without any.
//!
//! Source: M. Norouzi, A. Punjani, D. Fleet, "Fast Search in Hamming Space with
//! Multi-Index Hashing", CVPR 2012.

use super::NEAR_BITS;
use super::hash::Look;
use super::joined::Joined;

/// Pieces of a hash, of 16 bits each.
const PIECES: usize = 8;

/// Of hashes that differ by `NEAR_BITS`, one piece differs by this at most.
const PIECE_BITS: u32 = NEAR_BITS / PIECES as u32;

const _: () = assert!(PIECE_BITS == 2, "`flips` are those of up to two bits");

/// The values of a piece.
const VALUES: usize = 1 << 16;

/// Bits beside each other often agree, as they do in a sky: each piece takes its bits
/// from all over the hash. Odd, so that every bit has a place.
const SPREAD: u32 = 37;

/// How many others an image is compared with at most. Random hashes of 100,000 images
/// meet about 1,700; only images that were made for it, or look alike in parts by the
/// ten thousands without being near, come to more.
const MOST_COMPARED: usize = 1 << 17;

/// Joins all that are linked by steps of at most `NEAR_BITS`. Returns how many hashes
/// were not compared with all that might be near.
pub(super) fn join_near(looks: &[(usize, Look)], joined: &mut Joined) -> usize {
    let mut search = Search::new(looks.iter().map(|&(_, look)| look));
    let mut unfinished = 0;
    let mut waiting = Vec::new();
    for first in 0..looks.len() {
        if !search.take(first) {
            continue;
        }
        waiting.push(first);
        while let Some(found) = waiting.pop() {
            let before = waiting.len();
            if !search.take_near(found, &mut waiting) {
                unfinished += 1;
            }
            for &near in &waiting[before..] {
                joined.join(looks[found].0, looks[near].0);
            }
        }
    }
    unfinished
}

/// Hashes that belong to no group yet.
struct Search {
    looks: Vec<Look>,
    is_taken: Vec<bool>,
    /// Those of each value of each piece; what is taken leaves when it is met.
    buckets: Vec<Vec<usize>>,
    flips: Vec<usize>,
}

impl Search {
    fn new(looks: impl Iterator<Item = Look>) -> Self {
        // Distances stay the same where the bits of all hashes change places alike.
        let looks: Vec<Look> = looks.map(spread).collect();
        let mut buckets = vec![Vec::new(); PIECES * VALUES];
        for (index, &look) in looks.iter().enumerate() {
            for (piece, value) in pieces(look) {
                buckets[piece * VALUES + value].push(index);
            }
        }
        Self {
            is_taken: vec![false; looks.len()],
            looks,
            buckets,
            flips: flips(),
        }
    }

    /// Takes a hash, unless it is taken already.
    fn take(&mut self, index: usize) -> bool {
        !std::mem::replace(&mut self.is_taken[index], true)
    }

    /// Takes all that are near a hash. False if there were too many to compare.
    fn take_near(&mut self, index: usize, found: &mut Vec<usize>) -> bool {
        let look = self.looks[index];
        let mut compared = 0;
        for (piece, value) in pieces(look) {
            for flip in &self.flips {
                let bucket = &mut self.buckets[piece * VALUES + (value ^ flip)];
                let mut place = 0;
                while let Some(&other) = bucket.get(place) {
                    let is_taken = &mut self.is_taken[other];
                    if !*is_taken {
                        if compared == MOST_COMPARED {
                            return false;
                        }
                        compared += 1;
                        if look.distance(self.looks[other]) > NEAR_BITS {
                            place += 1;
                            continue;
                        }
                        *is_taken = true;
                        found.push(other);
                    }
                    bucket.swap_remove(place);
                }
            }
        }
        true
    }
}

fn spread(look: Look) -> Look {
    let moved = |bit: u32| ((look.0 >> bit) & 1) << (bit * SPREAD % u128::BITS);
    Look((0..u128::BITS).map(moved).sum())
}

/// The number and the value of each piece.
fn pieces(look: Look) -> impl Iterator<Item = (usize, usize)> {
    let value = move |piece: usize| (look.0 >> (16 * piece)) as usize % VALUES;
    (0..PIECES).map(move |piece| (piece, value(piece)))
}

/// What turns a piece into those that differ by two bits at most, itself first.
fn flips() -> Vec<usize> {
    let bits = || (0..16).map(|bit| 1_usize << bit);
    let pairs = bits().flat_map(|one| {
        let larger = bits().filter(move |&other| other > one);
        larger.map(move |other| one | other)
    });
    std::iter::once(0).chain(bits()).chain(pairs).collect()
}

#[cfg(test)]
mod tests {
    use ssdlite_core::random::Rng;

    use super::*;

    fn groups(looks: &[Look]) -> (Vec<usize>, usize) {
        let mut joined = Joined::new(looks.len());
        let numbered: Vec<(usize, Look)> = looks.iter().copied().enumerate().collect();
        let unfinished = join_near(&numbered, &mut joined);
        (joined.into_groups(), unfinished)
    }

    fn random(rng: &mut Rng) -> u128 {
        (u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64())
    }

    /// `bits` with so many of them changed.
    fn changed(bits: u128, count: u32, rng: &mut Rng) -> u128 {
        let mut places: Vec<u32> = (0..u128::BITS).collect();
        rng.shuffle(&mut places);
        let changed = places[..count as usize].iter();
        changed.fold(bits, |bits, place| bits ^ (1_u128 << place))
    }

    #[test]
    fn the_same_groups_are_found_as_by_comparing_all() {
        let mut rng = Rng::from_keys(&[11]);
        let mut looks = Vec::new();
        for _ in 0..60 {
            let bits = random(&mut rng);
            looks.push(Look(bits));
            for distance in [0, 3, 12, NEAR_BITS - 1, NEAR_BITS, NEAR_BITS + 1, 30] {
                looks.push(Look(changed(bits, distance, &mut rng)));
            }
        }
        let mut joined = Joined::new(looks.len());
        for (one, look) in looks.iter().enumerate() {
            for (other, second) in looks.iter().enumerate().skip(one + 1) {
                if look.distance(*second) <= NEAR_BITS {
                    joined.join(one, other);
                }
            }
        }
        let (found, unfinished) = groups(&looks);
        assert_eq!((found, unfinished), (joined.into_groups(), 0));
    }

    #[test]
    fn pairs_at_the_bound_are_found_wherever_they_differ() {
        let mut rng = Rng::from_keys(&[12]);
        for _ in 0..40 {
            let bits = random(&mut rng);
            let near = changed(bits, NEAR_BITS, &mut rng);
            let far = changed(bits, NEAR_BITS + 1, &mut rng);
            assert_eq!(groups(&[Look(bits), Look(near)]).0, [0, 0]);
            assert_eq!(groups(&[Look(bits), Look(far)]).0, [0, 1]);
        }
    }

    /// As the frames of a camera that stands still are: compared with each other they
    /// would be compared five thousand million times.
    #[test]
    fn a_hundred_thousand_that_are_all_alike_are_one_group() {
        let mut rng = Rng::from_keys(&[13]);
        let bits = random(&mut rng);
        let looks: Vec<Look> = (0..100_000)
            .map(|_| Look(bits ^ (1_u128 << rng.below(128))))
            .collect();
        let (found, unfinished) = groups(&looks);
        assert!(found.iter().all(|&group| group == 0));
        assert_eq!(unfinished, 0);
    }

    #[test]
    fn what_was_made_to_be_compared_in_vain_is_bounded_and_counted() {
        // All agree in one piece and in no other.
        let mut rng = Rng::from_keys(&[14]);
        let alike: Vec<Look> = (0..MOST_COMPARED + 100)
            .map(|_| unspread(random(&mut rng) & !0xffff))
            .collect();
        let mut search = Search::new(alike.iter().copied());
        search.take(0);
        let mut found = Vec::new();
        assert!(!search.take_near(0, &mut found));
        assert!(found.is_empty());
    }

    /// The hash that [`spread`] makes these bits of.
    fn unspread(bits: u128) -> Look {
        let moved = |bit: u32| ((bits >> (bit * SPREAD % u128::BITS)) & 1) << bit;
        Look((0..u128::BITS).map(moved).sum())
    }

    #[test]
    fn every_bit_has_a_place() {
        let mut rng = Rng::from_keys(&[15]);
        for _ in 0..20 {
            let bits = random(&mut rng);
            assert_eq!(spread(unspread(bits)), Look(bits));
        }
        assert_eq!(flips().len(), 1 + 16 + 120);
    }
}
