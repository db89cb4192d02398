//! The page in a real browser, on a phone's and a desktop's window.
//!
//! Where `ssdlite demo` has left its model, that is shown too; with
//! `SSDLITE_SCREENSHOTS=FOLDER` images of both windows are written there.
//! `SSDLITE_DEMO=FOLDER` is the demo's folder, unless it is `runs/demo` here.
//! Both are whole paths. The images in `docs/` are made by
//!
//! ```text
//! SSDLITE_SCREENSHOTS=$PWD/docs cargo test -p ssdlite-serve --test serving a_trained_model
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use ssdlite_core::ImageSize;
use ssdlite_image::resize::Resizer;
use ssdlite_image::{Limits, RgbImage, decode};
use ssdlite_media::LiveInput;
use ssdlite_serve::{Access, Model, ModelOptions, ServedModels, Server, ServerOptions};

use crate::client::wait_until;
use crate::devtools::{Browser, write_camera_file};
use crate::ffmpeg::has_ffmpeg;
use crate::fixtures::{
    ColorDetector, GREEN, PanickingDetector, RED, Running, image, model, moving_square, options,
    png,
};

pub(crate) const PHONE: (u32, u32) = (390, 844);
pub(crate) const DESKTOP: (u32, u32) = (1280, 800);

/// A red and a green rectangle; the red one moves from frame to frame.
pub(crate) fn moving(step: u32) -> RgbImage {
    let left = 40 + 8 * step;
    image(
        ImageSize::new(640, 360),
        &[
            ([left, 60, left + 150, 200], RED),
            ([400, 210, 560, 330], GREEN),
        ],
    )
}

pub(crate) fn objects_are(count: u32) -> String {
    format!("document.querySelector('#objects').textContent === '{count}'")
}

/// Whether the page tells nothing as if it were there now.
pub(crate) const NO_NUMBERS: &str = "['#fps', '#objects', '#delay', '#skipped', '#classes .count']
    .every((selector) => document.querySelector(selector).textContent === '–')";

/// Whether the page has heard from the server.
pub(crate) const IS_READY: &str = "document.querySelectorAll('#classes li').length >= 2";

/// A text that tells one image on the canvas from another.
pub(crate) const IMAGE: &str = "document.querySelector('#image').toDataURL()";

/// Lets the page repaint, and a frame come and be answered.
const SOME_FRAMES: &str = "new Promise((done) => setTimeout(done, 300))";

fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default()
}

pub(crate) struct Page {
    pub(crate) browser: Browser,
    pub(crate) server: Running,
    pub(crate) folder: tempfile::TempDir,
}

impl Page {
    pub(crate) fn open() -> Option<Self> {
        Self::open_with(options(vec![colors()]))
    }

    /// A page of a server with these options, in a browser whose camera shows a
    /// red and a green rectangle that move.
    pub(crate) fn open_with(options: ServerOptions) -> Option<Self> {
        let frames: Vec<_> = (0..20).map(moving).collect();
        Self::open_before(options, &frames)
    }

    /// The same, with what puts other models in place.
    pub(crate) fn with_models(options: ServerOptions) -> Option<(Self, ServedModels)> {
        let frames: Vec<_> = (0..20).map(moving).collect();
        Self::open_bound(options, &frames)
    }

    /// The same with these frames.
    fn open_before(options: ServerOptions, frames: &[RgbImage]) -> Option<Self> {
        Self::open_bound(options, frames).map(|(page, _)| page)
    }

    fn open_bound(mut options: ServerOptions, frames: &[RgbImage]) -> Option<(Self, ServedModels)> {
        let folder = tempfile::tempdir().unwrap();
        let camera = write_camera_file(folder.path(), frames);
        let mut browser = Browser::start(&camera)?;
        options.keep = Some(folder.path().join("kept"));
        let query = match &options.access {
            Access::Token(token) => format!("?token={token}"),
            Access::LocalOnly | Access::Open => String::new(),
        };
        let server = Server::bind(options, Arc::new(|_| {})).unwrap();
        let models = server.models();
        let server = Running::of(server);
        let port = server.address.port();
        browser.open(&format!("http://localhost:{port}/{query}"));
        browser.wait_until(IS_READY);
        let page = Self {
            browser,
            server,
            folder,
        };
        Some((page, models))
    }

    pub(crate) fn watch_camera(&mut self) {
        self.browser.click("#start-camera");
        self.browser.wait_until(&objects_are(2));
    }

    /// Opens the page as for the first time.
    fn open_anew(&mut self) {
        self.browser.evaluate("localStorage.clear()");
        self.reload();
    }

    pub(crate) fn reload(&mut self) {
        let address = format!("http://localhost:{}/", self.server.address.port());
        self.browser.open(&address);
        self.browser.wait_until(IS_READY);
    }

    pub(crate) fn screenshot(&mut self, name: &str) {
        if let Some(folder) = std::env::var_os("SSDLITE_SCREENSHOTS") {
            self.browser.screenshot(&Path::new(&folder).join(name));
        }
    }

    pub(crate) fn check_nothing_went_wrong(&mut self) {
        assert_eq!(self.browser.errors(), [""; 0]);
        self.check_nothing_overflows();
    }

    pub(crate) fn check_nothing_overflows(&mut self) {
        let overflow =
            "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(self.browser.evaluate(overflow), json!(0));
    }
}

#[test]
fn the_camera_is_watched_and_every_control_does_what_it_says() {
    let Some(mut page) = Page::open() else { return };
    for (width, height) in [DESKTOP, PHONE] {
        page.browser.resize(width, height);
        page.open_anew();
        page.check_nothing_went_wrong();
        page.watch_camera();
        // Nobody counts the frames of the browser's camera.
        page.browser
            .wait_until("document.querySelector('#skipped').textContent === '–'");
        slider_and_classes_filter(&mut page.browser);
        pause_holds_the_image(&mut page.browser);
        snapshot_is_saved(&mut page);
        frame_is_kept(&mut page);
        page.check_nothing_went_wrong();
    }
}

fn slider_and_classes_filter(browser: &mut Browser) {
    browser.evaluate("document.querySelector('#threshold').focus()");
    browser.press("End", 35);
    browser.wait_until(&objects_are(0));
    browser.press("Home", 36);
    browser.wait_until(&objects_are(2));
    browser.wait_until("document.querySelector('#threshold-value').textContent === '5 %'");
    browser.click("#classes li:nth-child(2) label");
    browser.wait_until(&objects_are(1));
    browser.wait_until("document.querySelectorAll('#classes .found').length === 1");
    browser.click("#all-classes");
    browser.wait_until(&objects_are(0));
    browser.click("#all-classes");
    browser.wait_until(&objects_are(2));
}

fn pause_holds_the_image(browser: &mut Browser) {
    browser.click("#pause");
    browser.wait_until("document.querySelector('#pause').getAttribute('aria-pressed') === 'true'");
    browser.evaluate(SOME_FRAMES);
    let held = browser.evaluate(IMAGE);
    browser.evaluate(SOME_FRAMES);
    assert_eq!(browser.evaluate(IMAGE), held);
    // The settings still work on the image that is held.
    browser.evaluate("document.querySelector('#threshold').focus()");
    browser.press("End", 35);
    browser.wait_until(&objects_are(0));
    browser.press("Home", 36);
    browser.wait_until(&objects_are(2));
    browser.evaluate("document.activeElement.blur()");
    browser.press(" ", 32);
    browser.wait_until("document.querySelector('#pause').getAttribute('aria-pressed') === 'false'");
    let differs = format!("{IMAGE} !== {held}");
    browser.wait_until(&differs);
}

fn snapshot_is_saved(page: &mut Page) {
    let folder = tempfile::tempdir().unwrap();
    page.browser.save_downloads_in(folder.path());
    page.browser.click("#snapshot");
    let saved = || {
        let is_image = |path: &PathBuf| path.extension().is_some_and(|end| end == "png");
        let path = files(folder.path()).into_iter().find(is_image)?;
        // It has its name before it is whole.
        decode::decode_file(&path, &Limits::default()).ok()
    };
    wait_until("the snapshot is saved", || saved().is_some());
    let image = saved().unwrap();
    assert_eq!(image.size(), ImageSize::new(640, 360));
}

fn frame_is_kept(page: &mut Page) {
    let annotations = page.folder.path().join("kept").join("Annotations");
    let before = files(&annotations).len();
    page.browser
        .evaluate("document.querySelector('#note').textContent = ''");
    page.browser.click("#keep");
    page.browser
        .wait_until("document.querySelector('#note').textContent.startsWith('Kept kept_')");
    let after = files(&annotations);
    assert_eq!(after.len(), before + 1);
    let xml = std::fs::read_to_string(&after[0]).unwrap();
    assert!(xml.contains("<name>red</name>") && xml.contains("<name>green</name>"));
}

/// The folder that `ssdlite demo` has made, with a trained model and images.
fn demo() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::var_os("SSDLITE_DEMO")
        .map_or_else(|| here.join("../../runs/demo"), PathBuf::from);
    if folder.join("run/best.safetensors").exists() {
        return Some(folder);
    }
    eprintln!("skipped: there is no runs/demo; `ssdlite demo` makes it");
    None
}

#[test]
fn a_trained_model_finds_objects_in_the_page() {
    let Some(demo) = demo() else { return };
    let model = Model::load(
        &demo.join("run/best.safetensors"),
        &ModelOptions::threads(std::thread::available_parallelism().unwrap()),
    )
    .unwrap();
    // A book, a mug, another book, a key.
    let image = demo.join("data/JPEGImages/sample_00010.jpg");
    let image = decode::decode_file(&image, &Limits::default()).unwrap();
    let image = Resizer::new().stretch(&image, ImageSize::new(640, 480));
    let Some(mut page) = Page::open_before(options(vec![model]), &[image]) else {
        return;
    };
    for ((width, height), scheme, name) in [
        (DESKTOP, "light", "live-1280.png"),
        (PHONE, "dark", "live-390.png"),
    ] {
        page.browser.resize(width, height);
        page.browser.prefer_color_scheme(scheme);
        page.open_anew();
        page.browser.click("#start-camera");
        page.browser
            .wait_until("Number(document.querySelector('#objects').textContent) >= 2");
        page.browser
            .wait_until("Number(document.querySelector('#fps').textContent) > 0");
        for _ in 0..10 {
            page.browser.evaluate(SOME_FRAMES);
        }
        page.screenshot(name);
        page.check_nothing_went_wrong();
    }
}

#[test]
fn an_image_file_is_shown_with_its_boxes_and_a_broken_one_is_told() {
    let Some(mut page) = Page::open() else { return };
    page.browser.resize(PHONE.0, PHONE.1);
    let image = page.folder.path().join("a.png");
    std::fs::write(&image, png(&moving(3))).unwrap();
    page.browser.choose_files("#file", &[&image]);
    page.browser.wait_until(&objects_are(2));
    let size = "`${document.querySelector('#image').width}`";
    assert_eq!(page.browser.evaluate(size), "640");
    page.check_nothing_went_wrong();

    let broken = page.folder.path().join("b.png");
    std::fs::write(&broken, b"no image").unwrap();
    page.browser.choose_files("#file", &[&broken]);
    page.browser
        .wait_until("document.querySelector('#empty-text').textContent.includes('expected')");
}

#[test]
fn a_video_file_is_played_with_its_boxes() {
    if !has_ffmpeg() {
        return;
    }
    let Some(mut page) = Page::open() else { return };
    let video = moving_square(page.folder.path(), "moving.webm");
    page.browser.choose_files("#file", &[&video]);
    page.browser.wait_until(&objects_are(1));
    let first = page.browser.evaluate(IMAGE);
    page.browser.wait_until(&format!("{IMAGE} !== {first}"));
    page.check_nothing_went_wrong();
}

pub(crate) fn colors() -> Model {
    model("colors", ColorDetector::new())
}

/// The page of a server that was started with this model and video.
pub(crate) fn page_of_source(model: Model, video: &Path) -> Option<(Browser, Running)> {
    let folder = tempfile::tempdir().unwrap();
    let camera = write_camera_file(folder.path(), &[moving(0)]);
    let mut browser = Browser::start(&camera)?;
    let mut options = options(vec![model]);
    options.source = Some(LiveInput::Video(video.to_owned()));
    let server = Running::start(options);
    browser.open(&format!("http://localhost:{}/", server.address.port()));
    browser.wait_until(IS_READY);
    Some((browser, server))
}

/// The page that shows a video of a square that moves, with the folder that it is in.
pub(crate) fn page_of_moving_square() -> Option<(Browser, Running, tempfile::TempDir)> {
    if !has_ffmpeg() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let video = moving_square(folder.path(), "moving.mp4");
    let (browser, server) = page_of_source(colors(), &video)?;
    Some((browser, server, folder))
}

#[test]
fn the_servers_source_is_shown_at_once() {
    let Some((mut browser, _server, _folder)) = page_of_moving_square() else {
        return;
    };
    browser.wait_until(&objects_are(1));
    browser.wait_until("document.querySelector('#state').dataset.kind === 'live'");
    let stages = "[...document.querySelectorAll('#stage-list li')].length";
    assert_eq!(browser.evaluate(stages), json!(4));
    // This server keeps no frames.
    assert_eq!(
        browser.evaluate("document.querySelector('#keep').disabled"),
        json!(true)
    );
    browser.click("#pause");
    browser.wait_until("document.querySelector('#pause').getAttribute('aria-pressed') === 'true'");
    browser.evaluate(SOME_FRAMES);
    let held = browser.evaluate(IMAGE);
    browser.evaluate(SOME_FRAMES);
    assert_eq!(browser.evaluate(IMAGE), held);
    browser.click("#pause");
    browser.wait_until(&format!("{IMAGE} !== {held}"));
    assert_eq!(browser.errors(), [""; 0]);
}

#[test]
fn a_source_that_is_lost_is_told_in_the_page() {
    if !has_ffmpeg() {
        return;
    }
    let Some((mut browser, _server)) = page_of_source(colors(), Path::new("no-such-video.mp4"))
    else {
        return;
    };
    browser.wait_until("document.querySelector('#state').textContent.includes('trying again')");
}

#[test]
fn a_detector_that_fails_is_told_in_the_page_and_tried_again() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let video = moving_square(folder.path(), "moving.mp4");
    let broken = model("broken", PanickingDetector::new());
    let Some((mut browser, _server)) = page_of_source(broken, &video) else {
        return;
    };
    for pause in ["0.5 s", "1 s"] {
        browser.wait_until(&format!(
            "document.querySelector('#state').textContent
                === 'the detector failed on a frame; trying again in {pause}'"
        ));
    }
}

#[test]
fn the_page_comes_back_when_the_server_does() {
    let Some(mut page) = Page::open() else { return };
    page.watch_camera();
    let address = page.server.address;
    drop(page.server);
    page.browser
        .wait_until("document.querySelector('#state').dataset.kind === 'bad'");
    page.browser
        .wait_until("document.querySelector('#screen').matches('.old')");
    page.browser.wait_until(NO_NUMBERS);
    let mut again = options(vec![colors()]);
    again.address = address;
    let _server = Running::start(again);
    page.browser
        .wait_until("document.querySelector('#state').dataset.kind === 'live'");
    page.browser.wait_until(&objects_are(2));
    page.browser
        .wait_until("!document.querySelector('#screen').matches('.old')");
}

#[test]
fn a_server_that_comes_back_with_another_model_is_watched_with_that() {
    let Some(mut page) = Page::open() else { return };
    page.watch_camera();
    let address = page.server.address;
    drop(page.server);
    page.browser
        .wait_until("document.querySelector('#state').dataset.kind === 'bad'");
    let mut again = options(vec![model("newer", ColorDetector::new())]);
    again.address = address;
    let _server = Running::start(again);
    page.browser
        .wait_until("document.querySelector('#model-name').textContent === 'newer'");
    page.browser
        .wait_until("document.querySelector('#state').dataset.kind === 'live'");
    page.browser.wait_until(&objects_are(2));
    page.browser
        .wait_until("document.querySelector('#note').textContent.includes('another model')");
}

#[test]
fn a_server_that_comes_back_without_the_source_says_so() {
    let Some((mut browser, server, _folder)) = page_of_moving_square() else {
        return;
    };
    browser.wait_until(&objects_are(1));
    let address = server.address;
    drop(server);
    browser.wait_until("document.querySelector('#state').dataset.kind === 'bad'");
    let mut again = options(vec![colors()]);
    again.address = address;
    let _server = Running::start(again);
    browser.wait_until(
        "document.querySelector('#empty-text').textContent.endsWith('moving.mp4” any more.')",
    );
    assert_eq!(
        browser.evaluate("document.querySelector('#source').value"),
        ""
    );
}

#[test]
fn a_server_that_comes_back_with_a_token_is_told() {
    let Some(mut page) = Page::open() else { return };
    page.watch_camera();
    let address = page.server.address;
    drop(page.server);
    page.browser
        .wait_until("document.querySelector('#state').dataset.kind === 'bad'");
    let mut again = options(vec![colors()]);
    again.address = address;
    again.access = Access::Token("a-long-token".into());
    let _server = Running::start(again);
    page.browser
        .wait_until("document.querySelector('#note').textContent.includes('another token')");
}
