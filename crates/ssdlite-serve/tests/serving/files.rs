//! Several files in the page, in a real browser.

use std::path::{Path, PathBuf};

use serde_json::json;
use ssdlite_core::ImageSize;

use crate::browser::{DESKTOP, PHONE, Page, moving, objects_are};
use crate::devtools::Browser;
use crate::ffmpeg::has_ffmpeg;
use crate::fixtures::{GREEN, RED, image, moving_square, png};
use crate::page::{IS_PAUSED, focus, text_is, title_is};

/// An image with both rectangles, one that is broken, and one with the red
/// rectangle alone.
pub(crate) fn three_files(folder: &Path) -> [PathBuf; 3] {
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
