//! What a file says about itself: our description under the key of model files, and the
//! keys that Ultralytics' loader asks for.
//!
//! That loader reads values as Python's literals, as `str` writes them.

use std::fmt::Write;

use ssdlite_core::model_info::METADATA_KEY;
use ssdlite_core::{ClassNames, ImageSize, ModelInfo, Task};
use ssdlite_model::Result;

use super::OnnxOptions;
use super::graph::Dimension;

/// The largest stride of the network's maps that matters to who pads images.
const LARGEST_STRIDE: u32 = 32;

/// Keys with their values.
///
/// # Errors
/// As [`ModelInfo::to_json`].
pub(super) fn entries(
    info: &ModelInfo,
    options: &OnnxOptions,
) -> Result<Vec<(&'static str, String)>> {
    let size = info.preprocessing.size;
    let (task, what) = match info.task {
        Task::Classify => ("classify", "classifier"),
        Task::Detect(_) => ("detect", "detector"),
    };
    let network = info.backbone.variant.name();
    let images = options.batch.dimension();
    let batch = match images {
        Dimension::Fixed(images) => images,
        Dimension::Images => 1,
    };
    let args = format!(
        "{{'batch': {batch}, 'dynamic': {}, 'nms': {}}}",
        python_bool(images == Dimension::Images),
        python_bool(options.layout.suppresses()),
    );
    Ok(vec![
        (
            "description",
            format!("ssdlite {what}, MobileNetV3 {network}"),
        ),
        ("stride", stride(size).to_string()),
        ("task", task.to_owned()),
        ("batch", batch.to_string()),
        ("imgsz", format!("[{}, {}]", size.height, size.width)),
        ("names", python_names(&info.classes)),
        ("channels", "3".to_owned()),
        ("args", args),
        (METADATA_KEY, info.to_json()?),
    ])
}

/// A number of which the input's sides are multiples, as the loader would enlarge an
/// input otherwise that can't be enlarged.
fn stride(size: ImageSize) -> u32 {
    let bits = (size.width | size.height).trailing_zeros();
    1 << bits.min(LARGEST_STRIDE.ilog2())
}

const fn python_bool(is_so: bool) -> &'static str {
    if is_so { "True" } else { "False" }
}

/// `{0: 'cat', 1: 'dog'}`.
fn python_names(classes: &ClassNames) -> String {
    let mut text = String::from("{");
    for (id, name) in classes.iter().enumerate() {
        let separator = if id == 0 { "" } else { ", " };
        // Writing to a text does not fail.
        let _ = write!(text, "{separator}{id}: {}", python_text(name));
    }
    text.push('}');
    text
}

/// A text in the quotes that Python chooses. Names hold no control characters.
fn python_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut literal = String::from(quote);
    for char in text.chars() {
        if char == '\\' || char == quote {
            literal.push('\\');
        }
        literal.push(char);
    }
    literal.push(quote);
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `repr` of Python 3 has them.
    #[test]
    fn texts_are_quoted_as_python_does() {
        for (text, literal) in [
            ("cat", "'cat'"),
            ("it's", "\"it's\""),
            ("a \"b\"", "'a \"b\"'"),
            ("'\"", "'\\'\"'"),
            ("a\\b", "'a\\\\b'"),
            ("Äpfel 苹果", "'Äpfel 苹果'"),
        ] {
            assert_eq!(python_text(text), literal);
        }
        let names = ClassNames::new(["cat", "it's"]).unwrap();
        assert_eq!(python_names(&names), "{0: 'cat', 1: \"it's\"}");
    }

    #[test]
    fn strides_divide_both_sides() {
        for (width, height, expected) in [
            (320, 320, 32),
            (640, 320, 32),
            (300, 300, 4),
            (300, 320, 4),
            (224, 225, 1),
            (2048, 2048, 32),
        ] {
            let size = ImageSize::new(width, height);
            assert_eq!(stride(size), expected, "{size}");
            assert!(width % expected == 0 && height % expected == 0);
        }
    }
}
