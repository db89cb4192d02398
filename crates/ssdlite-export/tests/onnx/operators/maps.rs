//! Operators on maps, `[images, channels, rows, columns]`.

use crate::engine::Call;
use crate::tensor::{Kind, Tensor};

fn map_shape(tensor: &Tensor) -> [usize; 4] {
    tensor.shape[..].try_into().expect("a map")
}

pub(crate) fn conv(call: &Call<'_>) -> Tensor {
    let (input, weight, bias) = (call.input(0), call.input(1), call.input(2));
    let [images, channels, rows, columns] = map_shape(input);
    let [outputs, of_group, kernel, kernel_columns] = map_shape(weight);
    let groups = call.int("group", 1) as usize;
    assert_eq!(of_group * groups, channels);
    assert_eq!(bias.shape, [outputs]);
    assert_eq!(call.ints("kernel_shape"), [kernel, kernel_columns]);
    let [top, left, bottom, right] = call.ints("pads")[..] else {
        panic!("expected four pads");
    };
    let [down, across] = call.ints("strides")[..] else {
        panic!("expected two strides");
    };
    let made_rows = (rows + top + bottom - kernel) / down + 1;
    let made_columns = (columns + left + right - kernel_columns) / across + 1;
    let mut made = Vec::with_capacity(images * outputs * made_rows * made_columns);
    for image in 0..images {
        for output in 0..outputs {
            let first = output / (outputs / groups) * of_group;
            for row in 0..made_rows {
                for column in 0..made_columns {
                    let mut sum = bias.numbers[output];
                    for channel in 0..of_group {
                        for y in 0..kernel {
                            for x in 0..kernel_columns {
                                let from_row = (row * down + y).checked_sub(top);
                                let from_column = (column * across + x).checked_sub(left);
                                let (Some(r), Some(c)) = (from_row, from_column) else {
                                    continue;
                                };
                                if r >= rows || c >= columns {
                                    continue;
                                }
                                let map = image * channels + first + channel;
                                let weight_at = ((output * of_group + channel) * kernel + y)
                                    * kernel_columns
                                    + x;
                                sum += input.numbers[(map * rows + r) * columns + c]
                                    * weight.numbers[weight_at];
                            }
                        }
                    }
                    made.push(sum);
                }
            }
        }
    }
    Tensor::new(Kind::F32, &[images, outputs, made_rows, made_columns], made)
}

pub(crate) fn average(call: &Call<'_>) -> Tensor {
    let input = call.input(0);
    let [images, channels, rows, columns] = map_shape(input);
    let maps = input.numbers.chunks_exact(rows * columns);
    let means = maps.map(|map| map.iter().sum::<f64>() / map.len() as f64);
    Tensor::new(Kind::F32, &[images, channels, 1, 1], means.collect())
}

/// Whole scales, each cell as often as they say.
pub(crate) fn resize(call: &Call<'_>) -> Tensor {
    assert_eq!(call.text("mode"), "nearest");
    assert_eq!(call.text("coordinate_transformation_mode"), "asymmetric");
    assert_eq!(call.text("nearest_mode"), "floor");
    let (input, scales) = (call.input(0), call.input(2));
    let [1.0, 1.0, down, across] = scales.numbers[..] else {
        panic!("expected scales of rows and columns, found {scales:?}");
    };
    let [images, channels, rows, columns] = map_shape(input);
    let (down, across) = (down as usize, across as usize);
    let mut made = Vec::new();
    for map in input.numbers.chunks_exact(rows * columns) {
        for row in 0..rows * down {
            let row = &map[row / down * columns..][..columns];
            made.extend((0..columns * across).map(|column| row[column / across]));
        }
    }
    let shape = [images, channels, rows * down, columns * across];
    Tensor::new(Kind::F32, &shape, made)
}
