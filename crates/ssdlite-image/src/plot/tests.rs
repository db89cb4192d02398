//! Laws of layouts: whatever the names and however many, each text lies inside its
//! panel and none on another.

use super::*;
use crate::color::series_color;

const COUNTS: [usize; 7] = [1, 2, 3, 12, 20, 41, 100];

/// Names of all kinds, of which the `index`-th is one of a few.
fn name(index: usize) -> String {
    const LONG: &str = "Erythrozyt mit ungewöhnlich großem Durchmesser";
    match index % 7 {
        0 => format!("cat {index}"),
        1 => format!("{LONG} {index}"),
        2 => format!("日本語の長いクラス名{index}"),
        3 => "W".repeat(200),
        4 => format!("كلب {index}"),
        5 => "🐈‍⬛".repeat(20),
        _ => "i".to_owned(),
    }
}

fn names(count: usize, short: bool) -> Vec<String> {
    let plain = |index| format!("class {index}");
    let name: &dyn Fn(usize) -> String = if short { &plain } else { &name };
    (0..count).map(name).collect()
}

fn bars(names: &[String]) -> BarChart {
    let bars = names.iter().enumerate().map(|(index, name)| Bar {
        name: name.clone(),
        count: (index * index * index) as u64,
        color: series_color(index),
    });
    BarChart {
        title: "Objects to learn from, the rarest class first".into(),
        bars: bars.collect(),
        note: "and 960 more classes with 1 to 12345 objects".into(),
    }
}

fn curves(names: &[String]) -> CurveChart {
    let curves = names.iter().enumerate().map(|(index, name)| Curve {
        name: name.clone(),
        value: "AP 0.123".into(),
        color: series_color(index),
        points: vec![(0.0, 1.0), (1.0, index as f64 / names.len() as f64)],
    });
    CurveChart {
        title: "Precision and recall".into(),
        x_label: "recall".into(),
        y_label: "precision".into(),
        x_range: Some(Range::UNIT),
        y_range: Some(Range::UNIT),
        curves: curves.collect(),
        rest: Some(Rest {
            name: "90 more classes".into(),
            value: "0.31 to 0.88".into(),
            curves: vec![vec![(0.0, 0.5), (0.5, 0.0)]],
        }),
    }
}

fn matrix(names: &[String]) -> MatrixChart {
    let cells = (0..names.len() * names.len()).map(|index| Cell {
        text: index.to_string(),
        note: "100 %".into(),
        shade: 0.5,
    });
    MatrixChart {
        title: "Confusion matrix".into(),
        x_label: "predicted".into(),
        y_label: "true".into(),
        columns: names.to_vec(),
        rows: names.to_vec(),
        cells: cells.collect(),
    }
}

/// Checks the law and returns the texts.
fn texts_of(chart: &dyn Chart, panel: ImageSize) -> Vec<String> {
    let mut image = RgbImage::filled(panel, WHITE);
    let mut canvas = Canvas::new(&mut image);
    draw_on(&mut canvas, chart);
    let texts = canvas.texts;
    for (index, (text, area)) in texts.iter().enumerate() {
        let inside = area.clipped(panel) == *area;
        assert!(inside, "{panel}: `{text}` at {:?}", area.to_array());
        for (other, place) in &texts[..index] {
            let shared = area.intersection(place);
            assert!(shared < 0.01, "{panel}: `{text}` on `{other}` by {shared}");
        }
    }
    texts.into_iter().map(|(text, _)| text).collect()
}

#[test]
fn no_text_lies_on_another_or_outside_its_panel() {
    for count in COUNTS {
        for short in [true, false] {
            let names = names(count, short);
            let (bars, matrix) = (bars(&names), matrix(&names));
            texts_of(&bars, bars.panel());
            texts_of(&bars, PANEL);
            texts_of(&matrix, matrix.panel());
            texts_of(&matrix, PANEL);
            texts_of(&curves(&names), PANEL);
        }
    }
}

#[test]
fn a_panel_that_is_made_for_its_chart_shows_every_name_and_number() {
    for count in [1, 3, 20, 41] {
        let names = names(count, true);
        let (bars, matrix) = (bars(&names), matrix(&names));
        let shown = texts_of(&bars, bars.panel());
        for bar in &bars.bars {
            assert!(shown.contains(&bar.name) && shown.contains(&bar.count.to_string()));
        }
        assert!(shown.contains(&bars.note));
        let shown = texts_of(&matrix, matrix.panel());
        let times = |name: &str| shown.iter().filter(|text| *text == name).count();
        assert!(names.iter().all(|name| times(name) == 2), "{shown:?}");
        assert!(matrix.cells.iter().all(|cell| shown.contains(&cell.text)));
        assert_eq!(times("100 %"), count * count);
    }
}

#[test]
fn a_legend_cuts_names_and_no_values_and_counts_what_has_no_room() {
    let chart = curves(&names(12, false));
    let shown = texts_of(&chart, PANEL);
    let times = |part: &str| shown.iter().filter(|text| text.contains(part)).count();
    assert_eq!((times("AP 0.123"), times("0.31 to 0.88")), (12, 1));
    assert_eq!((times("Erythro"), times("…") >= 3), (2, true), "{shown:?}");
    let shown = texts_of(&curves(&names(100, true)), PANEL);
    let entries = shown
        .iter()
        .filter(|text| text.starts_with("class "))
        .count();
    let more = format!("{} more", 101 - entries);
    assert!(entries > 10 && shown.contains(&more), "{shown:?}");
}
