//! A detector's outputs in the form that a consumer takes.

use ssdlite_core::{ImageSize, PostProcessing, Suppression};
use ssdlite_model::{Error, Result};

use super::decode::{Background, Decoded, LAST_AXIS, is_positive};
use super::graph::{Attribute, Dimension, Element, GraphBuilder, Port, Value};
use super::image::{InputNumbers, Scale};
use super::network::HardSwish;

/// The form of a detector's outputs. `N` images, `A` default boxes, `C` classes; corners
/// are left, top, right, bottom, and boxes are clipped to the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// `boxes [N,A,4]`, corners as fractions of the image, and `scores [N,A,C]`.
    #[default]
    Raw,
    /// `detections [N,most,6]`: corners in pixels of the input, score, class; the best
    /// first, then rows of zeros. Suppression is inside.
    Nms,
    /// `output0 [N,4+C,A]`: centre, width and height in pixels of the input, scores. What
    /// Ultralytics' YOLO gives since version 8.
    Yolo,
    /// `detection_out [1,1,most,7]`: image, class counted with a background of 0, score,
    /// corners as fractions; the best first, then rows of image -1. What OpenVINO's
    /// `DetectionOutput` gives, of one image. Suppression is inside.
    Ssd7,
    /// `scores [N,A,1+C]` with the background first and `boxes [N,A,4]`, corners as
    /// fractions: jetson-inference's `detectNet`.
    Jetson,
}

impl Layout {
    /// `raw`, `nms`, `yolo`, `ssd7` or `jetson`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Nms => "nms",
            Self::Yolo => "yolo",
            Self::Ssd7 => "ssd7",
            Self::Jetson => "jetson",
        }
    }

    /// Whether boxes are suppressed inside, by the settings for it.
    pub const fn suppresses(self) -> bool {
        matches!(self, Self::Nms | Self::Ssd7)
    }

    pub(super) const fn input_name(self) -> &'static str {
        match self {
            Self::Jetson => "input_0",
            _ => "images",
        }
    }

    pub(super) const fn background(self) -> Background {
        match self {
            Self::Jetson => Background::First,
            _ => Background::LeftOut,
        }
    }

    pub(super) const fn hard_swish(self) -> HardSwish {
        match self {
            Self::Jetson => HardSwish::Product,
            _ => HardSwish::Operator,
        }
    }

    /// What the input's numbers mean.
    pub(super) const fn scale(self, numbers: InputNumbers) -> Scale {
        let (zero, unit) = match (self, numbers) {
            (_, InputNumbers::Bytes) => (0.0, 255.0),
            // `detectNet::preProcess` normalises by itself, with 0.5 and 0.5.
            (Self::Jetson, InputNumbers::Floats) => (-1.0, 2.0),
            (_, InputNumbers::Floats) => (0.0, 1.0),
        };
        Scale { zero, unit }
    }

    /// Checks what else is asked of a file.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for numbers or images that its consumer doesn't give.
    pub(super) fn check(self, images: Dimension, numbers: InputNumbers) -> Result<()> {
        if self == Self::Ssd7 && images != Dimension::Fixed(1) {
            return Err(Error::Unsupported(format!(
                "expected one image for the layout ssd7, whose rows end with the first of image \
                 -1, found {images}"
            )));
        }
        if self == Self::Jetson && numbers == InputNumbers::Bytes {
            return Err(Error::Unsupported(
                "expected floats as input for the layout jetson, since jetson-inference gives no \
                 others, found bytes"
                    .into(),
            ));
        }
        Ok(())
    }
}

/// What an output is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detections<'a> {
    pub(super) decoded: &'a Decoded,
    pub(super) images: Dimension,
    pub(super) boxes: usize,
    pub(super) classes: usize,
    /// Of the input.
    pub(super) size: ImageSize,
    pub(super) settings: &'a PostProcessing,
}

impl Detections<'_> {
    /// Adds the outputs.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for settings that an ONNX graph can't follow.
    pub(super) fn add(self, builder: &mut GraphBuilder, layout: Layout) -> Result<Vec<Port>> {
        match layout {
            Layout::Raw => Ok(self.add_raw(builder)),
            Layout::Nms => self.add_nms(builder),
            Layout::Yolo => Ok(self.add_yolo(builder)),
            Layout::Ssd7 => self.add_ssd7(builder),
            Layout::Jetson => Ok(self.add_jetson(builder)),
        }
    }

    fn port(&self, name: &'static str, shape: [usize; 2]) -> Port {
        let [rows, numbers] = shape.map(Dimension::Fixed);
        Port::new(name, Element::F32, &[self.images, rows, numbers])
    }

    fn add_raw(self, builder: &mut GraphBuilder) -> Vec<Port> {
        let boxes = self.port("boxes", [self.boxes, 4]);
        let scores = self.port("scores", [self.boxes, self.classes]);
        builder.output(&boxes);
        builder.output(&scores);
        vec![boxes, scores]
    }

    fn add_jetson(self, builder: &mut GraphBuilder) -> Vec<Port> {
        let scores = self.port("scores", [self.boxes, 1 + self.classes]);
        let boxes = self.port("boxes", [self.boxes, 4]);
        builder.output(&scores);
        builder.output(&boxes);
        vec![scores, boxes]
    }

    fn add_yolo(self, builder: &mut GraphBuilder) -> Vec<Port> {
        let Decoded {
            least,
            greatest,
            extent,
            scores,
            ..
        } = self.decoded;
        let [width, height] = self.pixels();
        let pixels = builder.floats("input.size", &[2], &[width, height]);
        let halves = builder.floats("input.half_size", &[2], &[width * 0.5, height * 0.5]);
        let sum = builder.node("Add", "boxes.sum", &[least, greatest], &[]);
        let centers = builder.node("Mul", "boxes.centers", &[&sum, &halves], &[]);
        let sizes = builder.node("Mul", "boxes.sizes", &[extent, &pixels], &[]);
        let rows = [&centers, &sizes, scores];
        let rows = builder.node("Concat", "rows", &rows, &LAST_AXIS);
        let output = self.port("output0", [4 + self.classes, self.boxes]);
        builder.node("Transpose", output.name, &[&rows], &BY_NUMBER);
        builder.output(&output);
        vec![output]
    }

    fn add_nms(self, builder: &mut GraphBuilder) -> Result<Vec<Port>> {
        let best = self.add_best(builder)?;
        let [width, height] = self.pixels();
        let pixels = builder.floats("input.corners", &[4], &[width, height, width, height]);
        let boxes = builder.node("Mul", "best.pixels", &[&best.boxes, &pixels], &[]);
        let class = builder.node(
            "Mul",
            "best.class_or_0",
            &[&best.class, &best.is_found],
            &[],
        );
        let columns = [&boxes, &best.score, &class];
        let output = self.port("detections", [best.count, 6]);
        builder.node("Concat", output.name, &columns, &LAST_AXIS);
        builder.output(&output);
        Ok(vec![output])
    }

    fn add_ssd7(self, builder: &mut GraphBuilder) -> Result<Vec<Port>> {
        let best = self.add_best(builder)?;
        let one = builder.floats("best.one", &[], &[1.0]);
        let image = builder.node("Sub", "best.image", &[&best.is_found, &one], &[]);
        let class = builder.node("Add", "best.class_from_1", &[&best.class, &one], &[]);
        let class = builder.node("Mul", "best.class_or_0", &[&class, &best.is_found], &[]);
        let columns = [&image, &class, &best.score, &best.boxes];
        let rows = builder.node("Concat", "best.rows", &columns, &LAST_AXIS);
        let axis = builder.ints("best.axis", &[1]);
        let shape = [1, 1, best.count, 7].map(Dimension::Fixed);
        let output = Port::new("detection_out", Element::F32, &shape);
        builder.node("Unsqueeze", output.name, &[&rows, &axis], &[]);
        builder.output(&output);
        Ok(vec![output])
    }

    fn pixels(&self) -> [f32; 2] {
        [self.size.width as f32, self.size.height as f32]
    }

    /// Suppression, and the best that it leaves.
    fn add_best(self, builder: &mut GraphBuilder) -> Result<Best> {
        let Suppression::Hard { max_iou } = self.settings.suppression else {
            return Err(Error::Unsupported(
                "expected boxes to be suppressed by their IoU, found soft NMS, which ONNX has not"
                    .into(),
            ));
        };
        let Decoded { boxes, scores, .. } = self.decoded;
        let by_class = builder.node("Transpose", "scores_by_class", &[scores], &BY_NUMBER);
        // No more of a class than of all are kept.
        let most = self.settings.max_detections.min(self.boxes) as i64;
        let most = builder.ints("nms.most", &[most]);
        let max_iou = builder.floats("nms.iou", &[1], &[max_iou]);
        // ONNX keeps scores above its threshold; here those that reach it count too.
        let threshold = self.settings.score_threshold.next_down();
        let threshold = builder.floats("nms.score", &[1], &[threshold]);
        let inputs = [boxes, &by_class, &most, &max_iou, &threshold];
        let corners = [("center_point_box", Attribute::Int(0))];
        // Rows of image, class and box.
        let kept = builder.node("NonMaxSuppression", "kept", &inputs, &corners);
        let of_kept = builder.node("GatherND", "kept.scores", &[&by_class, &kept], &[]);
        let shape = match self.images {
            Dimension::Fixed(images) => {
                let shape = [images, self.classes, self.boxes].map(|extent| extent as i64);
                builder.ints("scores.shape", &shape)
            }
            Dimension::Images => builder.node("Shape", "scores.shape", &[&by_class], &[]),
        };
        let zeros = builder.node("ConstantOfShape", "scores.none", &[&shape], &[]);
        let inputs = [&zeros, &kept, &of_kept];
        let left = builder.node("ScatterND", "scores.left", &inputs, &[]);
        Ok(self.add_top(builder, &left))
    }

    /// The best of `[images, classes, boxes]` scores.
    fn add_top(self, builder: &mut GraphBuilder, left: &Value) -> Best {
        let all = self.classes * self.boxes;
        let count = self.settings.max_detections.min(all);
        let shape = builder.ints("scores.row", &[0, all as i64]);
        let left = builder.node("Reshape", "scores.all", &[left, &shape], &[]);
        let most = builder.ints("best.most", &[count as i64]);
        let names = ["best.scores", "best.places"];
        let [scores, places] = builder.node_of("TopK", names, &[&left, &most], &[]);
        let boxes = builder.ints("best.boxes_a_class", &[self.boxes as i64]);
        let class = builder.node("Div", "best.class_index", &[&places, &boxes], &[]);
        let index = builder.node("Mod", "best.box_index", &[&places, &boxes], &[]);

        let axis = builder.ints("best.last", &[2]);
        let mut column = |name: &str, value: &Value| -> Value {
            builder.node("Unsqueeze", name, &[value, &axis], &[])
        };
        let index = column("best.box_indices", &index);
        let class = column("best.class_indices", &class);
        let score = column("best.score", &scores);
        let to_float = [("to", Attribute::Int(Element::F32.number()))];
        let class = builder.node("Cast", "best.class", &[&class], &to_float);
        let is_found = is_positive(builder, "best.is_found", &score);
        let of_each_image = [("batch_dims", Attribute::Int(1))];
        let inputs = [&self.decoded.boxes, &index];
        let boxes = builder.node("GatherND", "best.boxes", &inputs, &of_each_image);
        let boxes = builder.node("Mul", "best.boxes_or_0", &[&boxes, &is_found], &[]);
        Best {
            count,
            boxes,
            score,
            class,
            is_found,
        }
    }
}

/// Lets what was a column be a row.
const BY_NUMBER: [(&str, Attribute<'_>); 1] = [("perm", Attribute::Ints(&[0, 2, 1]))];

/// The best detections of each image, by falling score.
struct Best {
    /// How many there are, those without a score counted.
    count: usize,
    /// `[images, count, 4]`, corners as fractions; 0 where there is none.
    boxes: Value,
    /// `[images, count, 1]`; 0 where there is none.
    score: Value,
    /// `[images, count, 1]`, from 0 on; anything where there is none.
    class: Value,
    /// `[images, count, 1]`: 1, or 0 where there is none.
    is_found: Value,
}
