//! What of a project's labelling configuration in Label Studio tells how to label
//! its images with boxes.
//!
//! Source: Label Studio's documentation of the tags `Image`, `RectangleLabels` and
//! `Label`; the mapping of a model's classes to labels is that of
//! `LabelStudioMLBase.build_label_map` in label-studio-ml-backend.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use ssdlite_core::{ClassId, ClassNames};

/// The most bytes of a configuration.
const MAX_BYTES: usize = 1 << 20;

/// How images of a project are labelled with boxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LabelConfig {
    /// The name of the tag `RectangleLabels`.
    pub(crate) from_name: String,
    /// The name of the tag `Image`.
    pub(crate) to_name: String,
    /// The key of the image in a task's data.
    pub(crate) key: String,
    labels: Vec<Label>,
}

/// A label and the classes of a model that it is said to stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Label {
    value: String,
    predicted: Vec<String>,
}

/// The label of each class of a model, none for one that has none.
pub(crate) struct LabelsOfClasses(Vec<Option<String>>);

impl LabelsOfClasses {
    pub(crate) fn get(&self, class: ClassId) -> Option<&str> {
        self.0.get(class.index())?.as_deref()
    }
}

impl LabelConfig {
    /// Reads a configuration: the first `RectangleLabels` of an `Image`. The error is a
    /// message for the user.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!(
                "expected a labelling configuration of at most {MAX_BYTES} bytes, found {}",
                text.len()
            ));
        }
        let mut reader = Reader::from_str(text);
        let mut tags = Tags::default();
        loop {
            let event = reader.read_event();
            let event = event.map_err(|error| format!("the labelling configuration: {error}"))?;
            match event {
                Event::Start(tag) => {
                    let is_control = tags.take(&tag)?;
                    tags.depth += 1;
                    if is_control {
                        tags.control = Some(tags.depth);
                    }
                }
                Event::Empty(tag) => {
                    tags.take(&tag)?;
                }
                Event::End(_) => {
                    if tags.control == Some(tags.depth) {
                        tags.control = None;
                    }
                    tags.depth = tags.depth.saturating_sub(1);
                }
                Event::Eof => return tags.config(),
                _ => {}
            }
        }
    }

    /// The labels of a model's classes. The error, where no class has one, is a message
    /// for the user.
    pub(crate) fn labels_of(&self, classes: &ClassNames) -> Result<LabelsOfClasses, String> {
        let labels = classes.iter().map(|class| self.label_of(class));
        let labels: Vec<_> = labels.collect();
        if labels.iter().any(Option::is_some) {
            return Ok(LabelsOfClasses(labels));
        }
        let found = self.labels.iter().map(|label| label.value.as_str());
        let found: Vec<_> = found.collect();
        let expected: Vec<_> = classes.iter().collect();
        Err(format!(
            "expected a <Label> that is one of the classes {}, or names one in \
             `predicted_values`, found {}",
            expected.join(", "),
            found.join(", ")
        ))
    }

    fn label_of(&self, class: &str) -> Option<String> {
        let is_named = |label: &&Label| label.predicted.iter().any(|name| name == class);
        let is_equal = |label: &&Label| label.value == class;
        let is_alike = |label: &&Label| label.value.to_lowercase() == class.to_lowercase();
        let mut labels = self.labels.iter();
        let label = (labels.clone().find(is_named))
            .or_else(|| labels.clone().find(is_equal))
            .or_else(|| labels.find(is_alike))?;
        Some(label.value.clone())
    }
}

/// What is read of a configuration so far.
#[derive(Default)]
struct Tags {
    /// The elements that are open.
    depth: usize,
    /// The depth of the control that is open, which is the last one.
    control: Option<usize>,
    images: Vec<Image>,
    controls: Vec<Control>,
}

struct Image {
    name: String,
    key: String,
}

struct Control {
    name: String,
    to_name: String,
    labels: Vec<Label>,
}

impl Tags {
    /// Takes a tag that means something here; tells whether labels may stand in it.
    fn take(&mut self, tag: &BytesStart<'_>) -> Result<bool, String> {
        match tag.local_name().as_ref() {
            "Image" => {
                let value = attribute(tag, "value")?;
                self.images.push(Image {
                    name: attribute(tag, "name")?,
                    key: value.trim_start_matches('$').to_owned(),
                });
                Ok(false)
            }
            "RectangleLabels" => {
                self.controls.push(Control {
                    name: attribute(tag, "name")?,
                    to_name: attribute(tag, "toName")?,
                    labels: Vec::new(),
                });
                Ok(true)
            }
            "Label" => {
                let control = self.control.and(self.controls.last_mut());
                if let Some(control) = control {
                    let predicted = attribute(tag, "predicted_values")?;
                    let predicted = predicted.split(',').map(|name| name.trim().to_owned());
                    control.labels.push(Label {
                        value: attribute(tag, "value")?,
                        predicted: predicted.filter(|name| !name.is_empty()).collect(),
                    });
                }
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    fn config(self) -> Result<LabelConfig, String> {
        let Self {
            images, controls, ..
        } = self;
        let found = controls.into_iter().find_map(|control| {
            let image = images.iter().find(|image| image.name == control.to_name)?;
            Some(LabelConfig {
                from_name: control.name,
                to_name: control.to_name,
                key: image.key.clone(),
                labels: control.labels,
            })
        });
        found.ok_or_else(|| {
            "expected a labelling configuration with a <RectangleLabels> whose `toName` is the \
             name of an <Image>, found none"
                .into()
        })
    }
}

/// The value of an attribute; empty if it is not there.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<String, String> {
    let fault = |error: String| format!("the labelling configuration: {error}");
    let found = tag.try_get_attribute(name);
    let found = found.map_err(|error| fault(error.to_string()))?;
    let Some(found) = found else {
        return Ok(String::new());
    };
    let value = found.normalized_value(XmlVersion::Implicit1_0);
    value
        .map(|value| value.into_owned())
        .map_err(|error| fault(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "<View><Header value='&lt;b&gt;'/>
        <Labels name='other' toName='image'><Label value='none'/></Labels>
        <RectangleLabels name='far' toName='video'><Label value='x'/></RectangleLabels>
        <RectangleLabels name='label' toName='image' model_score_threshold='0.25'>
          <View><Label value='Airplane' background='green'/></View>
          <Label value='Car &amp; co' predicted_values='car, truck'/>
        </RectangleLabels>
        <Label value='outside'/>
        <Image name='image' value='$photo'/></View>";

    fn labels(config: &LabelConfig, classes: &[&str]) -> Result<Vec<Option<String>>, String> {
        let classes = ClassNames::new(classes).unwrap();
        config.labels_of(&classes).map(|labels| labels.0)
    }

    #[test]
    fn the_control_of_an_image_is_found_with_its_labels() {
        let config = LabelConfig::read(CONFIG).unwrap();
        assert_eq!(
            [&config.from_name, &config.to_name, &config.key],
            ["label", "image", "photo"]
        );
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            labels(&config, &["truck", "airplane", "outside", "Airplane"]).unwrap(),
            [some("Car & co"), some("Airplane"), None, some("Airplane")]
        );
        let error = labels(&config, &["none", "x"]).unwrap_err();
        assert!(error.contains("classes none, x") && error.contains("Airplane, Car & co"));
    }

    #[test]
    fn what_is_no_configuration_for_boxes_is_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY x 'y'>]><View><Image name='&x;' value='$a'/></View>";
        let deep = "<View>".repeat(100_000);
        let long = " ".repeat(MAX_BYTES + 1);
        for (text, expected) in [
            ("", "found none"),
            ("<View/>", "found none"),
            ("<View><Image name='a' value='$a'/></View>", "found none"),
            ("<View></Vieww>", "configuration: "),
            (
                "<View><Image name='a value='$a'/></View>",
                "configuration: ",
            ),
            (bomb, "configuration: "),
            (&deep, "found none"),
            (&long, "at most"),
        ] {
            let error = LabelConfig::read(text).unwrap_err();
            assert!(error.contains(expected), "{text:.60}: {error}");
        }
    }
}
