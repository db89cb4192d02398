//! Both pages in a real browser, on a phone's and a desktop's window, without a server.
//!
//! With `SSDLITE_SCREENSHOTS=FOLDER`, a whole path, images of both are written there.

use std::path::Path;

use serde_json::json;

use crate::devtools::Browser;
use crate::fixtures::{images, write_compared, write_evaluated};

const PHONE: (u32, u32) = (390, 844);
const DESKTOP: (u32, u32) = (1280, 800);

const FAULTS: &str = include_str!("../../../ssdlite-serve/tests/serving/faults.js");

/// The images that the filters leave.
const SHOWN: &str = "document.querySelectorAll('#gallery .shot:not([hidden])').length";

const IS_LARGE: &str = "document.querySelector('#viewer').open";

const TITLE: &str = "document.querySelector('#viewer-title').textContent";

const ARROW_LEFT: u32 = 37;
const ARROW_RIGHT: u32 = 39;
const ESCAPE: u32 = 27;

/// What chooses a value in a list of the page.
fn choice(list: &str, value: &str) -> String {
    format!(
        "document.querySelector('{list}').value = '{value}';
         document.querySelector('{list}')
             .dispatchEvent(new Event('change', {{ bubbles: true }}))"
    )
}

fn browser(folder: &Path) -> Option<Browser> {
    // No page asks for the camera.
    Browser::start(&folder.join("no-camera.y4m"))
}

/// Opens a page's file, without anything to serve it.
fn open(browser: &mut Browser, page: &Path) {
    let path = page.canonicalize().unwrap();
    let path = path.to_str().unwrap();
    browser.open(&format!("file://{path}"));
}

/// In both windows and both schemes.
fn in_all_windows(
    browser: &mut Browser,
    page: &Path,
    name: &str,
    mut check: impl FnMut(&mut Browser),
) {
    for ((width, height), scheme) in [
        (DESKTOP, "light"),
        (DESKTOP, "dark"),
        (PHONE, "light"),
        (PHONE, "dark"),
    ] {
        browser.resize(width, height);
        browser.prefer_color_scheme(scheme);
        open(browser, page);
        let overflow =
            "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.evaluate(overflow), json!(0), "{width}");
        assert_eq!(browser.evaluate(FAULTS), json!([]), "{width} {scheme}");
        check(browser);
        assert_eq!(browser.errors(), [""; 0]);
        // Nothing that a name says was done, and nothing was loaded.
        let foreign = "performance.getEntriesByType('resource')
            .filter(({ name }) => !name.startsWith('data:image/jpeg;')).length";
        assert_eq!(browser.evaluate(foreign), json!(0));
        assert_eq!(
            browser.evaluate("document.querySelectorAll('img, [onerror]').length"),
            json!(0)
        );
        if let Some(folder) = std::env::var_os("SSDLITE_SCREENSHOTS") {
            let file = format!("{name}-{width}-{scheme}.png");
            browser.screenshot(&Path::new(&folder).join(file));
        }
    }
}

/// Waits until every image is decoded, and sees each where it is referred to.
fn load_images(browser: &mut Browser) {
    browser.evaluate(
        "window.decoded = false;
         Promise.all([...document.querySelectorAll('.store image')].map((image) => image.decode()))
             .then(() => { window.decoded = true; })",
    );
    browser.wait_until("window.decoded");
    let sizes = "[...document.querySelectorAll('.picture use')].every((use) => {
        const { width, height } = use.getBoundingClientRect();
        return width > 200 && Math.abs(width / height - 1.5) < 0.02;
    })";
    assert_eq!(browser.evaluate(sizes), json!(true));
}

#[test]
fn mistakes_are_filtered_by_class_and_kind() {
    let folder = tempfile::tempdir().unwrap();
    let page = write_evaluated(folder.path(), &images());
    let Some(mut browser) = browser(folder.path()) else {
        return;
    };
    in_all_windows(&mut browser, &page, "report", |browser| {
        load_images(browser);
        assert_eq!(browser.evaluate(SHOWN), json!(7));
        let kind = |kind: u32| format!("#filters input[name=\"kind\"][value=\"{kind}\"]");
        for (index, left) in [(0, 3), (1, 2), (2, 1), (3, 1), (4, 1), (5, 1)] {
            browser.click(&kind(index));
            assert_eq!(browser.evaluate(SHOWN), json!(left), "{index}");
        }
        // By keys: back from double to the kind before it.
        browser.press("ArrowLeft", ARROW_LEFT);
        browser.wait_until("document.querySelector('input[name=\"kind\"]:checked').value === '4'");
        browser.click("#filters input[name=\"kind\"][value=\"\"]");
        let choose = |class: &str| choice("#class-filter", class);
        // The class that was said, that of the label, and that of what is missed.
        browser.evaluate(&choose("0"));
        assert_eq!(browser.evaluate(SHOWN), json!(5));
        browser.evaluate(&choose("1"));
        assert_eq!(browser.evaluate(SHOWN), json!(5));
        let told = browser.evaluate("document.querySelector('#shown-count').textContent");
        assert_eq!(told, json!("5 of 7 images"));
        browser.evaluate(&choose(""));
        let visible = "[...document.querySelectorAll('#gallery .box.label')]
            .filter((box) => getComputedStyle(box).display !== 'none').length";
        assert!(browser.evaluate(visible).as_u64() > Some(0));
        browser.click("#show-labels");
        assert_eq!(browser.evaluate(visible), json!(0));
        browser.click("#show-labels");
    });
}

#[test]
fn an_image_is_seen_large_by_keys_and_by_touch() {
    let folder = tempfile::tempdir().unwrap();
    let page = write_evaluated(folder.path(), &images());
    let Some(mut browser) = browser(folder.path()) else {
        return;
    };
    in_all_windows(&mut browser, &page, "report", |browser| {
        load_images(browser);
        browser.evaluate("document.querySelector('#gallery .picture').focus()");
        browser.press(" ", 32);
        browser.wait_until(IS_LARGE);
        browser.wait_until(&format!("{TITLE}.endsWith('(1 of 7)')"));
        browser.press("ArrowRight", ARROW_RIGHT);
        browser.wait_until(&format!("{TITLE}.endsWith('(2 of 7)')"));
        browser.press("ArrowLeft", ARROW_LEFT);
        browser.press("ArrowLeft", ARROW_LEFT);
        browser.wait_until(&format!("{TITLE}.endsWith('(1 of 7)')"));
        browser.press("Escape", ESCAPE);
        browser.wait_until(&format!("!{IS_LARGE}"));
        browser.wait_until("document.activeElement.matches('#gallery .shot:first-child .picture')");

        // Only what the filters leave is gone through.
        browser.click("#filters input[name=\"kind\"][value=\"1\"]");
        browser.click("#gallery .shot:not([hidden]) .picture");
        browser.wait_until(&format!("{TITLE}.endsWith('(1 of 2)')"));
        browser.click("#viewer-next");
        browser.wait_until(&format!("{TITLE}.endsWith('(2 of 2)')"));
        browser.wait_until("document.querySelector('#viewer-next').disabled");
        // The image and its boxes lie over each other, in the window.
        let fits = "(() => {
            const [image, svg] = ['use', 'svg']
                .map((name) => document.querySelector(`#viewer-image ${name}`)?.getBoundingClientRect());
            // They come when the image is decoded.
            if (!image || !svg) return false;
            const differ = (a, b) => Math.abs(a - b) > 1;
            return !differ(image.width, svg.width) && !differ(image.height, svg.height)
                && !differ(image.width / image.height, 1.5)
                && image.right <= innerWidth && image.bottom <= innerHeight && image.width > 200;
        })()";
        browser.wait_until(fits);
        browser.click("#viewer-close");
        browser.wait_until(&format!("!{IS_LARGE}"));
    });
}

#[test]
fn two_models_are_seen_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let page = write_compared(folder.path());
    let Some(mut browser) = browser(folder.path()) else {
        return;
    };
    in_all_windows(&mut browser, &page, "comparison", |browser| {
        load_images(browser);
        let views = "document.querySelectorAll('#gallery .shot:first-child .view').length";
        assert_eq!(browser.evaluate(views), json!(2));
        // The second model finds nothing in images 0, 3 and 6.
        assert_eq!(browser.evaluate(SHOWN), json!(3));
        let choose = |side: &str| choice("#worse-filter", side);
        browser.evaluate(&choose("a"));
        assert_eq!(browser.evaluate(SHOWN), json!(0));
        browser.evaluate(&choose("b"));
        assert_eq!(browser.evaluate(SHOWN), json!(3));
    });
}
