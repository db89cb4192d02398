//! Pages of what is to be shown. Whatever is not written here is escaped by `maud`.

mod compared;
mod curves;
mod evaluated;
mod gallery;
mod picture;
mod table;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};
use ssdlite_core::ClassId;
use ssdlite_image::color::color_of_class;

use crate::pictures::Pictures;
use crate::shown::ShownModel;

pub(crate) use compared::compared;
pub(crate) use evaluated::evaluated;

/// What tells a report's page from others.
pub(crate) const GENERATOR: &str = "ssdlite report";

const STYLE: &str = include_str!("../../page/style.css");
const SCRIPT: &str = include_str!("../../page/report.js");

/// A part of a page.
struct Section {
    id: &'static str,
    title: String,
    body: Markup,
}

/// The whole page. Its pictures come last, so that a browser shows what it has read.
fn page(title: &str, lead: &Markup, sections: &[Section], pictures: &Pictures) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(GENERATOR);
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(policy());
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    (lead)
                    nav aria-label="Sections" {
                        @for section in sections {
                            a href={ "#" (section.id) } { (section.title) }
                        }
                    }
                }
                main {
                    @for section in sections {
                        section #(section.id) aria-label=(section.title) {
                            h2 { (section.title) }
                            (section.body)
                        }
                    }
                }
                (gallery::viewer())
                script { (PreEscaped(SCRIPT)) }
                (picture::store(pictures))
            }
        }
    };
    page.into_string()
}

/// Nothing is loaded but images within the page, and no script runs but the page's own.
fn policy() -> String {
    let script = STANDARD.encode(Sha256::digest(SCRIPT.as_bytes()));
    format!(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
         script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'"
    )
}

/// What there is to know of a model.
fn facts(model: &ShownModel) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in &model.facts {
                div {
                    dt { (name) }
                    dd { (value) }
                }
            }
            div {
                dt { "least score" }
                dd { (model.least_score) }
            }
        }
    }
}

/// A class's colour, the same as in saved pictures, as CSS has it.
fn color(class: ClassId) -> String {
    let [red, green, blue] = color_of_class(class);
    format!("rgb({red} {green} {blue})")
}

/// A share of 0 to 1 with three digits.
fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.3}"))
}

/// A score with two digits.
fn score(value: Option<f32>) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_and_script_end_where_they_should() {
        assert!(!STYLE.contains("</"));
        assert!(!SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
        for loaded in ["http:", "https:", "//", "@import", "url("] {
            assert!(!STYLE.contains(loaded), "{loaded}");
        }
    }

    #[test]
    fn what_is_put_into_a_page_is_text() {
        let section = Section {
            id: "a",
            title: "<b>&\"".into(),
            body: html! { (share(None)) },
        };
        let title = "</title><script>alert(1)</script>";
        let page = page(title, &html! {}, &[section], &Pictures::default());
        assert!(
            !page.contains("<b>") && !page.contains("alert(1)</script>"),
            "{page}"
        );
        assert!(
            page.contains("aria-label=\"&lt;b&gt;&amp;&quot;\""),
            "{page}"
        );
        assert_eq!(page.matches("<script").count(), 1);
    }
}
