//! The page on which kept frames are labelled, in a real browser.

use std::fs;

use serde_json::{Value, json};

use crate::accessibility::FAULTS;
use crate::browser::{DESKTOP, PHONE, Page};
use crate::client::{get, send};
use crate::fixtures::{ColorDetector, model, options};
use crate::kept::{add_frame, annotation_of};
use crate::page::text_is;

const IS_SAVED: &str = "document.querySelector('#state').textContent === 'Saved'";
const IS_UNSAVED: &str = "document.querySelector('#state').textContent === 'Not saved'";

/// Where the page shows a point of the image.
fn place(page: &mut Page, [x, y]: [f64; 2]) -> [f64; 2] {
    let point = page.browser.evaluate(&format!(
        "(() => {{
            const board = document.querySelector('#board');
            board.scrollIntoView({{ block: 'center', behavior: 'instant' }});
            const [left, top, width, height] = board.getAttribute('viewBox').split(' ').map(Number);
            const shown = board.getBoundingClientRect();
            return [
                shown.x + ({x} - left) / width * shown.width,
                shown.y + ({y} - top) / height * shown.height,
            ];
        }})()"
    ));
    serde_json::from_value(point).unwrap()
}

fn drag(page: &mut Page, from: [f64; 2], to: [f64; 2]) {
    let (from, to) = (place(page, from), place(page, to));
    page.browser.drag(from, to);
}

/// The page of kept frames, of which these are there.
fn open(ids: &[&str], window: (u32, u32)) -> Option<Page> {
    let options = options(vec![model("colors", ColorDetector::new())]);
    let mut page = Page::open_with(options)?;
    let root = page.folder.path().join("kept");
    for id in ids {
        add_frame(&root, id);
    }
    page.browser.resize(window.0, window.1);
    reload(&mut page);
    Some(page)
}

fn reload(page: &mut Page) {
    let address = format!("http://localhost:{}/label", page.server.address.port());
    page.browser.open(&address);
    page.browser
        .wait_until("document.querySelector('#state').textContent !== 'Loading…'");
}

fn objects_are(count: usize) -> String {
    format!("document.querySelectorAll('#objects li').length === {count}")
}

/// The chosen box by its fields.
const CHOSEN: &str = "['left', 'top', 'right', 'bottom'].map((id) => document.querySelector(`#${id}`).valueAsNumber)";

/// What the server has of a frame: classes and boxes.
fn kept(page: &Page, id: &str) -> Value {
    let told = get(page.server.address, &format!("/v1/kept/{id}")).json();
    let objects = told["objects"].as_array().unwrap().iter();
    objects
        .map(|object| json!([object["class"], object["box"]]))
        .collect()
}

fn set(page: &mut Page, id: &str, value: &str) {
    page.browser.evaluate(&format!(
        "(() => {{
            const field = document.querySelector('#{id}');
            field.value = {value:?};
            field.dispatchEvent(new Event('change', {{ bubbles: true }}));
        }})()"
    ));
}

#[test]
fn the_modules_that_correct_keep_their_promises() {
    let Some(mut page) = open(&[], DESKTOP) else {
        return;
    };
    let script = include_str!("correcting.js");
    let script = &script[script.find("async (").unwrap()..].trim_end();
    let script = script.trim_end_matches(';');
    let call = format!("({script})({{ from: '/page' }})");
    assert_eq!(page.browser.evaluate(&call), "done");
}

#[test]
fn boxes_are_corrected_by_mouse_and_keys_and_saved() {
    let Some(mut page) = open(&["a"], DESKTOP) else {
        return;
    };
    page.browser.wait_until(IS_SAVED);
    page.browser.wait_until(&objects_are(2));

    // Moved, as far as the image goes.
    drag(&mut page, [24.0, 24.0], [34.0, 29.0]);
    page.browser.wait_until(IS_UNSAVED);
    assert_eq!(page.browser.evaluate(CHOSEN), json!([18, 21, 50, 37]));
    // Resized by a corner and by an edge.
    drag(&mut page, [50.0, 37.0], [54.0, 43.0]);
    assert_eq!(page.browser.evaluate(CHOSEN), json!([18, 21, 54, 43]));
    drag(&mut page, [18.0, 32.0], [12.0, 20.0]);
    assert_eq!(page.browser.evaluate(CHOSEN), json!([12, 21, 54, 43]));
    page.browser.press("ArrowLeft", 37);
    page.browser.press("ArrowDown", 40);
    assert_eq!(page.browser.evaluate(CHOSEN), json!([11, 22, 53, 44]));
    set(&mut page, "right", "60");
    assert_eq!(page.browser.evaluate(CHOSEN), json!([11, 22, 60, 44]));
    set(&mut page, "class", "<b>&");

    // A new one, whose class is the last that was given.
    page.browser.evaluate("document.activeElement.blur()");
    page.browser.press("w", 87);
    drag(&mut page, [70.0, 5.0], [90.0, 15.0]);
    page.browser.wait_until(&objects_are(3));
    assert_eq!(page.browser.evaluate(CHOSEN), json!([70, 5, 90, 15]));
    page.browser.press("2", 50);
    page.browser
        .wait_until("document.querySelector('#class').value === 'green'");

    // The green one of the file goes, comes back, and goes.
    drag(&mut page, [64.0, 50.0], [64.0, 50.0]);
    assert_eq!(page.browser.evaluate(CHOSEN), json!([48, 40, 80, 56]));
    page.browser.press("Delete", 46);
    page.browser.wait_until(&objects_are(2));
    page.browser.press_with_control("z", 90);
    page.browser.wait_until(&objects_are(3));
    page.browser.press_with_control("y", 89);
    page.browser.wait_until(&objects_are(2));

    page.browser.press_with_control("s", 83);
    page.browser.wait_until(IS_SAVED);
    page.browser.wait_until(&text_is("#note", "Saved."));
    let expected = json!([
        ["<b>&", [11.0, 22.0, 60.0, 44.0]],
        ["green", [70.0, 5.0, 90.0, 15.0]],
    ]);
    assert_eq!(kept(&page, "a"), expected);
    // All the way back.
    for _ in 0..20 {
        page.browser.press_with_control("z", 90);
    }
    page.browser.click("#save");
    page.browser.wait_until(IS_SAVED);
    let expected = json!([
        ["red", [8.0, 16.0, 40.0, 32.0]],
        ["green", [48.0, 40.0, 80.0, 56.0]],
    ]);
    assert_eq!(kept(&page, "a"), expected);
    page.check_nothing_went_wrong();
}

#[test]
fn boxes_are_corrected_by_touch_on_a_phone() {
    let Some(mut page) = open(&["a"], PHONE) else {
        return;
    };
    page.browser.wait_until(IS_SAVED);
    let way = |page: &mut Page, from, to| (place(page, from), place(page, to));
    let moved = way(&mut page, [64.0, 48.0], [60.0, 45.0]);
    page.browser.touch(&[moved]);
    page.browser.wait_until(IS_UNSAVED);
    assert_eq!(page.browser.evaluate(CHOSEN), json!([44, 37, 76, 53]));
    for (place, name) in [(1, "red"), (2, "green")] {
        page.browser
            .click(&format!("#known button:nth-child({place})"));
        let class = page
            .browser
            .evaluate("document.querySelector('#class').value");
        assert_eq!(class, json!(name));
    }

    // Two fingers zoom, and move no box.
    let before = page
        .browser
        .evaluate("document.querySelector('#board').getAttribute('viewBox')");
    let ways = [
        way(&mut page, [40.0, 30.0], [20.0, 30.0]),
        way(&mut page, [56.0, 30.0], [76.0, 30.0]),
    ];
    page.browser.touch(&ways);
    let after = page
        .browser
        .evaluate("document.querySelector('#board').getAttribute('viewBox')");
    assert_ne!(before, after);
    page.browser.click("#fit");
    let fitted = page
        .browser
        .evaluate("document.querySelector('#board').getAttribute('viewBox')");
    assert_eq!(fitted, before);

    page.browser.click("#draw");
    let drawn = way(&mut page, [10.0, 40.0], [30.0, 56.0]);
    page.browser.touch(&[drawn]);
    page.browser.wait_until(&objects_are(3));
    page.browser.click("#objects li:nth-child(1) button");
    assert_eq!(page.browser.evaluate(CHOSEN), json!([8, 16, 40, 32]));
    page.browser.click("#delete");
    page.browser.click("#save");
    page.browser.wait_until(IS_SAVED);
    let expected = json!([
        ["green", [44.0, 37.0, 76.0, 53.0]],
        ["green", [10.0, 40.0, 30.0, 56.0]],
    ]);
    assert_eq!(kept(&page, "a"), expected);
    page.check_nothing_went_wrong();
}

#[test]
fn the_next_frame_comes_once_this_one_is_saved() {
    let Some(mut page) = open(&["a", "b", "c"], DESKTOP) else {
        return;
    };
    page.browser.wait_until(IS_SAVED);
    page.browser
        .wait_until(&text_is("#place", "1 of 3, newest first"));
    let id = "document.querySelector('#frame').selectedOptions[0].text";
    assert_eq!(page.browser.evaluate(id), "c");
    page.browser.click("#objects li:nth-child(2) button");
    page.browser.click("#delete");
    page.browser.evaluate("document.activeElement.blur()");
    page.browser.press("d", 68);
    page.browser
        .wait_until(&format!("{id} === 'b' && {IS_SAVED}"));
    page.browser.wait_until(&objects_are(2));
    assert_eq!(kept(&page, "c").as_array().unwrap().len(), 1);
    page.browser.click("#next");
    page.browser
        .wait_until(&format!("{id} === 'a' && {IS_SAVED}"));
    assert_eq!(
        page.browser
            .evaluate("document.querySelector('#next').disabled"),
        json!(true)
    );
    page.browser.press("a", 65);
    page.browser
        .wait_until(&format!("{id} === 'b' && {IS_SAVED}"));
    page.check_nothing_went_wrong();
}

#[test]
fn what_another_has_changed_is_not_lost_in_silence() {
    let Some(mut page) = open(&["a"], DESKTOP) else {
        return;
    };
    page.browser.wait_until(IS_SAVED);
    let has_conflict = "document.querySelector('#conflict').checkVisibility()";
    // Another tab adds a box while this one moves one.
    let add = |page: &Page, name: &str| {
        let told = get(page.server.address, "/v1/kept/a");
        let headers = [
            ("Content-Type", "application/json"),
            ("If-Match", told.header("etag").unwrap()),
        ];
        let added = json!({ "added": [{ "class": name, "box": [1, 2, 3, 4] }] }).to_string();
        let line = "PATCH /v1/kept/a";
        let answer = send(page.server.address, line, &headers, added.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    drag(&mut page, [24.0, 24.0], [34.0, 29.0]);
    add(&page, "theirs");
    page.browser.click("#save");
    page.browser.wait_until(has_conflict);
    assert_eq!(kept(&page, "a").as_array().unwrap().len(), 3);
    // What this page has is still there, and can't be left behind.
    assert_eq!(page.browser.evaluate(CHOSEN), json!([18, 21, 50, 37]));
    page.browser.click("#keep-mine");
    page.browser
        .wait_until(&format!("{IS_SAVED} && !{has_conflict}"));
    let mine = json!([
        ["red", [18.0, 21.0, 50.0, 37.0]],
        ["green", [48.0, 40.0, 80.0, 56.0]],
    ]);
    assert_eq!(kept(&page, "a"), mine);

    page.browser.click("#delete");
    add(&page, "theirs");
    page.browser.press_with_control("s", 83);
    page.browser.wait_until(has_conflict);
    page.browser.click("#take-theirs");
    page.browser
        .wait_until(&format!("{IS_SAVED} && {}", objects_are(3)));
    assert_eq!(kept(&page, "a").as_array().unwrap().len(), 3);
}

#[test]
fn an_image_that_nobody_labelled_and_one_that_can_not_be_are_told() {
    let Some(mut page) = open(&["a", "b"], DESKTOP) else {
        return;
    };
    let root = page.folder.path().join("kept");
    fs::write(annotation_of(&root, "b"), "<annotation>").unwrap();
    fs::remove_file(annotation_of(&root, "a")).unwrap();
    reload(&mut page);
    page.browser
        .wait_until("document.querySelector('#empty').textContent.includes('<annotation>')");
    page.browser.evaluate("document.activeElement.blur()");
    page.browser.press("d", 68);
    page.browser
        .wait_until(&text_is("#state", "Not labelled yet"));
    page.browser.click("#save");
    page.browser.wait_until(IS_SAVED);
    assert_eq!(kept(&page, "a"), json!([]));
}

#[test]
fn without_frames_or_a_folder_the_page_says_so() {
    let Some(mut page) = open(&[], PHONE) else {
        return;
    };
    page.browser
        .wait_until(&text_is("#empty-title", "No frames yet"));
    page.check_nothing_went_wrong();
    page.browser.click("footer a");
    // Not in a page that is still being laid out.
    page.browser.wait_until(
        "location.pathname === '/' && document.readyState === 'complete' \
         && document.querySelector('#model-name').textContent !== ''",
    );
    page.browser.click("footer a:nth-child(2)");
    page.browser.wait_until("location.pathname === '/label'");
}

#[test]
fn the_page_has_no_accessibility_fault() {
    let Some(mut page) = open(&["a", "b"], DESKTOP) else {
        return;
    };
    for (window, scheme) in [
        (DESKTOP, "light"),
        (PHONE, "dark"),
        (DESKTOP, "dark"),
        (PHONE, "light"),
    ] {
        page.browser.resize(window.0, window.1);
        page.browser.prefer_color_scheme(scheme);
        reload(&mut page);
        page.browser.wait_until(IS_SAVED);
        let name = format!("{}-{scheme}", window.0);
        assert_eq!(page.browser.evaluate(FAULTS), json!([]), "{name}");
        page.browser.click("#objects li:nth-child(1) button");
        page.browser
            .wait_until("!document.querySelector('#chosen').hidden");
        assert_eq!(page.browser.evaluate(FAULTS), json!([]), "{name}, chosen");
        page.screenshot(&format!("label-{name}.png"));
        page.check_nothing_went_wrong();
    }
}
