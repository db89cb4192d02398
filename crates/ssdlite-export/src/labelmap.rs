//! The names of a file's classes for programs that don't read them from the file.

use ssdlite_core::ClassNames;

use crate::Layout;

/// What jetson-inference's own models call the class before all others.
const BACKGROUND: &str = "BACKGROUND";

/// A line for each class, as the consumer of a layout numbers them: `0 cat` where the
/// background is not counted, `1 cat` in [`Layout::Ssd7`]. In [`Layout::Jetson`] lines
/// have no numbers, and the first is the background's.
pub fn labelmap(classes: &ClassNames, layout: Layout) -> String {
    let lines = classes.iter().enumerate().map(|(id, name)| match layout {
        Layout::Raw | Layout::Nms | Layout::Yolo => format!("{id} {name}\n"),
        Layout::Ssd7 => format!("{} {name}\n", id + 1),
        Layout::Jetson => format!("{name}\n"),
    });
    let first = match layout {
        Layout::Jetson => format!("{BACKGROUND}\n"),
        _ => String::new(),
    };
    std::iter::once(first).chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_numbered_as_outputs_are() {
        let classes = ClassNames::new(["cat", "fire engine"]).unwrap();
        for (layout, text) in [
            (Layout::Raw, "0 cat\n1 fire engine\n"),
            (Layout::Yolo, "0 cat\n1 fire engine\n"),
            (Layout::Ssd7, "1 cat\n2 fire engine\n"),
            (Layout::Jetson, "BACKGROUND\ncat\nfire engine\n"),
        ] {
            assert_eq!(labelmap(&classes, layout), text, "{layout:?}");
        }
    }
}
