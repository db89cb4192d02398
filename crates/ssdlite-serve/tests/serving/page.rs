//! What the page tells and which keys it hears, in a real browser.

use serde_json::{Value, json};

use crate::browser::{DESKTOP, IMAGE, NO_NUMBERS, PHONE, Page, objects_are, page_of_source};
use crate::devtools::Browser;
use crate::ffmpeg::has_ffmpeg;
use crate::fixtures::{GatedDetector, model, moving_square, options};

pub(crate) const IS_LIVE: &str = "document.querySelector('#state').dataset.kind === 'live'";
pub(crate) const IS_OLD: &str = "document.querySelector('#screen').matches('.old')";
pub(crate) const IS_PAUSED: &str = "document.querySelector('#state').textContent === 'Paused'";

pub(crate) fn text_is(selector: &str, text: &str) -> String {
    format!("document.querySelector({selector:?}).textContent === {text:?}")
}

pub(crate) fn title_is(title: &str) -> String {
    format!("document.title === {title:?}")
}

pub(crate) fn focus(browser: &mut Browser, selector: &str) {
    browser.evaluate(&format!("document.querySelector({selector:?}).focus()"));
}

pub(crate) fn panel_is_open(browser: &mut Browser) -> Value {
    browser.evaluate("!document.querySelector('#panel').hidden")
}

/// Frames stop and come again: the page says both.
fn check_old_and_new(browser: &mut Browser, gate: &std::sync::Mutex<()>, source: &str) {
    browser.wait_until(IS_LIVE);
    browser.wait_until(&title_is(&format!("● gated – {source}")));
    browser.wait_until("Number(document.querySelector('#objects').textContent) > 0");
    let held = gate.lock().unwrap();
    browser.wait_until(IS_OLD);
    browser.wait_until(
        "/^No frame since [0-9:]{8}$/.test(document.querySelector('#state').textContent)",
    );
    browser.wait_until(
        "document.querySelector('#mark').textContent.startsWith('last frame ')
            && document.querySelector('#mark').checkVisibility()",
    );
    browser.wait_until(NO_NUMBERS);
    browser.wait_until(&title_is(&format!("No frame: gated – {source}")));
    // The settings still work on the image, and bring no numbers back.
    focus(browser, "#threshold");
    browser.press("Home", 36);
    browser.wait_until(NO_NUMBERS);
    drop(held);
    browser.wait_until(IS_LIVE);
    browser.wait_until(&format!(
        "!{IS_OLD} && document.querySelector('#mark').hidden"
    ));
    browser.wait_until("Number(document.querySelector('#objects').textContent) > 0");
    browser.wait_until("Number(document.querySelector('#fps').textContent) > 0");
    assert_eq!(browser.errors(), [""; 0]);
}

#[test]
fn a_browsers_camera_without_frames_is_marked_as_old() {
    let (detector, gate) = GatedDetector::new();
    let Some(mut page) = Page::open_with(options(vec![model("gated", detector)])) else {
        return;
    };
    page.browser.evaluate(
        "const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
         navigator.mediaDevices.getUserMedia =
             async (wanted) => (window.camera = await open(wanted))",
    );
    page.watch_camera();
    check_old_and_new(&mut page.browser, &gate, "This browser’s camera");
    // A camera that gives no more is no camera that shows the same.
    page.browser
        .evaluate("window.camera.getTracks().forEach((track) => track.stop())");
    page.browser.wait_until(IS_OLD);
    page.browser.wait_until(NO_NUMBERS);
}

#[test]
fn a_server_source_without_frames_is_marked_as_old() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let video = moving_square(folder.path(), "moving.mp4");
    let (detector, gate) = GatedDetector::new();
    let Some((mut browser, _server)) = page_of_source(model("gated", detector), &video) else {
        return;
    };
    let title = browser.evaluate("document.querySelector('#source').selectedOptions[0].text");
    check_old_and_new(&mut browser, &gate, title.as_str().unwrap());
}

#[test]
fn a_video_file_without_frames_is_marked_as_old() {
    if !has_ffmpeg() {
        return;
    }
    let (detector, gate) = GatedDetector::new();
    let Some(mut page) = Page::open_with(options(vec![model("gated", detector)])) else {
        return;
    };
    let video = moving_square(page.folder.path(), "moving.webm");
    page.browser.choose_files("#file", &[&video]);
    check_old_and_new(&mut page.browser, &gate, "moving.webm");
}

/// Makes the page lose its patience with a silent server at once, until `patient()`.
const IMPATIENT: &str = "(() => {
    const wait = window.setTimeout;
    window.setTimeout = (action, time, ...rest) => wait(action, time === 35_000 ? 50 : time, ...rest);
    window.patient = () => { window.setTimeout = wait; };
})()";

#[test]
fn a_server_that_says_nothing_is_asked_again() {
    let (detector, gate) = GatedDetector::new();
    let Some(mut page) = Page::open_with(options(vec![model("gated", detector)])) else {
        return;
    };
    page.watch_camera();
    let held = gate.lock().unwrap();
    page.browser.evaluate(IMPATIENT);
    // The frame that is under way has its patience already; the camera's next one
    // goes over a new connection.
    page.browser
        .evaluate("document.querySelector('#source').dispatchEvent(new Event('change'))");
    page.browser.wait_until(
        "document.querySelector('#state').textContent.startsWith('The server says nothing')",
    );
    page.browser.evaluate("patient()");
    drop(held);
    page.browser.wait_until(&objects_are(2));
}

#[test]
fn a_page_that_nobody_sees_goes_on() {
    let Some(mut page) = Page::open() else { return };
    page.watch_camera();
    // It goes out of sight while a frame waits for the repaint.
    page.browser
        .evaluate("window.requestAnimationFrame = () => { window.isAwaited = true; }");
    page.browser.wait_until("window.isAwaited");
    page.browser.evaluate(
        "Object.defineProperty(document, 'hidden', { get: () => true });
         HTMLVideoElement.prototype.requestVideoFrameCallback = () => {};
         document.dispatchEvent(new Event('visibilitychange'));",
    );
    let first = page.browser.evaluate(IMAGE);
    page.browser.wait_until(&format!("{IMAGE} !== {first}"));
    let second = page.browser.evaluate(IMAGE);
    page.browser.wait_until(&format!("{IMAGE} !== {second}"));
    page.browser.wait_until(IS_LIVE);
}

#[test]
fn a_held_image_is_told_as_held() {
    let Some(mut page) = Page::open() else { return };
    page.watch_camera();
    let browser = &mut page.browser;
    browser.wait_until("Number(document.querySelector('#fps').textContent) > 0");
    browser.click("#pause");
    browser.wait_until(IS_PAUSED);
    browser.wait_until("document.querySelector('#mark').textContent.startsWith('Paused, last')");
    browser.wait_until(&title_is("Paused: colors – This browser’s camera"));
    browser.wait_until(&text_is("#numbers-of", "of the held image"));
    browser.wait_until(&text_is("#fps", "–"));
    browser.wait_until(&text_is("#delay", "–"));
    // What the held image shows may still be counted.
    browser.wait_until(&objects_are(2));
    browser.click("#pause");
    browser.wait_until(IS_LIVE);
    browser.wait_until("document.querySelector('#mark').hidden");
    browser.wait_until("Number(document.querySelector('#fps').textContent) > 0");
    page.check_nothing_went_wrong();
}

#[test]
fn keys_work_wherever_the_focus_is_but_in_text() {
    let Some(mut page) = Page::open() else { return };
    page.watch_camera();
    let browser = &mut page.browser;
    for (selector, open) in [
        ("#threshold", false),
        ("#source", true),
        ("#snapshot", false),
    ] {
        focus(browser, selector);
        browser.press("p", 80);
        assert_eq!(panel_is_open(browser), json!(open), "{selector}");
        // The panel has taken the slider with it.
        browser.evaluate("document.activeElement.blur()");
    }
    browser.press("P", 80);
    assert_eq!(panel_is_open(browser), json!(true));

    // A button that the keyboard came to keeps the space bar.
    focus(browser, "#panel-toggle");
    browser.press(" ", 32);
    browser.wait_until("document.querySelector('#panel').hidden");
    assert_eq!(browser.evaluate(IS_PAUSED), json!(false));
    // One that was clicked does not, and is not clicked again.
    browser.evaluate("document.activeElement.blur()");
    browser.click("#panel-toggle");
    browser.wait_until("document.activeElement.id === 'panel-toggle'");
    browser.press(" ", 32);
    browser.wait_until(IS_PAUSED);
    assert_eq!(panel_is_open(browser), json!(true));
    browser.press(" ", 32);
    browser.wait_until(IS_LIVE);
    // The pause button's own press is no second one.
    browser.evaluate("document.activeElement.blur()");
    focus(browser, "#pause");
    browser.press(" ", 32);
    browser.wait_until(IS_PAUSED);
    browser.press(" ", 32);
    browser.wait_until(IS_LIVE);

    browser.evaluate("document.querySelector('#class-search').hidden = false");
    focus(browser, "#class-search");
    for (key, code) in [("p", 80), (" ", 32), ("k", 75)] {
        browser.press(key, code);
    }
    let written = "document.querySelector('#class-search').value";
    assert_eq!(browser.evaluate(written), "p k");
    assert_eq!(panel_is_open(browser), json!(true));
    browser.evaluate("document.activeElement.blur()");

    // Letters can be taken from the keys, for those whose voice types them.
    browser.click("#letters");
    browser.press("p", 80);
    assert_eq!(panel_is_open(browser), json!(true));
    browser.press(" ", 32);
    browser.wait_until(IS_PAUSED);
    page.check_nothing_went_wrong();
}

#[test]
fn the_page_says_which_model_it_is() {
    let Some(mut page) = Page::open() else { return };
    page.browser.wait_until(&title_is("colors – ssdlite"));
    page.browser.wait_until(&text_is("#model-name", "colors"));
    page.browser.wait_until(&text_is(
        "#model-facts",
        "MobileNetV3-Small, 320×320, 2 classes",
    ));
    page.watch_camera();
    page.browser
        .wait_until(&title_is("● colors – This browser’s camera"));
}

#[test]
fn a_full_screen_shows_the_stage_with_state_and_counts() {
    let Some(mut page) = Page::open() else { return };
    let visible = |selector: &str| {
        format!(
            "(() => {{
                const box = document.querySelector({selector:?}).getBoundingClientRect();
                const top = document.elementFromPoint(box.x + box.width / 2, box.y + 2);
                return Boolean(top?.closest({selector:?}));
            }})()"
        )
    };
    for (width, height) in [DESKTOP, PHONE] {
        page.browser.resize(width, height);
        page.reload();
        page.browser
            .wait_until("document.querySelector('#source').value !== 'file'");
        page.browser.evaluate(
            "document.querySelector('#source').value = 'browser';
             document.querySelector('#source').dispatchEvent(new Event('change'))",
        );
        let browser = &mut page.browser;
        browser.wait_until(&objects_are(2));
        browser.press("f", 70);
        browser.wait_until("document.querySelector('#stage').matches('.full')");
        browser.wait_until(&text_is("#overlay-state", "Live"));
        browser.wait_until(&text_is("#overlay-counts", "red 1 · green 1"));
        browser.wait_until(&visible(".overlay"));
        browser.wait_until(&visible("#pause"));
        for hidden in [".bar", "#panel"] {
            assert_eq!(browser.evaluate(&visible(hidden)), json!(false), "{hidden}");
            let inert = format!("document.querySelector({hidden:?}).inert");
            assert_eq!(browser.evaluate(&inert), json!(true), "{hidden}");
        }
        page.screenshot(&format!("full-{width}.png"));
        let browser = &mut page.browser;
        browser.press("Escape", 27);
        browser.wait_until("!document.querySelector('#stage').matches('.full')");
        assert_eq!(
            browser.evaluate("document.querySelector('#panel').inert"),
            json!(false)
        );
        browser.click("#full-screen");
        browser.wait_until("document.querySelector('#stage').matches('.full')");
        browser.click("#full-screen");
        browser.wait_until("!document.querySelector('#stage').matches('.full')");
        page.check_nothing_went_wrong();
    }
}

#[test]
fn without_a_full_screen_the_stage_fills_the_window() {
    let Some(mut page) = Page::open() else { return };
    page.browser.resize(PHONE.0, PHONE.1);
    page.browser
        .evaluate("Element.prototype.requestFullscreen = undefined");
    page.watch_camera();
    page.browser.click("#full-screen");
    page.browser
        .wait_until("document.querySelector('#stage').matches('.full')");
    let fills = "document.querySelector('#stage').getBoundingClientRect().height === innerHeight";
    assert_eq!(page.browser.evaluate(fills), json!(true));
    let scrolls = "getComputedStyle(document.body).overflow !== 'hidden'";
    assert_eq!(page.browser.evaluate(scrolls), json!(false));
    page.browser.press("Escape", 27);
    page.browser
        .wait_until("!document.querySelector('#stage').matches('.full')");
    assert_eq!(page.browser.evaluate(scrolls), json!(true));
    page.check_nothing_went_wrong();
}
