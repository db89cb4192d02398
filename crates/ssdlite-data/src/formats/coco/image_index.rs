//! Which file an image's name in a JSON file stands for.
//!
//! Names were written for the folder of another machine or tool: with folders that are
//! not there, or without those that are. They stand for what is there; nothing is opened
//! by a name from a file.

use std::collections::{HashMap, HashSet};

use crate::detection::lists::folded;
use crate::split::Split;
use crate::tree::{FileKind, Tree, TreeFile, below, under};

/// The most names of a path that tell a file.
const MAX_STEPS: usize = 8;

/// The most files of one name of which one is looked for.
const MOST_ALIKE: usize = 100;

/// The images of a data folder by the ends of their paths.
pub(super) struct ImageIndex<'a> {
    by_end: HashMap<String, Vec<Image<'a>>>,
}

#[derive(Clone)]
struct Image<'a> {
    file: &'a TreeFile,
    /// Seen from the data folder.
    path: String,
}

/// What a name stands for.
pub(super) enum Named<'a> {
    One(&'a TreeFile),
    None,
    /// Two of those that it may be.
    Several(String, String),
}

/// The names of a JSON file's images.
pub(super) struct Names {
    /// How many different names have this end.
    ends: HashMap<String, usize>,
}

impl Names {
    pub(super) fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut ends = HashMap::new();
        let different: HashSet<&str> = names.into_iter().collect();
        for name in different {
            for end in ends_of(&steps(name)) {
                *ends.entry(folded(&end)).or_default() += 1;
            }
        }
        Self { ends }
    }

    /// Whether one name alone has this end.
    fn tells(&self, end: &str) -> bool {
        self.ends.get(&folded(end)) == Some(&1)
    }
}

impl<'a> ImageIndex<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        let mut by_end: HashMap<String, Vec<Image<'a>>> = HashMap::new();
        let images = tree
            .files
            .iter()
            .filter(|file| matches!(file.kind, FileKind::Image(_)));
        for file in images {
            let path = file.file();
            for end in ends_of(&steps(&path)) {
                let image = Image {
                    file,
                    path: path.clone(),
                };
                by_end.entry(folded(&end)).or_default().push(image);
            }
        }
        Self { by_end }
    }

    /// What a name in a file in `folder`, with the images of a split, stands for. An end
    /// of the name alone tells an image only where no other of the `names` has it.
    pub(super) fn find(
        &self,
        name: &str,
        names: &Names,
        folder: &str,
        split: Option<Split>,
    ) -> Named<'a> {
        let whole = steps(name);
        for end in ends_of(&whole) {
            let is_whole = end.matches('/').count() + 1 == whole.len();
            if !is_whole && !names.tells(&end) {
                continue;
            }
            let beside = self.by_end.get(&folded(&under(folder, &end)));
            if let Some(images) = beside.or_else(|| self.by_end.get(&folded(&end))) {
                return one_of(images, &end, folder, split);
            }
        }
        Named::None
    }
}

/// The one of some images whose path ends as the name does, by what is nearest.
fn one_of<'a>(images: &[Image<'a>], end: &str, folder: &str, split: Option<Split>) -> Named<'a> {
    let is_exact = |image: &Image<'a>| {
        let rest = image.path.strip_suffix(end);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
    };
    let is_below = |image: &Image<'a>| below(&image.file.folder, folder).is_some();
    let is_of_split = |image: &Image<'a>| {
        let mut folders = image.file.folder.split('/').filter_map(split_of_name);
        split.is_some_and(|split| folders.any(|known| known == split))
    };
    let mut left: Vec<&Image<'a>> = images.iter().take(MOST_ALIKE).collect();
    let narrowings: [&dyn Fn(&Image<'a>) -> bool; 3] = [&is_exact, &is_below, &is_of_split];
    for narrowing in narrowings {
        let narrowed: Vec<&Image<'a>> = left
            .iter()
            .copied()
            .filter(|image| narrowing(image))
            .collect();
        if !narrowed.is_empty() {
            left = narrowed;
        }
    }
    match &left[..] {
        [image] => Named::One(image.file),
        [one, other, ..] => Named::Several(one.path.clone(), other.path.clone()),
        [] => Named::None,
    }
}

/// The names in a path, without those that only lead elsewhere.
fn steps(path: &str) -> Vec<&str> {
    let steps = path
        .split(['/', '\\'])
        .filter(|step| !matches!(*step, "" | "." | ".."));
    steps.filter(|step| !step.ends_with(':')).collect()
}

/// The ends of a path, the longest first.
fn ends_of(steps: &[&str]) -> Vec<String> {
    let longest = steps.len().min(MAX_STEPS);
    let ends = (1..=longest)
        .rev()
        .map(|length| &steps[steps.len() - length..]);
    ends.map(|end| end.join("/")).collect()
}

/// The split that a folder or file tells by its name: `train2017`, `instances_val`.
pub(super) fn split_of_name(name: &str) -> Option<Split> {
    if let Some(split) = Split::from_folder_name(name) {
        return Some(split);
    }
    let words = name.split(|c: char| !c.is_alphanumeric());
    let words = words.map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()));
    let splits: HashSet<Split> = words.filter_map(Split::from_folder_name).collect();
    match splits.len() {
        1 => splits.into_iter().next(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_splits() {
        for (name, split) in [
            ("train", Some(Split::Train)),
            ("instances_train2017", Some(Split::Train)),
            ("person_keypoints_val2017", Some(Split::Val)),
            ("image_info_test-dev2017", None),
            ("mine.valid", Some(Split::Val)),
            ("trainval35k", None),
            ("instances_trainval2014", Some(Split::TrainVal)),
            ("train_val", Some(Split::TrainVal)),
            ("_annotations.coco", None),
            ("straining", None),
        ] {
            assert_eq!(split_of_name(name), split, "{name}");
        }
    }

    #[test]
    fn the_ends_of_a_path_have_whole_names() {
        assert_eq!(
            ends_of(&steps(r"C:\a\..\b\c.jpg")),
            ["a/b/c.jpg", "b/c.jpg", "c.jpg"]
        );
        assert_eq!(steps("https://x/y.jpg"), ["x", "y.jpg"]);
    }
}
