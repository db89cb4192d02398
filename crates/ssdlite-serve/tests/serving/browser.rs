//! The page in a real browser, on a phone's and a desktop's window.
//!
//! With `SSDLITE_SCREENSHOTS=FOLDER` pictures of both are written there.

use std::path::{Path, PathBuf};

use serde_json::json;
use ssdlite_core::ImageSize;
use ssdlite_image::{Limits, RgbImage, decode};

use crate::devtools::{Browser, write_camera_file};
use crate::fixtures::{ColorDetector, GREEN, RED, Running, model, options, picture, png};

const PHONE: (u32, u32) = (390, 844);
const DESKTOP: (u32, u32) = (1280, 800);

/// A red and a green rectangle; the red one moves from frame to frame.
fn moving(step: u32) -> RgbImage {
    let left = 40 + 8 * step;
    picture(
        ImageSize::new(640, 360),
        &[
            ([left, 60, left + 150, 200], RED),
            ([400, 210, 560, 330], GREEN),
        ],
    )
}

fn objects_are(count: u32) -> String {
    format!("document.querySelector('#objects').textContent === '{count}'")
}

/// Whether the page has heard from the server.
const IS_READY: &str = "document.querySelectorAll('#classes li').length === 2";

/// A text that tells one picture on the canvas from another.
const PICTURE: &str = "document.querySelector('#picture').toDataURL()";

/// Lets the page repaint, and a frame come and be answered.
const SOME_FRAMES: &str = "new Promise((done) => setTimeout(done, 300))";

fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default()
}

struct Page {
    browser: Browser,
    server: Running,
    folder: tempfile::TempDir,
}

impl Page {
    fn open() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let frames: Vec<_> = (0..20).map(moving).collect();
        let camera = write_camera_file(folder.path(), &frames);
        let mut browser = Browser::start(&camera)?;
        let mut options = options(vec![model("colors", ColorDetector::new())]);
        options.keep = Some(folder.path().join("kept"));
        let server = Running::start(options);
        browser.open(&format!("http://localhost:{}/", server.address.port()));
        browser.wait_until(IS_READY);
        Some(Self {
            browser,
            server,
            folder,
        })
    }

    fn watch_camera(&mut self) {
        self.browser.click("#start-camera");
        self.browser.wait_until(&objects_are(2));
    }

    fn screenshot(&mut self, name: &str) {
        if let Some(folder) = std::env::var_os("SSDLITE_SCREENSHOTS") {
            self.browser.screenshot(&Path::new(&folder).join(name));
        }
    }

    fn check_nothing_went_wrong(&mut self) {
        assert_eq!(self.browser.errors(), [""; 0]);
        let overflow =
            "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(self.browser.evaluate(overflow), json!(0));
    }
}

#[test]
fn the_camera_is_watched_and_every_control_does_what_it_says() {
    let Some(mut page) = Page::open() else { return };
    for ((width, height), name) in [(DESKTOP, "live-1280.png"), (PHONE, "live-390.png")] {
        page.browser.resize(width, height);
        let address = format!("http://localhost:{}/", page.server.address.port());
        page.browser.open(&address);
        page.browser.wait_until(IS_READY);
        page.check_nothing_went_wrong();
        page.watch_camera();
        page.screenshot(name);
        slider_and_classes_filter(&mut page.browser);
        pause_holds_the_picture(&mut page.browser);
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

fn pause_holds_the_picture(browser: &mut Browser) {
    browser.click("#pause");
    browser.wait_until("document.querySelector('#pause').getAttribute('aria-pressed') === 'true'");
    browser.evaluate(SOME_FRAMES);
    let held = browser.evaluate(PICTURE);
    browser.evaluate(SOME_FRAMES);
    assert_eq!(browser.evaluate(PICTURE), held);
    // The settings still work on the picture that is held.
    browser.evaluate("document.querySelector('#threshold').focus()");
    browser.press("End", 35);
    browser.wait_until(&objects_are(0));
    browser.press("Home", 36);
    browser.wait_until(&objects_are(2));
    browser.evaluate("document.activeElement.blur()");
    browser.press(" ", 32);
    browser.wait_until("document.querySelector('#pause').getAttribute('aria-pressed') === 'false'");
    let differs = format!("{PICTURE} !== {held}");
    browser.wait_until(&differs);
}

fn snapshot_is_saved(page: &mut Page) {
    let folder = tempfile::tempdir().unwrap();
    page.browser.save_downloads_in(folder.path());
    page.browser.click("#snapshot");
    let image = loop {
        // The browser gives the file its name when it is whole.
        let saved = files(folder.path());
        let whole = saved
            .iter()
            .find(|path| path.extension().is_some_and(|end| end == "png"));
        if let Some(path) = whole {
            break decode::decode_file(path, &Limits::default()).unwrap();
        }
        page.browser.evaluate(SOME_FRAMES);
    };
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

#[test]
fn an_image_file_is_shown_with_its_boxes_and_a_broken_one_is_told() {
    let Some(mut page) = Page::open() else { return };
    page.browser.resize(PHONE.0, PHONE.1);
    let image = page.folder.path().join("a.png");
    std::fs::write(&image, png(&moving(3))).unwrap();
    page.browser.choose_file("#file", &image);
    page.browser.wait_until(&objects_are(2));
    let size = "`${document.querySelector('#picture').width}`";
    assert_eq!(page.browser.evaluate(size), "640");
    page.check_nothing_went_wrong();

    let broken = page.folder.path().join("b.png");
    std::fs::write(&broken, b"no picture").unwrap();
    page.browser.choose_file("#file", &broken);
    page.browser
        .wait_until("document.querySelector('#empty-text').textContent.includes('expected')");
}

#[test]
fn the_page_comes_back_when_the_server_does() {
    let Some(mut page) = Page::open() else { return };
    page.watch_camera();
    let address = page.server.address;
    drop(page.server);
    page.browser
        .wait_until("document.querySelector('#state').dataset.kind === 'bad'");
    let mut again = options(vec![model("colors", ColorDetector::new())]);
    again.address = address;
    let _server = Running::start(again);
    page.browser
        .wait_until("document.querySelector('#state').dataset.kind === 'live'");
}
