//! What the page takes from the model, and what it keeps of a person's choices, in
//! a real browser.

use serde_json::json;
use ssdlite_core::ClassId;
use ssdlite_image::color::{color_of_class, text_color_on};
use ssdlite_serve::{Access, Model};

use crate::browser::{Page, colors, moving, objects_are, page_of_moving_square};
use crate::fixtures::{ColorDetector, model, options, png};
use crate::page::{focus, panel_is_open, text_is, title_is};

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
    let Some((mut browser, server, _folder)) = page_of_moving_square() else {
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
