//! Counting, rules and the log of events: the page's modules by themselves, and in
//! the page.

use std::sync::mpsc::{Receiver, sync_channel};

use serde_json::json;
use ssdlite_serve::RuleEvent;

use crate::accessibility::FAULTS;
use crate::browser::{DESKTOP, PHONE, Page};
use crate::client::{PATIENCE, wait_until};
use crate::fixtures::{ColorDetector, model, options};

/// A page whose camera shows a green rectangle that stays, and a red one whose
/// middle moves from the left, 18 to 41 hundredths of the width, again and again;
/// and what takes the webhook's events.
fn open((width, height): (u32, u32)) -> Option<(Page, Receiver<RuleEvent>)> {
    let (sender, webhook) = sync_channel(100);
    let mut options = options(vec![model("colors", ColorDetector::new())]);
    options.webhook = Some(sender);
    let mut page = Page::open_with(options)?;
    page.browser.resize(width, height);
    page.watch_camera();
    Some((page, webhook))
}

/// The page as after a reload, with the camera.
fn reload(page: &mut Page) {
    page.reload();
    page.watch_camera();
}

/// Clicks on the image at these shares of it.
fn click_image(page: &mut Page, x: f64, y: f64) {
    let place = page.browser.evaluate(&format!(
        "(() => {{
            const layer = document.querySelector('#shapes-layer');
            layer.scrollIntoView({{ block: 'center', behavior: 'instant' }});
            const [, , width, height] = layer.getAttribute('viewBox').split(' ').map(Number);
            const point = new DOMPoint({x} * width, {y} * height);
            const place = point.matrixTransform(layer.getScreenCTM());
            return [place.x, place.y];
        }})()"
    ));
    for kind in ["mousePressed", "mouseReleased"] {
        let event = json!({
            "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1,
        });
        page.browser.command("Input.dispatchMouseEvent", event);
    }
}

/// Puts a number into a field, as a person who leaves it then.
fn fill(page: &mut Page, selector: &str, value: &str) {
    page.browser.evaluate(&format!(
        "(() => {{
            const field = document.querySelector({selector:?});
            field.value = {value:?};
            field.dispatchEvent(new Event('change'));
        }})()"
    ));
}

/// The numbers of a class in the table of the n-th line or zone.
fn counts(shape: u32, class: &str) -> String {
    format!(
        "[...([...document.querySelectorAll('#shapes > li:nth-child({shape}) tbody tr')]
            .find((row) => row.querySelector('th')?.textContent === '{class}')
            ?.querySelectorAll('td') ?? [])].map((cell) => Number(cell.textContent))"
    )
}

/// Draws a line over which red goes again and again, from the left.
fn draw_line(page: &mut Page) {
    page.browser.click("#add-line");
    // From the bottom to the top, so that the right hand is to the right.
    click_image(page, 0.3, 0.9);
    page.browser
        .wait_until("document.querySelectorAll('#shapes-layer .dot').length === 1");
    click_image(page, 0.3, 0.1);
    page.browser
        .wait_until("document.querySelectorAll('#shapes > li').length === 1");
    page.browser
        .wait_until("document.querySelector('#drawing').hidden");
}

#[test]
fn the_modules_count_as_they_say() {
    let Some((mut page, _webhook)) = open(DESKTOP) else {
        return;
    };
    let script = include_str!("counting.js");
    let script = &script[script.find("async").unwrap()..].trim_end();
    let script = script.trim_end_matches(';');
    let call = format!("({script})({{ from: '/page' }})");
    assert_eq!(page.browser.evaluate(&call), "done");
}

#[test]
fn objects_over_a_line_and_in_a_zone_are_counted_and_told() {
    for window in [DESKTOP, PHONE] {
        let Some((mut page, _webhook)) = open(window) else {
            return;
        };
        let counted = "document.querySelector('#events-count').textContent";
        assert_eq!(page.browser.evaluate(counted), "");
        draw_line(&mut page);
        let red = counts(1, "red");
        page.browser.wait_until(&format!("{red}[0] >= 2"));
        let green = counts(1, "green");
        assert_eq!(page.browser.evaluate(&green), json!([]));
        page.browser
            .wait_until("document.querySelector('#events li img').naturalWidth === 96");
        page.browser.wait_until(
            "document.querySelector('#events li').textContent.includes('went in over Line 1')",
        );

        // A zone without a mouse: it holds green, whose middle is at 75, 75.
        page.browser.click("#add-zone");
        page.browser.click("#drawing-middle");
        page.browser
            .wait_until("document.querySelectorAll('#shapes > li').length === 2");
        let fields = "#shapes > li:nth-child(2) .points li:nth-child";
        for (point, x, y) in [(2, 60, 60), (3, 90, 60), (4, 90, 90), (5, 60, 90)] {
            fill(
                &mut page,
                &format!("{fields}({point}) input:nth-of-type(1)"),
                &x.to_string(),
            );
            fill(
                &mut page,
                &format!("{fields}({point}) input:nth-of-type(2)"),
                &y.to_string(),
            );
        }
        page.browser
            .wait_until(&format!("{}.join() === '1,0,0'", counts(2, "green")));

        // What is hidden is not counted.
        page.browser.click("#classes li:nth-child(2) label");
        page.browser
            .wait_until(&format!("{}.length === 0", counts(2, "green")));
        page.browser.click("#classes li:nth-child(2) label");
        page.browser
            .wait_until(&format!("{}[0] === 1", counts(2, "green")));
        page.browser.click("#add-zone");
        page.browser
            .evaluate("document.querySelector('#rule-more').open = true");
        for scheme in ["light", "dark"] {
            page.browser.prefer_color_scheme(scheme);
            assert_eq!(page.browser.evaluate(FAULTS), json!([]), "{scheme}");
            page.screenshot(&format!("counting-{}-{scheme}.png", window.0));
        }
        page.browser.press("Escape", 27);

        csv_is_saved(&mut page);
        page.check_nothing_went_wrong();

        // Lines and zones stay; counts begin anew.
        reload(&mut page);
        page.browser
            .wait_until("document.querySelectorAll('#shapes > li').length === 2");
        page.browser.wait_until(&format!("{red}[0] >= 1"));
        page.browser
            .click("#shapes > li:nth-child(1) button[aria-label='Turn Line 1 round']");
        page.browser.wait_until(&format!("{red}[1] >= 1"));
        page.browser
            .click("#shapes > li:nth-child(1) button[aria-label^='Remove']");
        page.browser
            .click("#shapes > li:nth-child(1) button[aria-label^='Remove']");
        reload(&mut page);
        let shapes = "document.querySelectorAll('#shapes > li').length";
        assert_eq!(page.browser.evaluate(shapes), 0);
        page.check_nothing_went_wrong();
    }
}

fn csv_is_saved(page: &mut Page) {
    let folder = tempfile::tempdir().unwrap();
    page.browser.save_downloads_in(folder.path());
    page.browser.click("#events-csv");
    let saved = || {
        let path = std::fs::read_dir(folder.path()).unwrap().next()?;
        let text = std::fs::read_to_string(path.unwrap().path()).ok()?;
        (text.ends_with("\r\n")).then_some(text)
    };
    wait_until("the events are saved", || saved().is_some());
    let csv = saved().unwrap();
    let mut lines = csv.lines();
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("time,source,model,event,where")
    );
    let is_expected = |line: &str| line.contains("colors,went in over,Line 1,red,0.9,");
    assert!(lines.any(is_expected), "{csv}");
    page.browser.click("#events-clear");
    page.browser.wait_until("document.querySelector('#events-csv').disabled || document.querySelectorAll('#events li').length < 2");
}

#[test]
fn zones_are_drawn_corner_by_corner_and_slips_are_no_zones() {
    let Some((mut page, _webhook)) = open(DESKTOP) else {
        return;
    };
    page.browser.click("#add-zone");
    for (x, y) in [(0.55, 0.5), (0.95, 0.5), (0.95, 0.95), (0.55, 0.95)] {
        click_image(&mut page, x, y);
    }
    click_image(&mut page, 0.55, 0.5);
    page.browser
        .wait_until("document.querySelectorAll('#shapes > li').length === 1");
    let corners = "document.querySelectorAll('#shapes .points li').length";
    // One line is the heading.
    assert_eq!(page.browser.evaluate(corners), 5);
    page.browser
        .wait_until(&format!("{}[0] === 1", counts(1, "green")));

    // A line of one place is none, and Escape ends the drawing.
    page.browser.click("#add-line");
    click_image(&mut page, 0.2, 0.2);
    click_image(&mut page, 0.2, 0.2);
    page.browser.press("Escape", 27);
    page.browser
        .wait_until("document.querySelector('#drawing').hidden");
    page.browser
        .wait_until("document.activeElement.id === 'add-line'");
    let shapes = "document.querySelectorAll('#shapes > li').length";
    assert_eq!(page.browser.evaluate(shapes), 1);

    // A number that is none is put back, and told.
    fill(&mut page, "#shapes .points li:nth-child(2) input", "120");
    page.browser
        .wait_until("document.querySelector('#note').dataset.kind === 'bad'");
    let value = "document.querySelector('#shapes .points li:nth-child(2) input').value";
    assert_eq!(page.browser.evaluate(value), "55.0");
    page.check_nothing_went_wrong();
}

/// Adds a rule for red with the named box ticked.
fn add_rule(page: &mut Page, boxes: &[&str]) {
    page.browser
        .evaluate("document.querySelector('#rule-more').open = true");
    page.browser
        .evaluate("document.querySelector('#rule-class').value = 'red'");
    fill(page, "#rule-seconds", "0.1");
    fill(page, "#rule-pause", "0");
    for name in boxes {
        page.browser.click(&format!("#rule-{name}"));
    }
    page.browser.click("#rule-add");
}

#[test]
fn a_rule_keeps_frames_and_calls_the_webhook_and_survives_a_reload() {
    let Some((mut page, webhook)) = open(DESKTOP) else {
        return;
    };
    add_rule(&mut page, &["keep", "sound", "webhook"]);
    let event = webhook.recv_timeout(PATIENCE).unwrap();
    assert_eq!(event.rule, "red above 60 % for 0.1 s");
    assert_eq!(
        (event.class.as_str(), event.model.as_str()),
        ("red", "colors")
    );
    assert_eq!((event.width, event.height), (640, 360));
    assert!(event.source.contains("camera"), "{}", event.source);
    assert!(event.track.is_some() && event.score > 0.85);
    let annotations = page.folder.path().join("kept/Annotations");
    wait_until("a frame is kept", || {
        std::fs::read_dir(&annotations).is_ok_and(|entries| entries.count() > 0)
    });
    page.browser
        .wait_until("document.querySelector('#events li').textContent.includes('red above 60 %')");
    page.screenshot("rules-1280.png");
    page.check_nothing_went_wrong();

    reload(&mut page);
    page.browser
        .wait_until("document.querySelectorAll('#rules li').length === 1");
    while webhook.try_recv().is_ok() {}
    webhook.recv_timeout(PATIENCE).unwrap();
    page.browser.click("#rules button");
    reload(&mut page);
    let rules = "document.querySelectorAll('#rules li').length";
    assert_eq!(page.browser.evaluate(rules), 0);
    // Green is never so sure, and nothing else has a rule.
    page.check_nothing_went_wrong();
}

#[test]
fn what_a_browser_has_stored_is_no_trap() {
    let Some((mut page, _webhook)) = open(DESKTOP) else {
        return;
    };
    for stored in [
        "{",
        "7",
        "null",
        "[]",
        r#"{"watched":7,"rules":{"length":9}}"#,
        r#"{"watched":[null,{"source":3}],"rules":[null]}"#,
    ] {
        let set = format!("localStorage.setItem('ssdlite', {stored:?})");
        page.browser.evaluate(&set);
        reload(&mut page);
        let listed = "document.querySelectorAll('#shapes li, #rules li').length";
        assert_eq!(page.browser.evaluate(listed), 0, "{stored}");
        page.check_nothing_went_wrong();
    }
}

/// Gives the second class of each model a long name without a place to break, as it
/// reads the list of models and its frames.
const LONG_NAME: &str = "(() => {
    const long = 'W'.repeat(256);
    const parse = JSON.parse;
    JSON.parse = (text) => parse(text.replaceAll('\"green\"', `\"${long}\"`));
    Response.prototype.json = async function () { return JSON.parse(await this.text()); };
})()";

#[test]
fn the_longest_name_of_a_class_fits_the_window() {
    let Some((mut page, _webhook)) = open(DESKTOP) else {
        return;
    };
    let script = json!({ "source": LONG_NAME });
    page.browser
        .command("Page.addScriptToEvaluateOnNewDocument", script);
    for (width, height) in [DESKTOP, PHONE] {
        page.browser.resize(width, height);
        page.browser.evaluate("localStorage.clear()");
        reload(&mut page);
        page.browser
            .wait_until("document.querySelector('#totals, .counts').textContent.includes('WWWW')");
        page.browser.click("#add-zone");
        page.browser.click("#drawing-middle");
        page.browser.evaluate(
            "document.querySelector('#rule-more').open = true;
             document.querySelector('#rule-class').selectedIndex = 1;
             document.querySelector('#rule-score').value = 10;
             document.querySelector('#rule-form').requestSubmit()",
        );
        page.browser
            .wait_until("document.querySelector('#events li')?.textContent.includes('WWWW')");
        page.check_nothing_overflows();
        let sides = page.browser.evaluate(
            "[...document.querySelectorAll('.panel .card')]
                .every((card) => card.scrollWidth <= card.clientWidth)",
        );
        assert_eq!(sides, true, "{width}");
    }
}

#[test]
fn the_image_stays_in_sight_beside_the_panel() {
    let Some((mut page, _webhook)) = open(DESKTOP) else {
        return;
    };
    page.browser.evaluate("scrollTo(0, 10_000)");
    page.browser.wait_until(
        "scrollY > 100 && document.querySelector('#image').getBoundingClientRect().top >= 0",
    );
}

#[test]
fn what_another_tab_adds_or_removes_is_taken_over() {
    let Some((mut page, _webhook)) = open(DESKTOP) else {
        return;
    };
    draw_line(&mut page);
    // An event of storage is what a tab hears of another's change.
    let change = |page: &mut Page, change: &str| {
        page.browser.evaluate(&format!(
            "(() => {{
                const stored = JSON.parse(localStorage.ssdlite);
                {change};
                localStorage.ssdlite = JSON.stringify(stored);
                dispatchEvent(new StorageEvent('storage', {{ key: 'ssdlite' }}));
            }})()"
        ));
    };
    change(
        &mut page,
        "stored.watched[0].shapes.push({ ...stored.watched[0].shapes[0], id: 2, name: 'Other' });
         stored.rules = [{ id: 1, class: 'blue', score: 0.9, seconds: 1, pause: 1 }]",
    );
    let told = "document.querySelector('#rules li').textContent.includes('no such class')";
    assert_eq!(page.browser.evaluate(told), true);
    add_rule(&mut page, &[]);
    let listed = "['#shapes > li', '#rules > li']
        .map((items) => document.querySelectorAll(items).length).join()";
    assert_eq!(page.browser.evaluate(listed), "2,2");
    let stored = "JSON.parse(localStorage.ssdlite).rules.length";
    assert_eq!(page.browser.evaluate(stored), 2);
    change(
        &mut page,
        "stored.watched = []; stored.rules = stored.rules.slice(1)",
    );
    assert_eq!(page.browser.evaluate(listed), "0,1");
    page.check_nothing_went_wrong();
}
