//! The page for those who see little or nothing of it, in a real browser.

use serde_json::json;

use crate::browser::{DESKTOP, PHONE, Page, objects_are};
use crate::files::three_files;
use crate::fixtures::{GatedDetector, model, options};
use crate::page::{IS_LIVE, IS_OLD, IS_PAUSED, text_is};

/// What is wrong with the page for those who see little or nothing of it: text
/// of too little contrast (WCAG 2.1, 1.4.3), what has no name, ids that are there
/// twice or refer to nothing.
pub(crate) const FAULTS: &str = include_str!("faults.js");

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
