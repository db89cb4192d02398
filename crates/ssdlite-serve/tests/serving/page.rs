//! What the page tells, keeps and takes, in a real browser.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use ssdlite_core::{ClassId, ImageSize};
use ssdlite_image::color::{color_of_class, text_color_on};
use ssdlite_serve::{Access, Model};

use crate::browser::{
    DESKTOP, IMAGE, NO_NUMBERS, PHONE, Page, colors, moving, objects_are, page_of_source,
};
use crate::devtools::Browser;
use crate::ffmpeg::has_ffmpeg;
use crate::fixtures::{
    ColorDetector, GREEN, GatedDetector, RED, image, model, moving_square, options, png,
};

const IS_LIVE: &str = "document.querySelector('#state').dataset.kind === 'live'";
const IS_OLD: &str = "document.querySelector('#screen').matches('.old')";
const IS_PAUSED: &str = "document.querySelector('#state').textContent === 'Paused'";

fn text_is(selector: &str, text: &str) -> String {
    format!("document.querySelector({selector:?}).textContent === {text:?}")
}

fn title_is(title: &str) -> String {
    format!("document.title === {title:?}")
}

fn focus(browser: &mut Browser, selector: &str) {
    browser.evaluate(&format!("document.querySelector({selector:?}).focus()"));
}

fn panel_is_open(browser: &mut Browser) -> Value {
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
    page.browser.evaluate(
        "Object.defineProperty(document, 'hidden', { get: () => true });
         document.dispatchEvent(new Event('visibilitychange'));
         window.requestAnimationFrame = () => {};
         HTMLVideoElement.prototype.requestVideoFrameCallback = () => {};",
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
    page.browser.press("Escape", 27);
    page.browser
        .wait_until("!document.querySelector('#stage').matches('.full')");
    page.check_nothing_went_wrong();
}

fn two_models() -> Vec<Model> {
    vec![colors(), model("others", ColorDetector::new())]
}

#[test]
fn settings_survive_a_reload_for_each_model() {
    const TOKEN: &str = "a-long-enough-token";
    let mut options = options(two_models());
    options.access = Access::Token(TOKEN.to_owned());
    let Some(mut page) = Page::open_with(options) else {
        return;
    };
    let browser = &mut page.browser;
    browser.wait_until(&text_is("#threshold-value", "30 %"));
    focus(browser, "#threshold");
    browser.press("Home", 36);
    browser.click("#classes li:nth-child(2) label");
    browser.evaluate(
        "document.querySelector('#model').value = 'others';
         document.querySelector('#model').dispatchEvent(new Event('change'))",
    );
    browser.wait_until(&text_is("#threshold-value", "30 %"));
    browser.click("#panel-toggle");
    browser.click("#start-camera");
    browser.wait_until(&objects_are(2));
    browser.allow_camera();

    page.reload();
    let browser = &mut page.browser;
    browser.wait_until("document.querySelector('#model').value === 'others'");
    browser.wait_until("document.querySelector('#panel').hidden");
    browser.wait_until(&objects_are(2));
    browser.wait_until(&title_is("● others – This browser’s camera"));
    browser.evaluate(
        "document.querySelector('#model').value = 'colors';
         document.querySelector('#model').dispatchEvent(new Event('change'))",
    );
    browser.wait_until(&text_is("#threshold-value", "5 %"));
    let hidden = "[...document.querySelectorAll('#classes input')].map((box) => box.checked)";
    assert_eq!(browser.evaluate(hidden), json!([true, false]));
    let stored = browser.evaluate("JSON.stringify(localStorage)");
    assert!(stored.as_str().unwrap().contains("colors"));
    assert!(!stored.as_str().unwrap().contains(TOKEN));

    // The way back to the model's own score.
    browser.click("#panel-toggle");
    browser.click("#own-threshold");
    browser.wait_until(&text_is("#threshold-value", "30 %"));
    page.check_nothing_went_wrong();
}

#[test]
fn another_source_on_the_command_line_goes_before_the_one_chosen_last() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let video = moving_square(folder.path(), "moving.mp4");
    let Some((mut browser, server)) = page_of_source(colors(), &video) else {
        return;
    };
    browser.allow_camera();
    let given = browser.evaluate("document.querySelector('#source').selectedOptions[0].text");
    for (given, chosen) in [(given, "browser"), (json!("other.mp4"), "server:given")] {
        let stored = json!({ "source": "browser", "given": given }).to_string();
        browser.evaluate(&format!("localStorage.setItem('ssdlite', {stored:?})"));
        browser.open(&format!("http://localhost:{}/", server.address.port()));
        browser.wait_until(&format!(
            "document.querySelector('#source').value === {chosen:?}"
        ));
    }
}

#[test]
fn what_another_page_has_stored_is_not_taken() {
    let Some(mut page) = Page::open() else { return };
    let colors = r#"{"name":"colors","score":0.3,"classes":["red","green"],"#;
    for stored in [
        "no json".to_owned(),
        "null".to_owned(),
        "[1]".to_owned(),
        r#"{"model":5,"source":{},"panel":"x","letters":1,"models":{"colors":1}}"#.to_owned(),
        r#"{"model":"gone","source":"server:gone","models":[null,3,{"name":1}]}"#.to_owned(),
        format!(r#"{{"models":[{colors}"threshold":7,"hidden":"red"}}]}}"#),
        format!(r#"{{"models":[{colors}"threshold":"0.9","hidden":[1,"blue"]}}]}}"#),
        // Another model of this name.
        r#"{"models":[{"name":"colors","score":0.3,"classes":["red"],"threshold":0.9}]}"#.into(),
        r#"{"models":[{"name":"colors","score":0.5,"classes":["red","green"],"threshold":0.9}]}"#
            .into(),
    ] {
        page.browser
            .evaluate(&format!("localStorage.setItem('ssdlite', {stored:?})"));
        page.reload();
        page.browser
            .wait_until(&text_is("#threshold-value", "30 %"));
        page.browser.wait_until(
            "[...document.querySelectorAll('#classes input')].every((box) => box.checked)",
        );
        page.browser.wait_until(&text_is("#state", "Idle"));
        assert_eq!(panel_is_open(&mut page.browser), json!(true), "{stored}");
        page.check_nothing_went_wrong();
    }
}

#[test]
fn the_slider_begins_at_the_models_own_score() {
    let model = Model {
        score_threshold: 0.45,
        ..colors()
    };
    let Some(mut page) = Page::open_with(options(vec![model])) else {
        return;
    };
    page.browser
        .wait_until(&text_is("#threshold-value", "45 %"));
    page.browser
        .wait_until("document.querySelector('#threshold').value === '45'");
    page.browser.click("#start-camera");
    // The green one's score is 0.4.
    page.browser.wait_until(&objects_are(1));
}

#[test]
fn classes_have_the_colours_of_saved_pictures() {
    let Some(mut page) = Page::open() else { return };
    let file = page.folder.path().join("a.png");
    std::fs::write(&file, png(&moving(3))).unwrap();
    page.browser.choose_files("#file", &[&file]);
    page.browser.wait_until(&objects_are(2));
    // The upper left corners of the boxes, above which their tags are.
    for (index, [x, y]) in [[64, 60], [400, 210]].into_iter().enumerate() {
        let color = color_of_class(ClassId::from_index(index));
        let [red, green, blue] = color;
        let swatch = page.browser.evaluate(&format!(
            "getComputedStyle(document.querySelectorAll('#classes label')[{index}])
                .getPropertyValue('--swatch')"
        ));
        assert_eq!(swatch, format!("#{red:02x}{green:02x}{blue:02x}"));
        let colors_of_tag = page.browser.evaluate(&format!(
            "(() => {{
                const canvas = document.querySelector('#image');
                const scale = canvas.width / 640;
                const {{ data }} = canvas.getContext('2d')
                    .getImageData({x} * scale, ({y} - 16) * scale, 40 * scale, 12 * scale);
                const colors = new Set();
                for (let at = 0; at < data.length; at += 4) {{
                    colors.add([...data.slice(at, at + 3)].join());
                }}
                return [...colors];
            }})()"
        ));
        for wanted in [color, text_color_on(color)] {
            let wanted = wanted.map(|channel| channel.to_string()).join(",");
            let colors = colors_of_tag.as_array().unwrap();
            assert!(colors.contains(&json!(wanted)), "{wanted}: {colors:?}");
        }
    }
}

/// An image with both rectangles, one that is broken, and one with the red
/// rectangle alone.
fn three_files(folder: &Path) -> [PathBuf; 3] {
    let paths = ["both.png", "broken.png", "red.png"].map(|name| folder.join(name));
    std::fs::write(&paths[0], png(&moving(3))).unwrap();
    std::fs::write(&paths[1], b"no image").unwrap();
    let red = image(ImageSize::new(320, 180), &[([40, 60, 90, 100], RED)]);
    std::fs::write(&paths[2], png(&red)).unwrap();
    paths
}

fn results(browser: &mut Browser) -> Vec<String> {
    let results = browser
        .evaluate("[...document.querySelectorAll('#files .result')].map((r) => r.textContent)");
    serde_json::from_value(results).unwrap()
}

#[test]
fn several_files_are_shown_one_after_the_other() {
    let Some(mut page) = Page::open() else { return };
    let files = three_files(page.folder.path());
    for (width, height) in [DESKTOP, PHONE] {
        page.browser.resize(width, height);
        page.reload();
        let browser = &mut page.browser;
        browser.choose_files("#file", &[&files[0], &files[1], &files[2]]);
        browser.wait_until(&text_is("#queue-place", "File 3 of 3"));
        browser.wait_until(&objects_are(1));
        browser.wait_until(&title_is("colors – red.png (3 of 3)"));
        let [first, second, third] = &results(browser)[..] else {
            panic!("expected three files");
        };
        assert_eq!((first.as_str(), third.as_str()), ("2 objects", "1 object"));
        assert!(second.contains("expected"), "{second}");
        browser.wait_until(
            "document.querySelector('#note').textContent.startsWith('broken.png can’t be shown')",
        );
        page.screenshot(&format!("files-{width}.png"));
        let browser = &mut page.browser;

        // The slider keeps its arrows.
        focus(browser, "#threshold");
        browser.press("ArrowLeft", 37);
        browser.wait_until(&text_is("#threshold-value", "29 %"));
        browser.wait_until(&text_is("#queue-place", "File 3 of 3"));
        browser.click("#own-threshold");
        browser.evaluate("document.activeElement.blur()");
        browser.press("ArrowLeft", 37);
        browser.wait_until(&text_is("#queue-place", "File 2 of 3"));
        browser.wait_until("document.querySelector('#empty').checkVisibility()");
        browser.press("ArrowLeft", 37);
        browser.wait_until(&objects_are(2));
        browser.press("ArrowLeft", 37);
        browser.wait_until(&text_is("#queue-place", "File 1 of 3"));
        browser.click("#next");
        browser.wait_until(&text_is("#queue-place", "File 2 of 3"));
        browser.click("#files li:nth-child(3) button");
        browser.wait_until(&objects_are(1));
        browser.wait_until("document.querySelectorAll('#files [aria-current]').length === 1");
        page.check_nothing_overflows();
    }
}

#[test]
fn a_held_list_of_files_goes_on_when_told() {
    let Some(mut page) = Page::open() else { return };
    let [both, _, red] = three_files(page.folder.path());
    // The next file comes when the test says so.
    page.browser.evaluate(
        "(() => {
            const wait = window.setTimeout;
            const stop = window.clearTimeout;
            window.setTimeout = (action, time, ...rest) => {
                if (time !== 1500) return wait(action, time, ...rest);
                window.goOn = action;
                return 'held';
            };
            window.clearTimeout = (timer) => {
                if (timer === 'held') window.goOn = undefined;
                else stop(timer);
            };
        })()",
    );
    page.browser.choose_files("#file", &[&both, &red]);
    let browser = &mut page.browser;
    browser.wait_until("Boolean(window.goOn)");
    browser.press(" ", 32);
    browser.wait_until(IS_PAUSED);
    browser.wait_until("!window.goOn");
    browser.press(" ", 32);
    browser.wait_until("Boolean(window.goOn)");
    browser.evaluate("window.goOn()");
    browser.wait_until(&text_is("#queue-place", "File 2 of 2"));
    browser.wait_until(&objects_are(1));
    // Nothing more follows, and an image that stays can't be held.
    browser.wait_until("document.querySelector('#pause').disabled");
    page.check_nothing_went_wrong();
}

#[test]
fn files_that_are_dropped_are_taken() {
    let Some(mut page) = Page::open() else { return };
    page.browser.evaluate(
        "(() => {
            const dataTransfer = new DataTransfer();
            for (const name of ['one.txt', 'two.txt']) {
                dataTransfer.items.add(new File(['no image'], name));
            }
            const init = { dataTransfer, bubbles: true, cancelable: true };
            document.querySelector('#screen').dispatchEvent(new DragEvent('drop', init));
        })()",
    );
    page.browser
        .wait_until("document.querySelectorAll('#files .failed').length === 2");
    let names = "[...document.querySelectorAll('#files .name')].map((name) => name.textContent)";
    assert_eq!(page.browser.evaluate(names), json!(["one.txt", "two.txt"]));
}

#[test]
fn a_video_goes_on_to_the_next_file_at_its_end() {
    if !has_ffmpeg() {
        return;
    }
    let Some(mut page) = Page::open() else { return };
    let video = moving_square(page.folder.path(), "moving.webm");
    let green = page.folder.path().join("green.png");
    let alone = image(ImageSize::new(320, 180), &[([40, 60, 90, 100], GREEN)]);
    std::fs::write(&green, png(&alone)).unwrap();
    page.browser.choose_files("#file", &[&video, &green]);
    page.browser.wait_until(&text_is("#state", "Playing"));
    page.browser
        .wait_until(&text_is("#queue-place", "File 2 of 2"));
    page.browser.wait_until(&objects_are(1));
    assert_eq!(results(&mut page.browser), ["Played", "1 object"]);
    page.check_nothing_went_wrong();
}

/// What is wrong with the page for those who see little or nothing of it: text
/// of too little contrast (WCAG 2.1, 1.4.3), what has no name, ids that are there
/// twice or refer to nothing.
const FAULTS: &str = r"(() => {
    const faults = [];
    const parse = (color) => {
        const [red, green, blue, alpha = 1] = color.match(/[\d.]+/g).map(Number);
        return [red, green, blue, alpha];
    };
    const over = (top, ground) => {
        const alpha = top[3];
        return [0, 1, 2].map((i) => top[i] * alpha + ground[i] * (1 - alpha)).concat(1);
    };
    const luminance = (color) => {
        const [red, green, blue] = color.map((value) => {
            const part = value / 255;
            return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const groundOf = (element) => {
        if (!element) return [255, 255, 255, 1];
        const color = parse(getComputedStyle(element).backgroundColor);
        return color[3] === 1 ? color : over(color, groundOf(element.parentElement));
    };
    for (const element of document.querySelectorAll('body *')) {
        const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (!hasText || !element.checkVisibility() || element.closest(':disabled')) continue;
        const ground = groundOf(element);
        const text = over(parse(getComputedStyle(element).color), ground);
        const [dark, bright] = [luminance(text), luminance(ground)].sort((a, b) => a - b);
        const contrast = (bright + 0.05) / (dark + 0.05);
        if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(2)}: ${element.outerHTML}`);
    }
    for (const element of document.querySelectorAll('button, input, select, [role=img], section, aside')) {
        if (!element.checkVisibility() || element.matches('section.card:not([aria-label])')) continue;
        const name = element.getAttribute('aria-label') || element.labels?.[0]?.textContent
            || (element.matches('button') && element.textContent);
        if (!name?.trim()) faults.push(`no name: ${element.outerHTML}`);
    }
    const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
    if (new Set(ids).size !== ids.length) faults.push(`ids twice: ${ids}`);
    for (const element of document.querySelectorAll('[aria-controls], [for]')) {
        const id = element.getAttribute('aria-controls') ?? element.getAttribute('for');
        if (!ids.includes(id)) faults.push(`refers to nothing: ${element.outerHTML}`);
    }
    return faults;
})()";

#[test]
fn the_page_has_no_accessibility_fault_in_any_state() {
    let (detector, gate) = GatedDetector::new();
    let Some(mut page) = Page::open_with(options(vec![model("gated", detector)])) else {
        return;
    };
    let files = three_files(page.folder.path());
    for scheme in ["light", "dark"] {
        page.browser.prefer_color_scheme(scheme);
        for (width, height) in [DESKTOP, PHONE] {
            page.browser.resize(width, height);
            page.browser.evaluate("localStorage.clear()");
            page.reload();
            let check = |page: &mut Page, state: &str| {
                let faults = page.browser.evaluate(FAULTS);
                assert_eq!(faults, json!([]), "{scheme} {width} {state}");
                page.screenshot(&format!("{state}-{width}-{scheme}.png"));
            };
            page.browser
                .choose_files("#file", &[&files[0], &files[1], &files[2]]);
            page.browser
                .wait_until(&text_is("#queue-place", "File 3 of 3"));
            page.browser.wait_until(&objects_are(1));
            check(&mut page, "files");
            page.browser.evaluate(
                "document.querySelector('#source').value = 'browser';
                 document.querySelector('#source').dispatchEvent(new Event('change'))",
            );
            page.browser.wait_until(&objects_are(2));
            check(&mut page, "live");
            page.browser.press(" ", 32);
            page.browser.wait_until(IS_PAUSED);
            check(&mut page, "paused");
            page.browser.press(" ", 32);
            page.browser.wait_until(IS_LIVE);
            let held = gate.lock().unwrap();
            page.browser.wait_until(IS_OLD);
            check(&mut page, "old");
            drop(held);
            page.browser.wait_until(&format!("!{IS_OLD}"));
            page.browser.press("f", 70);
            page.browser
                .wait_until("document.querySelector('#stage').matches('.full')");
            check(&mut page, "full");
            page.browser.press("f", 70);
            page.browser
                .wait_until("!document.querySelector('#stage').matches('.full')");
        }
    }
}
