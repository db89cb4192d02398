//! Counting, rules and the log of events: the page's modules by themselves, and in
//! the page.

use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use serde_json::json;
use ssdlite_serve::RuleEvent;
use tempfile::TempDir;

use crate::browser::{DESKTOP, IS_READY, PHONE, moving};
use crate::client::{PATIENCE, wait_until};
use crate::devtools::{Browser, write_camera_file};
use crate::fixtures::{ColorDetector, Running, model, options};

/// A page whose camera shows a green rectangle that stays, and a red one whose
/// middle moves from the left, 18 to 41 hundredths of the width, again and again.
struct Watched {
    browser: Browser,
    server: Running,
    folder: TempDir,
    webhook: Receiver<RuleEvent>,
}

impl Watched {
    fn open((width, height): (u32, u32)) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let frames: Vec<_> = (0..20).map(moving).collect();
        let camera = write_camera_file(folder.path(), &frames);
        let mut browser = Browser::start(&camera)?;
        browser.resize(width, height);
        let (sender, webhook) = sync_channel(100);
        let mut options = options(vec![model("colors", ColorDetector::new())]);
        options.keep = Some(folder.path().join("kept"));
        options.webhook = Some(sender);
        let server = Running::start(options);
        let mut watched = Self {
            browser,
            server,
            folder,
            webhook,
        };
        watched.reload();
        Some(watched)
    }

    fn reload(&mut self) {
        let address = format!("http://localhost:{}/", self.server.address.port());
        self.browser.open(&address);
        self.browser.wait_until(IS_READY);
        self.browser.click("#start-camera");
        self.wait_for("Number(document.querySelector('#objects').textContent) === 2");
    }

    fn wait_for(&mut self, expression: &str) {
        self.browser.wait_until(expression);
    }

    /// Clicks on the image at these shares of it.
    fn click_image(&mut self, x: f64, y: f64) {
        let place = self.browser.evaluate(&format!(
            "(() => {{
                const layer = document.querySelector('#shapes-layer');
                layer.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                const [, , width, height] = layer.getAttribute('viewBox').split(' ').map(Number);
                const point = new DOMPoint({x} * width, {y} * height);
                const {{ x, y }} = point.matrixTransform(layer.getScreenCTM());
                return [x, y];
            }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1,
            });
            self.browser.command("Input.dispatchMouseEvent", event);
        }
    }

    /// Types a number into a field, as a person who leaves it then.
    fn fill(&mut self, selector: &str, value: &str) {
        self.browser.evaluate(&format!(
            "(() => {{
                const field = document.querySelector({selector:?});
                field.value = {value:?};
                field.dispatchEvent(new Event('change'));
            }})()"
        ));
    }

    fn check_nothing_went_wrong(&mut self) {
        assert_eq!(self.browser.errors(), [""; 0]);
        let overflow =
            "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(self.browser.evaluate(overflow), json!(0));
    }

    fn screenshot(&mut self, name: &str) {
        if let Some(folder) = std::env::var_os("SSDLITE_SCREENSHOTS") {
            self.browser.screenshot(&Path::new(&folder).join(name));
        }
    }
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
fn draw_line(page: &mut Watched) {
    page.browser.click("#add-line");
    // From the bottom to the top, so that the right hand is to the right.
    page.click_image(0.3, 0.9);
    page.wait_for("document.querySelectorAll('#shapes-layer .dot').length === 1");
    page.click_image(0.3, 0.1);
    page.wait_for("document.querySelectorAll('#shapes > li').length === 1");
    page.wait_for("document.querySelector('#drawing').hidden");
}

#[test]
fn the_modules_count_as_they_say() {
    let Some(mut page) = Watched::open(DESKTOP) else {
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
        let Some(mut page) = Watched::open(window) else {
            return;
        };
        draw_line(&mut page);
        let red = counts(1, "red");
        page.wait_for(&format!("{red}[0] >= 2"));
        let green = counts(1, "green");
        assert_eq!(page.browser.evaluate(&green), json!([]));
        page.wait_for("document.querySelector('#events li img').naturalWidth === 96");
        page.wait_for(
            "document.querySelector('#events li').textContent.includes('went in over Line 1')",
        );

        // A zone without a mouse: it holds green, whose middle is at 75, 75.
        page.browser.click("#add-zone");
        page.browser.click("#drawing-middle");
        page.wait_for("document.querySelectorAll('#shapes > li').length === 2");
        let fields = "#shapes > li:nth-child(2) .points li:nth-child";
        for (point, x, y) in [(2, 60, 60), (3, 90, 60), (4, 90, 90), (5, 60, 90)] {
            page.fill(
                &format!("{fields}({point}) input:nth-of-type(1)"),
                &x.to_string(),
            );
            page.fill(
                &format!("{fields}({point}) input:nth-of-type(2)"),
                &y.to_string(),
            );
        }
        page.wait_for(&format!("{}.join() === '1,0,0'", counts(2, "green")));

        // What is hidden is not counted.
        page.browser.click("#classes li:nth-child(2) label");
        page.wait_for(&format!("{}.length === 0", counts(2, "green")));
        page.browser.click("#classes li:nth-child(2) label");
        page.wait_for(&format!("{}[0] === 1", counts(2, "green")));
        page.screenshot(&format!("counting-{}.png", window.0));

        csv_is_saved(&mut page);
        page.check_nothing_went_wrong();

        // Lines and zones stay; counts begin anew.
        page.reload();
        page.wait_for("document.querySelectorAll('#shapes > li').length === 2");
        page.wait_for(&format!("{red}[0] >= 1"));
        page.browser
            .click("#shapes > li:nth-child(1) button[aria-label='Turn Line 1 round']");
        page.wait_for(&format!("{red}[1] >= 1"));
        page.browser
            .click("#shapes > li:nth-child(1) button[aria-label^='Remove']");
        page.browser
            .click("#shapes > li:nth-child(1) button[aria-label^='Remove']");
        page.reload();
        let shapes = "document.querySelectorAll('#shapes > li').length";
        assert_eq!(page.browser.evaluate(shapes), 0);
        page.check_nothing_went_wrong();
    }
}

fn csv_is_saved(page: &mut Watched) {
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
    let line = lines.next().unwrap();
    assert!(
        line.contains("colors,went in over,Line 1,red,0.9,"),
        "{line}"
    );
    page.browser.click("#events-clear");
    page.wait_for("document.querySelector('#events-csv').disabled || document.querySelectorAll('#events li').length < 2");
}

#[test]
fn zones_are_drawn_corner_by_corner_and_slips_are_no_zones() {
    let Some(mut page) = Watched::open(DESKTOP) else {
        return;
    };
    page.browser.click("#add-zone");
    for (x, y) in [(0.55, 0.5), (0.95, 0.5), (0.95, 0.95), (0.55, 0.95)] {
        page.click_image(x, y);
    }
    page.click_image(0.55, 0.5);
    page.wait_for("document.querySelectorAll('#shapes > li').length === 1");
    let corners = "document.querySelectorAll('#shapes .points li').length";
    // One line is the heading.
    assert_eq!(page.browser.evaluate(corners), 5);
    page.wait_for(&format!("{}[0] === 1", counts(1, "green")));

    // A line of one place is none, and Escape ends the drawing.
    page.browser.click("#add-line");
    page.click_image(0.2, 0.2);
    page.click_image(0.2, 0.2);
    page.browser.press("Escape", 27);
    page.wait_for("document.querySelector('#drawing').hidden");
    page.wait_for("document.activeElement.id === 'add-line'");
    let shapes = "document.querySelectorAll('#shapes > li').length";
    assert_eq!(page.browser.evaluate(shapes), 1);

    // A number that is none is put back, and told.
    page.fill("#shapes .points li:nth-child(2) input", "120");
    page.wait_for("document.querySelector('#note').dataset.kind === 'bad'");
    let value = "document.querySelector('#shapes .points li:nth-child(2) input').value";
    assert_eq!(page.browser.evaluate(value), "55.0");
    page.check_nothing_went_wrong();
}

/// Adds a rule for red with the named box ticked.
fn add_rule(page: &mut Watched, boxes: &[&str]) {
    page.browser
        .evaluate("document.querySelector('#rule-more').open = true");
    page.browser
        .evaluate("document.querySelector('#rule-class').value = 'red'");
    page.fill("#rule-seconds", "0.1");
    page.fill("#rule-pause", "0");
    for name in boxes {
        page.browser.click(&format!("#rule-{name}"));
    }
    page.browser.click("#rule-add");
}

#[test]
fn a_rule_keeps_frames_and_calls_the_webhook_and_survives_a_reload() {
    let Some(mut page) = Watched::open(DESKTOP) else {
        return;
    };
    add_rule(&mut page, &["keep", "sound", "webhook"]);
    let event = page.webhook.recv_timeout(PATIENCE).unwrap();
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
    page.wait_for("document.querySelector('#events li').textContent.includes('red above 60 %')");
    page.screenshot("rules-1280.png");
    page.check_nothing_went_wrong();

    page.reload();
    page.wait_for("document.querySelectorAll('#rules li').length === 1");
    while page.webhook.try_recv().is_ok() {}
    page.webhook.recv_timeout(PATIENCE).unwrap();
    page.browser.click("#rules button");
    page.reload();
    let rules = "document.querySelectorAll('#rules li').length";
    assert_eq!(page.browser.evaluate(rules), 0);
    // Green is never so sure, and nothing else has a rule.
    page.check_nothing_went_wrong();
}

#[test]
fn what_a_browser_has_stored_is_no_trap() {
    let Some(mut page) = Watched::open(DESKTOP) else {
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
        page.reload();
        let listed = "document.querySelectorAll('#shapes li, #rules li').length";
        assert_eq!(page.browser.evaluate(listed), 0, "{stored}");
        page.check_nothing_went_wrong();
    }
}
