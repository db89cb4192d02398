//! Groups of images, dealt out so that each part gets its share of every class.
//!
//! Iterative stratification: the rarest label goes first, each of its groups to the
//! part that lacks most images of it. What the source does with single examples, is
//! done here with groups that stay together.
//!
//! Counts are whole numbers throughout, so the same groups are dealt out alike on every
//! machine.
//!
//! Source: K. Sechidis, G. Tsoumakas, I. Vlahavas, "On the Stratification of
//! Multi-Label Data", ECML PKDD 2011.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use ssdlite_core::random::Rng;

/// The label of images with an object that counts.
pub(crate) const WITH_OBJECT: usize = 0;

/// The label of images without any.
pub(crate) const WITHOUT_OBJECT: usize = 1;

/// The label of images with an object of this class.
pub(crate) const fn label_of_class(class: usize) -> usize {
    WITHOUT_OBJECT + 1 + class
}

/// Images that stay together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// How many they are, one at least.
    pub(crate) images: usize,
    /// Each label of any of them once, and how many of them have it.
    pub(crate) labels: Vec<(usize, usize)>,
}

impl Group {
    /// Whether an object of one of its images counts.
    pub(crate) fn counts(&self) -> bool {
        self.labels.iter().any(|&(label, _)| label == WITH_OBJECT)
    }

    fn with_label(&self, label: usize) -> usize {
        let found = self.labels.iter().find(|(own, _)| *own == label);
        found.map_or(0, |&(_, images)| images)
    }
}

/// Deals groups out to parts of these sizes, in images, that are as many as there are.
///
/// Every part gets a group with an object that counts, if the first part is not left
/// without one thereby; and the first part gets a group of every class, as far as its
/// size allows. A part is larger than it should be where no group is small enough for
/// what is left. `keys` are what the choice among equal groups depends on.
///
/// Returns the part of each group, or none if there are fewer groups that count than
/// parts.
pub(crate) fn stratified(groups: &[Group], sizes: &[usize], keys: &[u64]) -> Option<Vec<usize>> {
    if groups.iter().filter(|group| group.counts()).count() < sizes.len() {
        return None;
    }
    let mut order: Vec<usize> = (0..groups.len()).collect();
    Rng::from_keys(keys).shuffle(&mut order);
    let mut dealing = Dealing::new(groups, sizes);
    let labels = dealing.totals.len();
    let mut with_label = vec![Vec::new(); labels];
    for &group in &order {
        for &(label, _) in &groups[group].labels {
            with_label[label].push(group);
        }
    }
    let mut waiting: BTreeSet<(usize, usize)> = (0..labels)
        .map(|label| (with_label[label].len(), label))
        .collect();
    let mut left: Vec<usize> = with_label.iter().map(Vec::len).collect();
    while let Some((_, label)) = waiting.pop_first() {
        let mut open = std::mem::take(&mut with_label[label]);
        open.retain(|&group| dealing.parts[group].is_none());
        // While there is most room the largest ones find their place.
        open.sort_by_key(|&group| Reverse(groups[group].with_label(label)));
        for group in open {
            dealing.deal(group, Some(label));
            for &(other, _) in &groups[group].labels {
                if waiting.remove(&(left[other], other)) {
                    left[other] -= 1;
                    waiting.insert((left[other], other));
                }
            }
        }
    }
    let mut rest = order;
    rest.retain(|&group| dealing.parts[group].is_none());
    rest.sort_by_key(|&group| Reverse(groups[group].images));
    for group in rest {
        dealing.deal(group, None);
    }
    let mut parts: Vec<usize> = dealing.parts.into_iter().flatten().collect();
    fill_parts(groups, sizes.len(), &mut parts);
    Some(parts)
}

/// How far groups are dealt out.
struct Dealing<'a> {
    groups: &'a [Group],
    /// The part of each group that has one.
    parts: Vec<Option<usize>>,
    sizes: Vec<i64>,
    /// The images in each part.
    images: Vec<i64>,
    /// The images with each label, in each part.
    labelled: Vec<Vec<i64>>,
    /// The images with each label in all.
    totals: Vec<i64>,
}

impl<'a> Dealing<'a> {
    fn new(groups: &'a [Group], sizes: &[usize]) -> Self {
        let labels = groups.iter().flat_map(|group| &group.labels);
        let count = labels.clone().map(|&(label, _)| label + 1).max();
        let mut totals = vec![0; count.unwrap_or(0)];
        for &(label, images) in labels {
            totals[label] += images as i64;
        }
        Self {
            groups,
            parts: vec![None; groups.len()],
            sizes: sizes.iter().map(|&size| size as i64).collect(),
            images: vec![0; sizes.len()],
            labelled: vec![vec![0; totals.len()]; sizes.len()],
            totals,
        }
    }

    /// Deals a group out to the part that lacks its label most, or images most.
    fn deal(&mut self, group: usize, label: Option<usize>) {
        let images = self.groups[group].images as i64;
        let room = |part: usize| self.sizes[part] - self.images[part];
        let is_new = |label: usize| self.labelled[0][label] == 0;
        let fitting = (0..self.sizes.len()).filter(|&part| room(part) >= images);
        let best = fitting.max_by_key(|&part| {
            // The first part learns: a class that it doesn't have it does not find.
            let lacks = label.map(|label| (part == 0 && is_new(label), self.lack(part, label)));
            (lacks, room(part), Reverse(part))
        });
        let most_room = || (0..self.sizes.len()).max_by_key(|&part| (room(part), Reverse(part)));
        let part = best.or_else(most_room).unwrap_or(0);
        self.parts[group] = Some(part);
        self.images[part] += images;
        for &(label, images) in &self.groups[group].labels {
            self.labelled[part][label] += images as i64;
        }
    }

    /// How many images with a label a part lacks to its share, times all images.
    fn lack(&self, part: usize, label: usize) -> i64 {
        let all: i64 = self.sizes.iter().sum();
        self.totals[label] * self.sizes[part] - self.labelled[part][label] * all
    }
}

/// Gives each part that is without a group that counts one of another part, which gets
/// as many images back if it can be.
fn fill_parts(groups: &[Group], count: usize, parts: &mut [usize]) {
    for part in (0..count).rev() {
        let labels = labels_of_parts(groups, count, parts);
        let counting = |part: usize| labels[part].get(WITH_OBJECT).copied().unwrap_or(0);
        if counting(part) > 0 {
            continue;
        }
        let is_last_of_label = |group: usize| {
            let mut own = groups[group].labels.iter();
            own.any(|&(label, _)| labels[parts[group]][label] == 1)
        };
        let given = (0..groups.len())
            .filter(|&group| groups[group].counts() && counting(parts[group]) > 1)
            .min_by_key(|&group| (is_last_of_label(group), groups[group].images, group));
        let Some(given) = given else {
            return;
        };
        let giver = std::mem::replace(&mut parts[given], part);
        let back = (0..groups.len()).find(|&group| {
            let is_as_large = groups[group].images == groups[given].images;
            parts[group] == part && is_as_large && !groups[group].counts()
        });
        if let Some(back) = back {
            parts[back] = giver;
        }
    }
}

/// How many groups of each part have each label.
fn labels_of_parts(groups: &[Group], count: usize, parts: &[usize]) -> Vec<Vec<usize>> {
    let labels = groups.iter().flat_map(|group| &group.labels);
    let most = labels.map(|&(label, _)| label + 1).max().unwrap_or(0);
    let mut found = vec![vec![0; most]; count];
    for (group, &part) in groups.iter().zip(parts) {
        for &(label, _) in &group.labels {
            found[part][label] += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many images, of which all have an object that counts of each of these classes.
    fn group(images: usize, classes: &[usize]) -> Group {
        let label = if classes.is_empty() {
            WITHOUT_OBJECT
        } else {
            WITH_OBJECT
        };
        let labels = classes.iter().map(|&class| label_of_class(class));
        Group {
            images,
            labels: std::iter::once(label)
                .chain(labels)
                .map(|label| (label, images))
                .collect(),
        }
    }

    /// The images of each part, in all and of a label.
    fn counts(groups: &[Group], parts: &[usize], count: usize, label: usize) -> Vec<[usize; 2]> {
        let mut counts = vec![[0; 2]; count];
        for (group, &part) in groups.iter().zip(parts) {
            counts[part][0] += group.images;
            counts[part][1] += group.with_label(label);
        }
        counts
    }

    #[test]
    fn single_images_are_divided_exactly_and_every_class_by_its_share() {
        // Classes of 500, 100 and 20 images among 1000, and 380 without an object.
        let mut groups = vec![group(1, &[0]); 500];
        groups.extend(vec![group(1, &[1]); 100]);
        groups.extend(vec![group(1, &[2]); 20]);
        groups.extend(vec![group(1, &[]); 380]);
        for seed in 0..5 {
            let parts = stratified(&groups, &[700, 100, 200], &[seed]).unwrap();
            for (label, shares) in [
                (label_of_class(0), [350, 50, 100]),
                (label_of_class(1), [70, 10, 20]),
                (label_of_class(2), [14, 2, 4]),
                (WITHOUT_OBJECT, [266, 38, 76]),
            ] {
                let found = counts(&groups, &parts, 3, label);
                assert_eq!(found.iter().map(|part| part[1]).collect::<Vec<_>>(), shares);
                assert_eq!(
                    found.iter().map(|part| part[0]).collect::<Vec<_>>(),
                    [700, 100, 200]
                );
            }
            let others = stratified(&groups, &[700, 100, 200], &[seed + 1]).unwrap();
            assert_ne!(parts, others);
            assert_eq!(
                parts,
                stratified(&groups, &[700, 100, 200], &[seed]).unwrap()
            );
        }
    }

    #[test]
    fn images_of_several_classes_are_shared_out_nearly_as_they_should() {
        let mut rng = Rng::from_keys(&[3]);
        let groups: Vec<Group> = (0..400)
            .map(|_| {
                let classes: Vec<usize> = (0..6)
                    .filter(|&class| rng.below(2 + 4 * class) == 0)
                    .collect();
                group(1 + rng.below(4), &classes)
            })
            .collect();
        let all: usize = groups.iter().map(|group| group.images).sum();
        let sizes = [all - all / 5 - all / 10, all / 10, all / 5];
        let parts = stratified(&groups, &sizes, &[9]).unwrap();
        for label in 0..label_of_class(6) {
            let total: usize = groups.iter().map(|group| group.with_label(label)).sum();
            for (part, found) in counts(&groups, &parts, 3, label).iter().enumerate() {
                assert!(found[0].abs_diff(sizes[part]) <= 4, "{part}: {found:?}");
                let share = total * sizes[part] / all;
                let far = found[1].abs_diff(share);
                assert!(
                    far <= 4 + total / 20,
                    "{label} in {part}: {} of {share}",
                    found[1]
                );
            }
        }
    }

    #[test]
    fn a_group_stays_together_and_large_ones_go_where_there_is_room() {
        let groups = [
            group(60, &[0]),
            group(10, &[0]),
            group(10, &[0]),
            group(20, &[0]),
        ];
        let parts = stratified(&groups, &[80, 10, 10], &[1]).unwrap();
        assert_eq!(
            counts(&groups, &parts, 3, 0),
            [[80, 80], [10, 10], [10, 10]]
        );
        // None fits in what it should be; each part has one all the same.
        let videos = vec![group(100, &[0]); 3];
        let mut parts = stratified(&videos, &[243, 27, 30], &[1]).unwrap();
        parts.sort_unstable();
        assert_eq!(parts, [0, 1, 2]);
    }

    #[test]
    fn what_is_rare_is_learnt() {
        let mut groups = vec![group(1, &[0]); 9];
        groups.push(group(1, &[1]));
        for seed in 0..20 {
            let parts = stratified(&groups, &[4, 1, 5], &[seed]).unwrap();
            assert_eq!(parts[9], 0, "{seed}");
        }
    }

    #[test]
    fn each_part_gets_an_object_and_keeps_its_size() {
        let mut groups = vec![group(1, &[]); 27];
        groups.extend(vec![group(1, &[0]); 3]);
        for seed in 0..5 {
            let parts = stratified(&groups, &[24, 3, 3], &[seed]).unwrap();
            let found = counts(&groups, &parts, 3, WITH_OBJECT);
            assert_eq!(found, [[24, 1], [3, 1], [3, 1]]);
        }
        assert_eq!(stratified(&groups[..29], &[23, 3, 3], &[0]), None);
        assert_eq!(stratified(&[], &[0, 0, 0], &[0]), None);
    }

    #[test]
    fn a_class_in_every_image_and_many_classes_are_dealt_out() {
        let groups: Vec<Group> = (0..3000).map(|class| group(1, &[class, 3000])).collect();
        let sizes = [600; 5];
        let parts = stratified(&groups, &sizes, &[4]).unwrap();
        for found in counts(&groups, &parts, 5, label_of_class(3000)) {
            assert_eq!(found, [600, 600]);
        }
    }
}
