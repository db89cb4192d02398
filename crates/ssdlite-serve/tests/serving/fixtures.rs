//! A server with a detector of our own, and images for it.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use ssdlite_core::{
    ClassId, ClassNames, Detection, ImageSize, MobileNetV3, ModelInfo, PixelBox, PostProcessing,
    Suppression, Variant,
};
use ssdlite_image::encode::{jpeg_from_image, png_from_image};
use ssdlite_image::{RgbImage, RgbView};
use ssdlite_serve::{Detect, LEAST_SCORE, Model, Server, ServerOptions};

use crate::ffmpeg::ffmpeg;

/// Finds the bounding box of what is bright red, with a score of 0.9, and of
/// what is bright green, with 0.4.
pub(crate) struct ColorDetector(ModelInfo);

/// A channel from this value on is bright, and up to 255 less that is dark.
const BRIGHT: u8 = 150;

fn info() -> ModelInfo {
    let classes = ClassNames::new(["red", "green"]).unwrap();
    ModelInfo::detector(MobileNetV3::new(Variant::Small), classes, 320)
}

fn own_settings() -> PostProcessing {
    PostProcessing {
        score_threshold: LEAST_SCORE,
        ..PostProcessing::default()
    }
}

impl ColorDetector {
    pub(crate) fn new() -> Self {
        Self(info())
    }

    fn extent(image: RgbView<'_>, channel: usize) -> Option<PixelBox> {
        let mut extent: Option<[u32; 4]> = None;
        let (rows, width) = (image.pixels(), image.size().width as usize);
        for (y, row) in (0..).zip(rows.chunks_exact(3 * width)) {
            for (x, pixel) in (0..).zip(row.chunks_exact(3)) {
                let is_bright = (0..3).all(|other| (pixel[other] >= BRIGHT) == (other == channel));
                if is_bright {
                    let [x1, y1, x2, y2] = extent.unwrap_or([x, y, x, y]);
                    extent = Some([x1.min(x), y1.min(y), x2.max(x), y2.max(y)]);
                }
            }
        }
        let [x1, y1, x2, y2] = extent?.map(|side| side as f32);
        Some(PixelBox::new(x1, y1, x2 + 1.0, y2 + 1.0))
    }
}

impl Detect for ColorDetector {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn post_processing(&self) -> PostProcessing {
        own_settings()
    }

    fn detect_with(
        &self,
        image: RgbView<'_>,
        settings: &PostProcessing,
    ) -> Result<Vec<Detection>, String> {
        let found = [(0, 0.9), (1, 0.4)]
            .into_iter()
            .filter_map(|(class, score)| {
                let bbox = Self::extent(image, class as usize)?;
                let class = ClassId(class);
                Some(Detection { class, score, bbox })
            });
        Ok(found.take(settings.max_detections).collect())
    }
}

/// An object from the corner of the image on, whose box tells two numbers.
fn one_object(right: f32, bottom: f32) -> Vec<Detection> {
    vec![Detection {
        class: ClassId(0),
        score: 0.9,
        bbox: PixelBox::new(0.0, 0.0, right, bottom),
    }]
}

/// Tells its settings by the right and the bottom edge of a box.
pub(crate) struct TellingDetector(ModelInfo);

impl TellingDetector {
    pub(crate) fn new() -> Self {
        Self(info())
    }
}

impl Detect for TellingDetector {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn post_processing(&self) -> PostProcessing {
        own_settings()
    }

    fn detect_with(
        &self,
        _: RgbView<'_>,
        settings: &PostProcessing,
    ) -> Result<Vec<Detection>, String> {
        let Suppression::Hard { max_iou } = settings.suppression else {
            return Err("expected hard suppression".into());
        };
        Ok(one_object(max_iou, settings.max_detections as f32))
    }
}

/// Needs images of 100 pixels a side, and finds one object in all that it is given: its
/// box tells the size at which that was decoded.
pub(crate) struct SmallDetector(ModelInfo);

impl SmallDetector {
    pub(crate) fn new() -> Self {
        Self(info())
    }
}

impl Detect for SmallDetector {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn post_processing(&self) -> PostProcessing {
        own_settings()
    }

    fn enough(&self) -> ImageSize {
        ImageSize::square(100)
    }

    fn detect_with(
        &self,
        image: RgbView<'_>,
        _: &PostProcessing,
    ) -> Result<Vec<Detection>, String> {
        let size = image.size();
        Ok(one_object(size.width as f32, size.height as f32))
    }
}

/// A [`ColorDetector`] that stands still while a test holds its gate.
pub(crate) struct GatedDetector {
    colors: ColorDetector,
    gate: Arc<Mutex<()>>,
}

impl GatedDetector {
    pub(crate) fn new() -> (Self, Arc<Mutex<()>>) {
        let gate = Arc::new(Mutex::new(()));
        let detector = Self {
            colors: ColorDetector::new(),
            gate: Arc::clone(&gate),
        };
        (detector, gate)
    }
}

impl Detect for GatedDetector {
    fn info(&self) -> &ModelInfo {
        self.colors.info()
    }

    fn post_processing(&self) -> PostProcessing {
        self.colors.post_processing()
    }

    fn detect_with(
        &self,
        image: RgbView<'_>,
        settings: &PostProcessing,
    ) -> Result<Vec<Detection>, String> {
        // A test that failed has poisoned it.
        drop(self.gate.lock());
        self.colors.detect_with(image, settings)
    }
}

/// Waits in every image until it is let go.
pub(crate) struct WaitingDetector {
    info: ModelInfo,
    begun: Mutex<Sender<()>>,
    go: Mutex<Receiver<()>>,
}

impl WaitingDetector {
    /// The detector, what tells that it has begun, and what lets it go on.
    pub(crate) fn new() -> (Self, Receiver<()>, Sender<()>) {
        let (begun, has_begun) = channel();
        let (let_go, go) = channel();
        let detector = Self {
            info: info(),
            begun: Mutex::new(begun),
            go: Mutex::new(go),
        };
        (detector, has_begun, let_go)
    }
}

impl Detect for WaitingDetector {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn post_processing(&self) -> PostProcessing {
        own_settings()
    }

    fn detect_with(&self, _: RgbView<'_>, _: &PostProcessing) -> Result<Vec<Detection>, String> {
        // At the test's end nobody listens or speaks any more.
        let _ = self.begun.lock().unwrap().send(());
        let _ = self.go.lock().unwrap().recv();
        Ok(Vec::new())
    }
}

/// Panics in every image.
pub(crate) struct PanickingDetector(pub(crate) ModelInfo);

impl PanickingDetector {
    pub(crate) fn new() -> Self {
        Self(info())
    }
}

impl Detect for PanickingDetector {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn post_processing(&self) -> PostProcessing {
        own_settings()
    }

    fn detect_with(&self, _: RgbView<'_>, _: &PostProcessing) -> Result<Vec<Detection>, String> {
        panic!("as the test wants it");
    }
}

pub(crate) fn model(name: &str, detector: impl Detect + 'static) -> Model {
    Model {
        name: name.to_owned(),
        version: "1".into(),
        score_threshold: 0.3,
        detector: Arc::new(detector),
    }
}

/// Options of a server on a free port of this machine.
pub(crate) fn options(models: Vec<Model>) -> ServerOptions {
    let mut options = ServerOptions::new(models);
    options.address = SocketAddr::from(([127, 0, 0, 1], 0));
    options.workers = NonZeroUsize::new(2).unwrap();
    options
}

/// A server that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(options: ServerOptions) -> Self {
        Self::of(Server::bind(options, Arc::new(|_| {})).unwrap())
    }

    /// A server that is bound, from now on.
    pub(crate) fn of(server: Server) -> Self {
        let address = server.address();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            server
                .run_until(async move {
                    // Dropping the sender is a sign too.
                    let _ = stopped.await;
                })
                .unwrap();
        });
        Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// A server of one [`ColorDetector`] called `colors`.
    pub(crate) fn colors() -> Self {
        Self::start(options(vec![model("colors", ColorDetector::new())]))
    }

    /// Tells it to end, without waiting.
    pub(crate) fn tell_to_end(&mut self) {
        self.stop = None;
    }

    /// Waits until it has ended.
    pub(crate) fn join(mut self) {
        self.stop = None;
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been shown; a second one would hide it.
            let _ = thread.join();
        }
    }
}

/// A video of 2 s with a red square that moves, in the format of its name.
pub(crate) fn moving_square(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    ffmpeg(
        "-f lavfi -i color=0x303030:size=160x90:rate=25:d=2 \
         -f lavfi -i color=0xe61414:size=40x40:rate=25:d=2 \
         -filter_complex [0][1]overlay=x=10+t*40:y=20 -pix_fmt yuv420p",
        &path,
    );
    path
}

/// A grey image with a rectangle of this colour, `[x1, y1, x2, y2]`.
pub(crate) fn image(size: ImageSize, colored: &[([u32; 4], [u8; 3])]) -> RgbImage {
    let mut image = RgbImage::filled(size, [40, 40, 40]);
    for ([x1, y1, x2, y2], color) in colored {
        for y in *y1..*y2 {
            for x in *x1..*x2 {
                let at = (y * size.width + x) as usize * 3;
                image.pixels_mut()[at..at + 3].copy_from_slice(color);
            }
        }
    }
    image
}

pub(crate) const RED: [u8; 3] = [230, 20, 20];
pub(crate) const GREEN: [u8; 3] = [20, 230, 20];

/// A red rectangle at 8,16 to 40,32 and a green one at 48,40 to 80,56 in a
/// image of 97x61.
pub(crate) fn two_objects() -> RgbImage {
    image(
        ImageSize::new(97, 61),
        &[([8, 16, 40, 32], RED), ([48, 40, 80, 56], GREEN)],
    )
}

pub(crate) fn png(image: &RgbImage) -> Vec<u8> {
    png_from_image(image).unwrap()
}

pub(crate) fn jpeg(image: &RgbImage) -> Vec<u8> {
    jpeg_from_image(image, 95).unwrap()
}
