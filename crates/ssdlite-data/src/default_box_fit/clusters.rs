//! Sizes of boxes in clusters: k-means under the distance `1 - IoU`.
//!
//! Sources: arXiv 1612.08242 (YOLOv2), section 2, for the distance; D. Arthur and
//! S. Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007, for
//! the start.

use ssdlite_core::default_boxes::BoxSize;
use ssdlite_core::random::Rng;

/// How often clusters are begun anew; those with the greatest mean IoU are kept.
const STARTS: u64 = 4;

/// The most rounds of a start; most are at rest after ten.
const ROUNDS: usize = 30;

/// A distance that is none: of sizes equal but for rounding.
const SAME: f64 = 1e-6;

/// The size of an object, and how much it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct SizeSample {
    pub(super) size: BoxSize,
    pub(super) weight: f64,
}

/// At most `count` sizes that are like all others, the smallest first; as many as there
/// are different ones, if these are fewer.
pub(super) fn cluster(samples: &[SizeSample], count: usize, keys: &[u64]) -> Vec<BoxSize> {
    if count == 0 {
        return Vec::new();
    }
    let from = |start| {
        let mut rng = Rng::from_keys(&[keys, &[start]].concat());
        let mut centers = first_centers(samples, count, &mut rng);
        let mut nearest = Vec::new();
        for _ in 0..ROUNDS {
            let now: Vec<usize> = samples
                .iter()
                .map(|s| nearest_of(&centers, s.size).0)
                .collect();
            if now == nearest {
                break;
            }
            move_to_means(samples, &now, &mut centers);
            nearest = now;
        }
        (mean_iou(samples, &centers), centers)
    };
    let starts = (0..STARTS).map(from);
    let best = starts.reduce(|best, other| if other.0 > best.0 { other } else { best });
    let mut centers = best.map_or_else(Vec::new, |(_, centers)| centers);
    centers.sort_by(|a, b| (a.width * a.height).total_cmp(&(b.width * b.height)));
    centers
}

/// Centres to start from: each a size drawn by its weight and its distance to those
/// drawn before.
fn first_centers(samples: &[SizeSample], count: usize, rng: &mut Rng) -> Vec<BoxSize> {
    let mut centers = Vec::new();
    let mut distances = vec![1.0_f64; samples.len()];
    while centers.len() < count {
        let pulls = || (samples.iter().zip(&distances)).map(|(s, distance)| s.weight * distance);
        let sum: f64 = pulls().sum();
        if sum.is_nan() || sum <= 0.0 {
            break;
        }
        let mut left = f64::from(rng.unit()) * sum;
        let drawn = pulls().position(|pull| {
            left -= pull;
            pull > 0.0 && left <= 0.0
        });
        let last = || distances.iter().rposition(|&distance| distance > 0.0);
        let Some(center) = drawn.or_else(last).map(|index| samples[index].size) else {
            break;
        };
        centers.push(center);
        for (distance, sample) in distances.iter_mut().zip(samples) {
            let to_new = 1.0 - f64::from(center.iou(sample.size));
            let to_new = if to_new < SAME { 0.0 } else { to_new };
            *distance = distance.min(to_new);
        }
    }
    centers
}

/// The index of the nearest centre, and its IoU with the size.
fn nearest_of(centers: &[BoxSize], size: BoxSize) -> (usize, f32) {
    let ious = centers.iter().map(|center| center.iou(size)).enumerate();
    ious.fold(
        (0, 0.0),
        |best, other| if other.1 > best.1 { other } else { best },
    )
}

/// Moves each centre to the geometric mean of its sizes: the IoU of boxes with one
/// centre depends on the ratios of their sides.
fn move_to_means(samples: &[SizeSample], nearest: &[usize], centers: &mut [BoxSize]) {
    let mut sums = vec![[0.0_f64; 3]; centers.len()];
    for (sample, &center) in samples.iter().zip(nearest) {
        let SizeSample { size, weight } = *sample;
        sums[center][0] += weight * f64::from(size.width).ln();
        sums[center][1] += weight * f64::from(size.height).ln();
        sums[center][2] += weight;
    }
    for (center, [width, height, weight]) in centers.iter_mut().zip(sums) {
        if weight > 0.0 {
            *center = BoxSize {
                width: (width / weight).exp() as f32,
                height: (height / weight).exp() as f32,
            };
        }
    }
}

fn mean_iou(samples: &[SizeSample], centers: &[BoxSize]) -> f64 {
    let ious = samples.iter().map(|sample| {
        let (_, iou) = nearest_of(centers, sample.size);
        sample.weight * f64::from(iou)
    });
    ious.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(sizes: &[[f32; 2]]) -> Vec<SizeSample> {
        let weight = 1.0 / sizes.len() as f64;
        let sizes = sizes.iter().map(|&size| BoxSize::from(size));
        sizes.map(|size| SizeSample { size, weight }).collect()
    }

    fn kinds() -> Vec<SizeSample> {
        let mut rng = Rng::from_keys(&[3]);
        let kinds = [[0.05, 0.11], [0.3, 0.07], [0.5, 0.6]];
        let sizes = (0..600)
            .map(|index: usize| kinds[index % 3].map(|side: f32| side * rng.uniform(0.9..1.1)));
        samples(&sizes.collect::<Vec<_>>())
    }

    #[test]
    fn kinds_of_sizes_are_found() {
        let found = cluster(&kinds(), 3, &[7]);
        let expected = [[0.05, 0.11], [0.3, 0.07], [0.5, 0.6]].map(BoxSize::from);
        assert_eq!(found.len(), 3);
        for size in expected {
            let (_, iou) = nearest_of(&found, size);
            assert!(iou > 0.95, "{found:?}");
        }
    }

    #[test]
    fn equal_sizes_are_one_cluster() {
        let found = cluster(&samples(&[[0.2, 0.3]; 50]), 6, &[7]);
        assert_eq!(found.len(), 1);
        assert!((found[0].width - 0.2).abs() < 1e-6 && (found[0].height - 0.3).abs() < 1e-6);
        assert_eq!(cluster(&[], 6, &[7]), []);
        assert_eq!(cluster(&kinds(), 0, &[7]), []);
    }

    #[test]
    fn more_clusters_are_nearer_and_the_same_keys_find_the_same() {
        let kinds = kinds();
        let of = |count| mean_iou(&kinds, &cluster(&kinds, count, &[7]));
        assert!(of(1) < of(2) && of(2) < of(3) && of(3) < of(6));
        assert_eq!(cluster(&kinds, 4, &[7]), cluster(&kinds, 4, &[7]));
    }
}
