//! Non-maximum suppression.

use crate::engine::Call;
use crate::tensor::{Kind, Tensor};

/// Rows of image, class and box, each class by falling score.
pub(crate) fn suppress(call: &Call<'_>) -> Tensor {
    assert_eq!(call.int("center_point_box", 1), 0);
    let (boxes, scores) = (call.input(0), call.input(1));
    let most = call.input(2).extents()[0];
    let (max_iou, threshold) = (call.input(3).scalar(), call.input(4).scalar());
    let [images, classes, count] = scores.shape[..] else {
        panic!("expected scores of images, classes and boxes");
    };
    assert_eq!(boxes.shape, [images, count, 4]);
    let mut kept = Vec::new();
    for image in 0..images {
        let corners = |index: usize| {
            let start = (image * count + index) * 4;
            &boxes.numbers[start..start + 4]
        };
        for class in 0..classes {
            let scores = &scores.numbers[(image * classes + class) * count..][..count];
            let mut order: Vec<usize> = (0..count).filter(|&i| scores[i] > threshold).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
            let mut chosen: Vec<usize> = Vec::new();
            for index in order {
                if chosen.len() == most {
                    break;
                }
                let overlaps = |&other: &usize| iou(corners(index), corners(other)) > max_iou;
                if !chosen.iter().any(overlaps) {
                    chosen.push(index);
                    kept.extend([image, class, index].map(|number| number as f64));
                }
            }
        }
    }
    let shape = [kept.len() / 3, 3];
    Tensor::new(Kind::I64, &shape, kept)
}

fn iou(one: &[f64], two: &[f64]) -> f64 {
    let area = |corners: &[f64]| (corners[2] - corners[0]) * (corners[3] - corners[1]);
    let shared = |axis: usize| {
        let end = one[axis + 2].min(two[axis + 2]);
        (end - one[axis].max(two[axis])).max(0.0)
    };
    let both = shared(0) * shared(1);
    both / (area(one) + area(two) - both)
}
