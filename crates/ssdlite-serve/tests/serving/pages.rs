//! The form that asks for the token and the description of the interface, in a
//! real browser.

use std::path::Path;

use serde_json::json;
use ssdlite_serve::Access;

use crate::devtools::{Browser, write_camera_file};
use crate::fixtures::{ColorDetector, Running, model, options, two_objects};

const TOKEN: &str = "a-long-enough-token";

struct Opened {
    browser: Browser,
    server: Running,
    _folder: tempfile::TempDir,
}

fn open() -> Option<Opened> {
    let folder = tempfile::tempdir().unwrap();
    let camera = write_camera_file(folder.path(), &[two_objects()]);
    let browser = Browser::start(&camera)?;
    let mut options = options(vec![model("colors", ColorDetector::new())]);
    options.access = Access::Token(TOKEN.into());
    Some(Opened {
        browser,
        server: Running::start(options),
        _folder: folder,
    })
}

impl Opened {
    fn go_to(&mut self, path: &str) {
        let address = format!("http://localhost:{}{path}", self.server.address.port());
        self.browser.open(&address);
    }

    fn send_token(&mut self, token: &str) {
        let fill = format!("document.querySelector('#token').value = '{token}'");
        self.browser.evaluate(&fill);
        self.browser.click("form button");
    }

    /// Nothing is wider than a phone's window, in light and in dark colours.
    fn check_on_a_phone(&mut self, name: &str) {
        self.browser.resize(390, 844);
        for scheme in ["light", "dark"] {
            self.browser.prefer_color_scheme(scheme);
            let overflow =
                "document.documentElement.scrollWidth - document.documentElement.clientWidth";
            assert_eq!(self.browser.evaluate(overflow), json!(0), "{name}");
            if let Some(folder) = std::env::var_os("SSDLITE_SCREENSHOTS") {
                let file = format!("{name}-390-{scheme}.png");
                self.browser.screenshot(&Path::new(&folder).join(file));
            }
        }
    }
}

#[test]
fn a_person_is_asked_for_the_token_and_told_when_it_is_wrong() {
    let Some(mut opened) = open() else { return };
    opened.go_to("/docs");
    let kind = "document.querySelector('#why')?.dataset.kind";
    assert_eq!(opened.browser.evaluate(kind), json!("needed"));
    let focused = "document.activeElement.labels[0].textContent";
    assert_eq!(opened.browser.evaluate(focused), json!("Token"));
    opened.check_on_a_phone("token");
    opened.send_token("wrong-token");
    opened.browser.wait_until(&format!("{kind} === 'wrong'"));
    opened.check_on_a_phone("token-wrong");
    let left = "document.querySelector('#token').value + location.search + document.cookie";
    assert_eq!(opened.browser.evaluate(left), json!(""));
    opened.send_token(TOKEN);
    opened
        .browser
        .wait_until("document.querySelectorAll('section.card').length > 10");
    let place = "location.pathname + location.search";
    assert_eq!(opened.browser.evaluate(place), json!("/docs"));
}

#[test]
fn the_interface_is_described_with_commands_that_can_be_copied() {
    let Some(mut opened) = open() else { return };
    opened.go_to(&format!("/docs?token={TOKEN}"));
    opened
        .browser
        .wait_until("document.querySelectorAll('section.card').length > 10");
    let text = opened.browser.evaluate("document.body.innerText");
    let text = text.as_str().unwrap();
    let server = format!("http://localhost:{}", opened.server.address.port());
    let command = format!("curl --data-binary @photo.jpg '{server}/v1/detect?score=0.4'");
    for expected in [
        &command,
        "/v1/keep",
        "/v2/models/{name}",
        "max_detections",
        "1 to 10000",
        "429",
        "\"status\": 422",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    for wrong in ["undefined", "[object", "{server}"] {
        assert!(!text.contains(wrong), "{wrong}\n{text}");
    }
    opened.check_on_a_phone("docs");
    assert_eq!(opened.browser.errors(), [""; 0]);
    opened.go_to("/");
    opened.browser.click("footer a");
    opened.browser.wait_until("location.pathname === '/docs'");
}

#[test]
fn who_follows_a_link_of_another_site_is_let_in() {
    let Some(mut opened) = open() else { return };
    let page = format!("http://localhost:{}/", opened.server.address.port());
    for link in [format!("{page}?token={TOKEN}"), page] {
        let site = format!("data:text/html,<a href='{link}'>the page</a>");
        opened.browser.open(&site);
        opened.browser.click("a");
        opened.browser.wait_until(
            "location.pathname + location.search === '/' && document.readyState === 'complete'",
        );
        let asked = "document.querySelector('#why')?.dataset.kind ?? 'let in'";
        assert_eq!(opened.browser.evaluate(asked), json!("let in"), "{link}");
    }
}
