//! Charts of any data, however odd, are drawn inside their panel.

mod common;

use common::part_of;
use ssdlite_image::color::series_color;
use ssdlite_image::plot::{
    Bar, BarChart, Cell, Chart, Curve, CurveChart, MatrixChart, PANEL, Range, Rest, ScatterChart,
    sheet,
};
use ssdlite_image::{ImageSize, RgbImage};

const WHITE: [u8; 3] = [255; 3];
const BLUE: [u8; 3] = [25, 105, 215];
const ORANGE: [u8; 3] = [245, 130, 20];

fn count(image: &RgbImage, color: [u8; 3]) -> usize {
    let colors = image.pixels().chunks(3);
    colors.filter(|found| *found == color).count()
}

fn panel_of(chart: &dyn Chart) -> RgbImage {
    sheet(&[chart], 1, PANEL)
}

fn curves(points: &[&[(f64, f64)]]) -> CurveChart {
    CurveChart {
        title: "Loss".into(),
        x_label: "epoch".into(),
        y_label: "loss".into(),
        x_range: None,
        y_range: None,
        curves: (0..)
            .zip(points)
            .map(|(index, points)| Curve {
                name: format!("curve {index}"),
                value: String::new(),
                color: series_color(index),
                points: points.to_vec(),
            })
            .collect(),
        rest: None,
    }
}

fn bars(counts: &[u64]) -> BarChart {
    BarChart {
        title: "Objects".into(),
        bars: (0..)
            .zip(counts)
            .map(|(index, &count)| Bar {
                name: format!("class {index}"),
                count,
                color: series_color(index),
            })
            .collect(),
        note: String::new(),
    }
}

fn matrix(side: usize) -> MatrixChart {
    let names: Vec<String> = (0..side).map(|index| format!("class {index}")).collect();
    MatrixChart {
        title: "Confusion".into(),
        x_label: "true".into(),
        y_label: "predicted".into(),
        columns: names.clone(),
        rows: names,
        cells: (0..side * side)
            .map(|index| Cell {
                text: index.to_string(),
                note: "7 %".into(),
                shade: index as f32 / (side * side) as f32,
            })
            .collect(),
    }
}

fn scatter(points: &[(f64, f64)]) -> ScatterChart {
    ScatterChart {
        title: "Boxes".into(),
        x_label: "width".into(),
        y_label: "height".into(),
        x_range: Range::UNIT,
        y_range: Range::UNIT,
        points: points.to_vec(),
    }
}

#[test]
fn each_curve_has_its_colour_and_its_place() {
    let chart = curves(&[&[(0.0, 0.0), (10.0, 0.0)], &[(0.0, 5.0), (10.0, 5.0)]]);
    let image = panel_of(&chart);
    let rows_of = |color: [u8; 3]| -> Vec<u32> {
        (0..PANEL.height)
            .filter(|&y| (0..PANEL.width / 2).any(|x| image.pixel(x, y) == Some(color)))
            .collect()
    };
    let (blue, orange) = (rows_of(BLUE), rows_of(ORANGE));
    assert!(!blue.is_empty() && !orange.is_empty());
    assert!(orange.iter().max() < blue.iter().min());
}

#[test]
fn higher_counts_have_longer_bars() {
    let image = panel_of(&bars(&[100, 25]));
    let (blue, orange) = (count(&image, BLUE), count(&image, ORANGE));
    assert!((3.8..4.2).contains(&(blue as f64 / orange as f64)));
}

#[test]
fn darker_cells_are_darker() {
    let chart = matrix(3);
    let image = sheet(&[&chart], 1, chart.panel());
    let (width, height) = (image.width(), image.height());
    let first = image.pixel(width / 4, height / 6).unwrap();
    let last = image.pixel(width * 11 / 12, height * 7 / 10).unwrap();
    assert!(last[0] + 80 < first[0], "{first:?} {last:?}");
}

#[test]
fn odd_data_are_drawn_without_a_panic_and_inside_their_panel() {
    const ODD: [f64; 9] = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        -0.0,
        1e-300,
        7.0,
    ];
    let pairs: Vec<(f64, f64)> = ODD.iter().flat_map(|&x| ODD.map(|y| (x, y))).collect();
    let single = [(3.0, 3.0)];
    let many: Vec<&[(f64, f64)]> = vec![&single; 200];
    let mut ranged = curves(&[&pairs, &single]);
    ranged.y_range = Some(Range::UNIT);
    let mut with_rest = curves(&[&single]);
    with_rest.rest = Some(Rest {
        name: "the others".into(),
        value: "-".into(),
        curves: vec![pairs.clone(), Vec::new()],
    });
    let mut charts: Vec<Box<dyn Chart>> = vec![
        Box::new(curves(&[])),
        Box::new(curves(&[&[]])),
        Box::new(curves(&[&single])),
        Box::new(curves(&many)),
        Box::new(ranged),
        Box::new(with_rest),
        Box::new(bars(&[])),
        Box::new(bars(&[0, 1, u64::MAX])),
        Box::new(bars(&[0; 500])),
        Box::new(matrix(0)),
        Box::new(matrix(1)),
        Box::new(matrix(150)),
        Box::new(scatter(&[])),
        Box::new(scatter(&pairs)),
    ];
    for &(x, y) in &pairs {
        charts.push(Box::new(curves(&[&[(x, y), (1.0, 2.0)]])));
    }
    for size in [PANEL, ImageSize::new(97, 61), ImageSize::new(1, 1)] {
        for chart in &charts {
            let empty = scatter(&[]);
            let row = sheet(&[&empty, chart.as_ref(), &empty], 3, size);
            let alone = sheet(&[&empty], 1, size);
            for column in [0, 2] {
                let panel = part_of(&row, (column * size.width, 0), size);
                assert!(panel == alone, "{} beside its panel", chart.title());
            }
        }
    }
}

#[test]
fn panels_are_laid_out_in_rows() {
    let (full, empty) = (bars(&[1]), bars(&[]));
    let image = sheet(&[&full, &empty, &full], 2, PANEL);
    assert_eq!(
        image.size(),
        ImageSize::new(2 * PANEL.width, 2 * PANEL.height)
    );
    let blank = part_of(&image, (PANEL.width, PANEL.height), PANEL);
    assert_eq!(count(&blank, WHITE), PANEL.pixels() as usize);
    let third = part_of(&image, (0, PANEL.height), PANEL);
    assert_eq!(third, panel_of(&full));
}
