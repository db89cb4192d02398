//! Tables, which scroll by themselves where they are wider than the window.

use maud::{Markup, Render, html};

/// A table that its label names. The first cell of each row names the row.
pub(super) fn table(label: &str, headings: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table {
                thead {
                    tr {
                        @for heading in headings {
                            th scope="col" { (heading) }
                        }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            @for (column, cell) in row.iter().enumerate() {
                                @if column == 0 {
                                    th scope="row" { (cell) }
                                } @else {
                                    td { (cell) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What is in a cell.
pub(super) fn cell(value: impl Render) -> Markup {
    html! { (value) }
}
