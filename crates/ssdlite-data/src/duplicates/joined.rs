//! Which of some items belong together, as it becomes known pair by pair.

/// Items that are joined step by step: a forest in which those of one group have one
/// root.
pub(super) struct Joined {
    parents: Vec<usize>,
}

impl Joined {
    /// So many items, each alone.
    pub(super) fn new(count: usize) -> Self {
        Self {
            parents: (0..count).collect(),
        }
    }

    /// Makes one group of the groups of two items.
    pub(super) fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        // The first item of a group is its root, whatever was joined first.
        self.parents[one.max(other)] = one.min(other);
    }

    /// The group of each item; groups are numbered by their first items.
    pub(super) fn into_groups(mut self) -> Vec<usize> {
        let mut groups = Vec::with_capacity(self.parents.len());
        let mut count = 0;
        for item in 0..self.parents.len() {
            let root = self.root(item);
            if root == item {
                groups.push(count);
                count += 1;
            } else {
                groups.push(groups[root]);
            }
        }
        groups
    }

    fn root(&mut self, mut item: usize) -> usize {
        while self.parents[item] != item {
            // Shorter ways from here on: half of each way that is gone.
            self.parents[item] = self.parents[self.parents[item]];
            item = self.parents[item];
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_what_is_joined_in_whatever_order() {
        let pairs = [(5, 3), (1, 6), (3, 1), (4, 4), (2, 0)];
        let groups = |pairs: &[(usize, usize)]| {
            let mut joined = Joined::new(7);
            for &(one, other) in pairs {
                joined.join(one, other);
            }
            joined.into_groups()
        };
        let found = groups(&pairs);
        assert_eq!(found, [0, 1, 0, 1, 2, 1, 1]);
        let mut backwards = pairs;
        backwards.reverse();
        assert_eq!(groups(&backwards), found);
        assert_eq!(groups(&[]), [0, 1, 2, 3, 4, 5, 6]);
        assert!(Joined::new(0).into_groups().is_empty());
    }

    #[test]
    fn a_long_chain_is_one_group() {
        let mut joined = Joined::new(100_000);
        for item in (1..100_000).rev() {
            joined.join(item, item - 1);
        }
        assert!(joined.into_groups().iter().all(|&group| group == 0));
    }
}
