//! A model as an ONNX file.
//!
//! `network` folds the graph into nodes, `image` puts the input before them; of a
//! detector `decode` makes boxes and scores, and `layout` the outputs. `graph` collects
//! nodes and `proto` writes them; `metadata` is what the file says about itself.

mod decode;
mod graph;
mod image;
mod layout;
mod metadata;
mod network;
mod proto;

use ssdlite_core::{DetectorSettings, PostProcessing, Task};
use ssdlite_model::{Error, ModelFile, Result};

use decode::Decoder;
use graph::{Attribute, Element, GraphBuilder};
pub use graph::{Dimension, Port};
use image::Image;
pub use image::InputNumbers;
use layout::Detections;
pub use layout::Layout;
use network::{Network, Outputs};

/// The most images of a file that takes a fixed number at once.
pub const MOST_IMAGES: usize = 1024;

/// How many images a file takes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// So many, 1 to [`MOST_IMAGES`].
    Fixed(usize),
    /// As many as it is given: the extent `batch`.
    Dynamic,
}

impl Default for Batch {
    /// One, which every engine takes and makes most of.
    fn default() -> Self {
        Self::Fixed(1)
    }
}

impl Batch {
    const fn dimension(self) -> Dimension {
        match self {
            Self::Fixed(images) => Dimension::Fixed(images),
            Self::Dynamic => Dimension::Images,
        }
    }
}

/// What a file is to be like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OnnxOptions {
    /// The form of a detector's outputs; a classifier has [`Layout::Raw`] alone.
    pub layout: Layout,
    /// How many images it takes.
    pub batch: Batch,
    /// The numbers that it takes; [`Layout::Jetson`] takes floats alone.
    pub input: InputNumbers,
    /// Which boxes become detections in a layout that suppresses them, where not those
    /// that the model says. The candidates of a class are not limited in a file.
    pub post_processing: Option<PostProcessing>,
}

/// An ONNX file.
#[derive(Clone, Debug, PartialEq)]
pub struct Onnx {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it takes.
    pub input: Port,
    /// What it gives.
    pub outputs: Vec<Port>,
}

/// A model as an ONNX file of IR version 8 and opset 17.
///
/// Its input is `images [N,3,height,width]`, RGB, the image resized as the model's
/// preprocessing does; `input_0` in [`Layout::Jetson`]. A classifier gives
/// `probabilities [N,C]`, a detector what [`Layout`] says.
///
/// # Errors
/// [`Error::Unsupported`] for a layout that the model can't have, or options that don't
/// fit it; [`Error::OverLimit`] for no image or more than [`MOST_IMAGES`];
/// [`Error::Malformed`] for settings that are no sound numbers, or weights that overflow
/// when batch norms are folded into them.
pub fn onnx_from_model(model: &ModelFile, options: &OnnxOptions) -> Result<Onnx> {
    let info = model.info();
    let images = options.batch.dimension();
    if let Dimension::Fixed(count) = images
        && !(1..=MOST_IMAGES).contains(&count)
    {
        return Err(Error::OverLimit(format!(
            "expected 1 to {MOST_IMAGES} images at once, found {count}"
        )));
    }
    let layout = options.layout;
    if info.task == Task::Classify && layout != Layout::Raw {
        return Err(Error::Unsupported(format!(
            "expected a detector for the layout {}, found a classifier, which has the layout {} \
             alone",
            layout.name(),
            Layout::Raw.name()
        )));
    }
    layout.check(images, options.input)?;

    let size = info.preprocessing.size;
    let extents = [3, size.height as usize, size.width as usize].map(Dimension::Fixed);
    let [channels, height, width] = extents;
    let input = Port::new(
        layout.input_name(),
        options.input.element(),
        &[images, channels, height, width],
    );
    let mut builder = GraphBuilder::default();
    let image = Image::new(
        &mut builder,
        &input,
        layout.scale(options.input),
        &info.preprocessing,
    );
    let network = Network {
        graph: &info.graph(),
        weights: model.state(),
        input: info.input(),
        hard_swish: layout.hard_swish(),
    };
    let said = network.add(&mut builder, image)?;
    let outputs = match &info.task {
        Task::Classify => vec![add_probabilities(
            &mut builder,
            &said,
            images,
            info.classes.len(),
        )],
        Task::Detect(settings) => add_detections(&mut builder, &said, model, settings, options)?,
    };
    let metadata = metadata::entries(info, options)?;
    Ok(Onnx {
        bytes: builder.finish(&metadata),
        input,
        outputs,
    })
}

fn add_probabilities(
    builder: &mut GraphBuilder,
    said: &Outputs,
    images: Dimension,
    classes: usize,
) -> Port {
    let shape = [images, Dimension::Fixed(classes)];
    let port = Port::new("probabilities", Element::F32, &shape);
    let axis = [("axis", Attribute::Int(1))];
    builder.node("Softmax", port.name, &[&said.logits], &axis);
    builder.output(&port);
    port
}

fn add_detections(
    builder: &mut GraphBuilder,
    said: &Outputs,
    model: &ModelFile,
    settings: &DetectorSettings,
    options: &OnnxOptions,
) -> Result<Vec<Port>> {
    let info = model.info();
    let default_boxes = info.default_boxes().ok_or_else(|| {
        Error::Unsupported("expected a detector with default boxes, found none".into())
    })?;
    let classes = info.classes.len();
    let decoder = Decoder {
        default_boxes: &default_boxes,
        coder: &settings.box_coder,
        scores: settings.scores,
        classes,
        background: options.layout.background(),
    };
    let post_processing = options.post_processing.unwrap_or(settings.post_processing);
    post_processing.validate()?;
    let decoded = decoder.add(builder, said)?;
    let detections = Detections {
        decoded: &decoded,
        images: options.batch.dimension(),
        boxes: default_boxes.len(),
        classes,
        size: info.preprocessing.size,
        settings: &post_processing,
    };
    detections.add(builder, options.layout)
}
