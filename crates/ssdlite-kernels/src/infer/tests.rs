//! Every kernel against its plain definition, on every instruction set and
//! several numbers of threads, at sizes that leave remainders everywhere.

mod misuse;

use std::num::NonZeroUsize;

use super::*;
use crate::activation::Activation;
use crate::isa::Isa;
use crate::pool::Pool;
use crate::reference::activate;
use crate::testing::Numbers;

/// Largest difference to the definition in `f64`, relative to the largest
/// number: sums of up to a thousand products.
const TOLERANCE: f64 = 2e-5;

/// A map in `[channel][row][column]` order.
#[derive(Clone)]
struct Plain {
    shape: MapShape,
    numbers: Vec<f64>,
}

impl Plain {
    fn zeros(channels: usize, height: usize, width: usize) -> Self {
        let shape = MapShape {
            channels,
            height,
            width,
            padding: 0,
        };
        Self {
            shape,
            numbers: vec![0.0; channels * height * width],
        }
    }

    fn random(numbers: &mut Numbers, channels: usize, height: usize, width: usize) -> Self {
        let mut map = Self::zeros(channels, height, width);
        let random = numbers.take(map.numbers.len());
        map.numbers = random.into_iter().map(f64::from).collect();
        map
    }

    fn index(&self, c: usize, y: usize, x: usize) -> usize {
        (c * self.shape.height + y) * self.shape.width + x
    }

    /// Zero outside.
    fn get(&self, c: usize, y: isize, x: isize) -> f64 {
        let inside = (0..self.shape.height as isize).contains(&y)
            && (0..self.shape.width as isize).contains(&x);
        if inside {
            self.numbers[self.index(c, y as usize, x as usize)]
        } else {
            0.0
        }
    }

    fn blocked(&self, padding: usize) -> (MapShape, Vec<Block>) {
        let shape = MapShape {
            padding,
            ..self.shape
        };
        let row = shape.width + 2 * padding;
        let mut cells = vec![Block::ZERO; shape.len()];
        for c in 0..shape.channels {
            for y in 0..shape.height {
                for x in 0..shape.width {
                    let cell = (c / BLOCK * shape.height + y) * row + padding + x;
                    cells[cell].0[c % BLOCK] = self.numbers[self.index(c, y, x)] as f32;
                }
            }
        }
        (shape, cells)
    }

    fn pointwise(&self, weights: &[f32], bias: &[f32], activation: Activation) -> Self {
        let MapShape {
            channels,
            height,
            width,
            ..
        } = self.shape;
        let mut out = Self::zeros(bias.len(), height, width);
        for (o, bias) in bias.iter().enumerate() {
            for pixel in 0..height * width {
                let products = (0..channels).map(|c| {
                    f64::from(weights[o * channels + c]) * self.numbers[c * height * width + pixel]
                });
                let sum = f64::from(*bias) + products.sum::<f64>();
                out.numbers[o * height * width + pixel] = activate(activation, sum);
            }
        }
        out
    }

    fn depthwise(&self, weights: &[f32], bias: &[f32], k: usize, stride: usize) -> Self {
        let MapShape {
            channels,
            height,
            width,
            ..
        } = self.shape;
        let mut out = Self::zeros(channels, height.div_ceil(stride), width.div_ceil(stride));
        for c in 0..channels {
            for y in 0..out.shape.height {
                for x in 0..out.shape.width {
                    let mut sum = f64::from(bias[c]);
                    for ky in 0..k {
                        for kx in 0..k {
                            let row = (y * stride + ky) as isize - (k / 2) as isize;
                            let column = (x * stride + kx) as isize - (k / 2) as isize;
                            let weight = f64::from(weights[(c * k + ky) * k + kx]);
                            sum += weight * self.get(c, row, column);
                        }
                    }
                    let at = out.index(c, y, x);
                    out.numbers[at] = sum;
                }
            }
        }
        out
    }

    fn map(mut self, f: impl Fn(f64) -> f64) -> Self {
        for x in &mut self.numbers {
            *x = f(*x);
        }
        self
    }

    fn plus(mut self, other: &Self) -> Self {
        for (x, y) in self.numbers.iter_mut().zip(&other.numbers) {
            *x += y;
        }
        self
    }

    fn sums(&self) -> Vec<f64> {
        let channels = self.numbers.chunks(self.shape.pixels());
        channels.map(|channel| channel.iter().sum()).collect()
    }
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1.0_f64, |top, x| top.max(x.abs()));
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs() / largest;
        assert!(error < TOLERANCE, "{what}: {i}: {found}, not {expected}");
    }
}

/// Channels beyond the last, and padding, are zero.
#[track_caller]
fn assert_clean(shape: MapShape, cells: &[Block], what: &str) {
    let row = shape.width + 2 * shape.padding;
    for (i, cell) in cells.iter().enumerate() {
        let column = i % row;
        let in_map = (shape.padding..shape.padding + shape.width).contains(&column);
        let block = i / row / shape.height;
        for (lane, &x) in cell.0.iter().enumerate() {
            if !in_map || block * BLOCK + lane >= shape.channels {
                assert_eq!(x, 0.0, "{what}: cell {i}, lane {lane}");
            }
        }
    }
}

/// Runs a test with every instruction set and 1 to 3 threads, with few parts and with
/// many, and checks that the number of threads and parts changes no bit.
fn everywhere(run: impl Fn(Context<'_>, &str) -> Vec<f32>) {
    for isa in Isa::available() {
        let mut first: Option<Vec<f32>> = None;
        for (threads, many_parts) in [(1, false), (2, false), (3, false), (2, true), (3, true)] {
            let threads = NonZeroUsize::new(threads).expect("not zero");
            let pool = Pool::new(threads).expect("threads start");
            if many_parts {
                pool.be_uneven();
            }
            let context = Context { isa, pool: &pool };
            let out = run(context, &format!("{isa}, {threads} threads"));
            match &first {
                None => first = Some(out),
                Some(first) => assert!(*first == out, "{isa}: {threads} threads differ"),
            }
        }
    }
}

/// A buffer full of what nobody should read.
fn dirty(len: usize) -> Vec<Block> {
    vec![Block([f32::NAN; BLOCK]); len]
}

/// In and out channels, height, width, padding of the output.
const POINTWISE_SHAPES: [[usize; 5]; 8] = [
    [1, 1, 1, 1, 0],
    [5, 7, 3, 11, 1],
    [16, 64, 5, 29, 0],
    [24, 72, 13, 7, 2],
    [40, 120, 31, 23, 0],
    [88, 24, 2, 3, 0],
    [17, 33, 40, 43, 1],
    [300, 41, 7, 7, 0],
];

#[test]
fn pointwise_agrees_with_its_definition() {
    let mut numbers = Numbers::new(1);
    for [inputs, outputs, height, width, padding] in POINTWISE_SHAPES {
        let map = Plain::random(&mut numbers, inputs, height, width);
        let weights = numbers.take(inputs * outputs);
        let bias = numbers.take(outputs);
        for activation in Activation::ALL {
            let expected = map.pointwise(&weights, &bias, activation);
            let layer = Pointwise::new(&weights, &bias, activation);
            for in_padding in [0, 2] {
                let (shape, cells) = map.blocked(in_padding);
                let out_shape = MapShape {
                    padding,
                    ..expected.shape
                };
                everywhere(|context, what| {
                    let mut out = dirty(out_shape.len());
                    let input = Input::Map(MapRef::new(shape, &cells));
                    let output = Output::Map(MapMut::new(out_shape, &mut out));
                    pointwise(context, &layer, input, None, output, &mut []);
                    assert_clean(out_shape, &out, what);
                    let found = out_shape.unblocked(&out);
                    assert_close(&found, &expected.numbers, what);
                    found
                });
            }
        }
    }
}

#[test]
fn scales_and_residuals_and_rows_agree_with_their_definition() {
    let mut numbers = Numbers::new(2);
    for [inputs, outputs, height, width, _] in POINTWISE_SHAPES {
        let map = Plain::random(&mut numbers, inputs, height, width);
        let other = Plain::random(&mut numbers, outputs, height, width);
        let weights = numbers.take(inputs * outputs);
        let bias = numbers.take(outputs);
        let scale = numbers.take(inputs);
        let scaled: Vec<f32> = weights
            .chunks(inputs)
            .flat_map(|row| row.iter().zip(&scale).map(|(w, s)| w * s))
            .collect();
        let layer = Pointwise::new(&weights, &bias, Activation::None);
        let unscaled = map.pointwise(&weights, &bias, Activation::None);
        let expected = map.pointwise(&scaled, &bias, Activation::None).plus(&other);
        let (shape, cells) = map.blocked(0);
        let (out_shape, others) = other.blocked(0);
        let scale = packed::blocked(&scale);
        everywhere(|context, what| {
            let mut cells = cells.clone();
            let mut out = dirty(out_shape.len());
            let mut scratch = dirty(pointwise_scratch(context, &layer));
            let input = Input::Scaled {
                map: MapMut::new(shape, &mut cells),
                scale: &scale,
            };
            let residual = Some(MapRef::new(out_shape, &others));
            let output = Output::Map(MapMut::new(out_shape, &mut out));
            pointwise(context, &layer, input, residual, output, &mut scratch);
            let found = out_shape.unblocked(&out);
            assert_close(&found, &expected.numbers, what);
            found
        });
        everywhere(|context, what| {
            let mut rows = vec![f32::NAN; outputs * height * width];
            let input = Input::Map(MapRef::new(shape, &cells));
            pointwise(
                context,
                &layer,
                input,
                None,
                Output::Rows(&mut rows),
                &mut [],
            );
            let pixels = height * width;
            let by_channel: Vec<f32> = (0..outputs * pixels)
                .map(|i| rows[i % pixels * outputs + i / pixels])
                .collect();
            assert_close(&by_channel, &unscaled.numbers, what);
            rows
        });
    }
}

/// Channels, height, width of what a depthwise convolution reads.
const DEPTHWISE_SHAPES: [[usize; 3]; 7] = [
    [1, 1, 1],
    [8, 2, 3],
    [24, 7, 10],
    [40, 13, 19],
    [72, 33, 37],
    [16, 80, 9],
    [120, 5, 5],
];

#[test]
fn depthwise_agrees_with_its_definition() {
    let mut numbers = Numbers::new(3);
    for [channels, height, width] in DEPTHWISE_SHAPES {
        let map = Plain::random(&mut numbers, channels, height, width);
        for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
            let weights = numbers.take(channels * kernel * kernel);
            let bias = numbers.take(channels);
            for activation in Activation::ALL {
                let expected = map.depthwise(&weights, &bias, kernel, stride);
                let expected = expected.map(|x| activate(activation, x));
                let layer = Depthwise::new(&weights, &bias, kernel, stride, activation);
                let (shape, cells) = map.blocked(2);
                let out_shape = MapShape {
                    padding: 1,
                    ..expected.shape
                };
                everywhere(|context, what| {
                    let len = separable_scratch(context, SourceKind::Map, &layer, None, shape);
                    let mut scratch = dirty(len);
                    let mut out = dirty(out_shape.len());
                    let mut sums = dirty(out_shape.blocks());
                    let layers = Separable {
                        source: Source::Map(MapRef::new(shape, &cells)),
                        depthwise: &layer,
                        epilogue: Epilogue::Depthwise {
                            output: MapMut::new(out_shape, &mut out),
                            sums: Some(&mut sums),
                        },
                    };
                    separable(context, layers, &mut scratch);
                    assert_clean(out_shape, &out, what);
                    let mut found = out_shape.unblocked(&out);
                    assert_close(&found, &expected.numbers, what);
                    let sums = sums.iter().flat_map(|block| block.0).take(channels);
                    let sums: Vec<f32> = sums.collect();
                    assert_close(&sums, &expected.sums(), what);
                    found.extend(sums);
                    found
                });
            }
        }
    }
}

/// Channels in, expanded and out, height, width.
const BOTTLENECK_SHAPES: [[usize; 5]; 6] = [
    [8, 24, 8, 3, 5],
    [24, 72, 24, 35, 21],
    [17, 40, 17, 20, 20],
    [40, 120, 48, 9, 14],
    [16, 200, 24, 10, 10],
    [3, 19, 5, 1, 7],
];

#[test]
fn bottlenecks_agree_with_their_definition() {
    let mut numbers = Numbers::new(4);
    for [inputs, expanded, outputs, height, width] in BOTTLENECK_SHAPES {
        let map = Plain::random(&mut numbers, inputs, height, width);
        let expand_weights = numbers.take(inputs * expanded);
        let project_weights = numbers.take(expanded * outputs);
        let (expand_bias, bias) = (numbers.take(expanded), numbers.take(expanded));
        let project_bias = numbers.take(outputs);
        let wide = map.pointwise(&expand_weights, &expand_bias, Activation::HardSwish);
        let expand = Pointwise::new(&expand_weights, &expand_bias, Activation::HardSwish);
        let project = Pointwise::new(&project_weights, &project_bias, Activation::None);
        for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
            let weights = numbers.take(expanded * kernel * kernel);
            let layer = Depthwise::new(&weights, &bias, kernel, stride, Activation::Relu6);
            let middle = wide.depthwise(&weights, &bias, kernel, stride);
            let middle = middle.map(|x| activate(Activation::Relu6, x));
            let mut expected = middle.pointwise(&project_weights, &project_bias, Activation::None);
            let mut residual = Residual::None;
            if stride == 1 && inputs == outputs {
                expected = expected.plus(&map);
                residual = Residual::Input;
            }
            for (in_padding, out_padding) in [(0, 0), (1, 2)] {
                let (shape, cells) = map.blocked(in_padding);
                let out_shape = MapShape {
                    padding: out_padding,
                    ..expected.shape
                };
                let source = Source::Expanded {
                    layer: &expand,
                    input: MapRef::new(shape, &cells),
                };
                let kind = SourceKind::Expanded {
                    in_channels: inputs,
                };
                everywhere(|context, what| {
                    let len = separable_scratch(context, kind, &layer, Some(&project), wide.shape);
                    let mut scratch = dirty(len);
                    let mut out = dirty(out_shape.len());
                    let layers = Separable {
                        source,
                        depthwise: &layer,
                        epilogue: Epilogue::Project {
                            layer: &project,
                            residual,
                            output: Output::Map(MapMut::new(out_shape, &mut out)),
                        },
                    };
                    separable(context, layers, &mut scratch);
                    assert_clean(out_shape, &out, what);
                    let found = out_shape.unblocked(&out);
                    assert_close(&found, &expected.numbers, what);
                    found
                });
                everywhere(|context, what| {
                    let len = separable_scratch(context, kind, &layer, None, wide.shape);
                    let mut scratch = dirty(len);
                    let mut out = dirty(middle.shape.len());
                    let layers = Separable {
                        source,
                        depthwise: &layer,
                        epilogue: Epilogue::Depthwise {
                            output: MapMut::new(middle.shape, &mut out),
                            sums: None,
                        },
                    };
                    separable(context, layers, &mut scratch);
                    let found = middle.shape.unblocked(&out);
                    assert_close(&found, &middle.numbers, what);
                    found
                });
            }
        }
    }
}

#[test]
fn stem_agrees_with_its_definition() {
    let mut numbers = Numbers::new(5);
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    for (channels, height, width) in [(16, 33, 47), (8, 7, 5), (24, 64, 80), (16, 1, 2)] {
        let random = numbers.take(height * width * 3);
        let bytes: Vec<u8> = random.iter().map(|x| (x * 127.0 + 128.0) as u8).collect();
        let mut image = Plain::zeros(3, height, width);
        for (i, &byte) in bytes.iter().enumerate() {
            let (pixel, color) = (i / 3, i % 3);
            let value = f64::from(byte) / 255.0 - f64::from(mean[color]);
            image.numbers[color * height * width + pixel] = value / f64::from(std[color]);
        }
        let weights = numbers.take(channels * 27);
        let bias = numbers.take(channels);
        let mut wide = Plain::zeros(channels, height.div_ceil(2), width.div_ceil(2));
        for (o, weights) in weights.chunks(27).enumerate() {
            for color in 0..3 {
                let one = Plain {
                    shape: MapShape {
                        channels: 1,
                        ..image.shape
                    },
                    numbers: image.numbers[color * height * width..][..height * width].to_vec(),
                };
                let bias = if color == 0 { bias[o] } else { 0.0 };
                let part = one.depthwise(&weights[color * 9..][..9], &[bias], 3, 2);
                let pixels = part.numbers.len();
                let out = &mut wide.numbers[o * pixels..][..pixels];
                for (x, y) in out.iter_mut().zip(part.numbers) {
                    *x += y;
                }
            }
        }
        let wide = wide.map(|x| activate(Activation::HardSwish, x));
        let stem = Stem::new(&weights, &bias, mean, std, Activation::HardSwish);
        let taps = numbers.take(channels * 9);
        let zeros = vec![0.0; channels];
        let project_weights = numbers.take(channels * channels);
        let layer = Depthwise::new(&taps, &zeros, 3, 1, Activation::None);
        let project = Pointwise::new(&project_weights, &zeros, Activation::None);
        let middle = wide.depthwise(&taps, &zeros, 3, 1);
        let expected = middle
            .pointwise(&project_weights, &zeros, Activation::None)
            .plus(&wide);
        let kind = SourceKind::Pixels;
        everywhere(|context, what| {
            let len = separable_scratch(context, kind, &layer, Some(&project), wide.shape);
            let mut scratch = dirty(len);
            let mut out = dirty(expected.shape.len());
            let layers = Separable {
                source: Source::Pixels {
                    layer: &stem,
                    pixels: &bytes,
                    width,
                },
                depthwise: &layer,
                epilogue: Epilogue::Project {
                    layer: &project,
                    residual: Residual::Input,
                    output: Output::Map(MapMut::new(expected.shape, &mut out)),
                },
            };
            separable(context, layers, &mut scratch);
            let found = expected.shape.unblocked(&out);
            assert_close(&found, &expected.numbers, what);
            found
        });
    }
}

#[test]
fn vectors_agree_with_their_definition() {
    let mut numbers = Numbers::new(6);
    for (inputs, outputs) in [(1, 1), (7, 40), (72, 24), (240, 131), (1001, 97)] {
        let map = Plain::random(&mut numbers, inputs, 1, 1);
        let weights = numbers.take(inputs * outputs);
        let bias = numbers.take(outputs);
        let (_, input) = map.blocked(0);
        for activation in Activation::ALL {
            let expected = map.pointwise(&weights, &bias, activation);
            let layer = Dense::new(&weights, &bias, activation);
            everywhere(|context, what| {
                let mut out = dirty(blocks(outputs));
                dense(context, &layer, &input, &mut out);
                let found: Vec<f32> = out.iter().flat_map(|block| block.0).collect();
                assert!(found[outputs..].iter().all(|&x| x == 0.0), "{what}");
                assert_close(&found[..outputs], &expected.numbers, what);
                found
            });
        }
    }
}

#[test]
fn squeeze_excite_and_average_agree_with_their_definition() {
    let mut numbers = Numbers::new(7);
    for (channels, squeezed, height, width) in [(16, 8, 3, 5), (72, 24, 7, 2), (200, 56, 1, 1)] {
        let map = Plain::random(&mut numbers, channels, height, width);
        let pixels = height * width;
        let mut averages = Plain::zeros(channels, 1, 1);
        averages.numbers = map.sums();
        let sums = averages.clone();
        let averages = averages.map(|x| x / pixels as f64);
        let weights = numbers.take(channels * squeezed);
        let back = numbers.take(channels * squeezed);
        let (bias, back_bias) = (numbers.take(squeezed), numbers.take(channels));
        let layer = SqueezeExcite::new(
            Dense::new(&weights, &bias, Activation::Relu),
            Dense::new(&back, &back_bias, Activation::None),
        );
        let expected = averages
            .pointwise(&weights, &bias, Activation::Relu)
            .pointwise(&back, &back_bias, Activation::None)
            .map(|x| (x / 6.0 + 0.5).clamp(0.0, 1.0));
        let (shape, cells) = map.blocked(1);
        let (_, sums) = sums.blocked(0);
        everywhere(|context, what| {
            let mut out = dirty(blocks(channels));
            average(context, MapRef::new(shape, &cells), &mut out);
            let found: Vec<f32> = out.iter().flat_map(|block| block.0).collect();
            assert_close(&found[..channels], &averages.numbers, what);
            let mut scales = sums.clone();
            let mut scratch = dirty(layer.scratch());
            squeeze_excite(context, &layer, pixels, &mut scales, &mut scratch);
            let found: Vec<f32> = scales.iter().flat_map(|block| block.0).collect();
            assert_close(&found[..channels], &expected.numbers, what);
            found
        });
    }
}

#[test]
fn upsampling_agrees_with_its_definition() {
    let mut numbers = Numbers::new(8);
    for [channels, height, width] in [[1, 1, 1], [17, 5, 10], [40, 10, 19], [16, 3, 1]] {
        let map = Plain::random(
            &mut numbers,
            channels,
            height.div_ceil(2),
            width.div_ceil(2),
        );
        let mut expected = Plain::zeros(channels, height, width);
        for c in 0..channels {
            for y in 0..height {
                for x in 0..width {
                    let at = expected.index(c, y, x);
                    expected.numbers[at] = map.numbers[map.index(c, y / 2, x / 2)];
                }
            }
        }
        for (in_padding, out_padding) in [(0, 2), (1, 0)] {
            let (shape, cells) = map.blocked(in_padding);
            let out_shape = MapShape {
                padding: out_padding,
                ..expected.shape
            };
            everywhere(|context, what| {
                let mut out = dirty(out_shape.len());
                let output = MapMut::new(out_shape, &mut out);
                upsample_nearest(context, MapRef::new(shape, &cells), output);
                assert_clean(out_shape, &out, what);
                let found = out_shape.unblocked(&out);
                assert_close(&found, &expected.numbers, what);
                found
            });
        }
    }
}

#[test]
fn nan_passes_through_every_activation() {
    for activation in Activation::ALL {
        let layer = Dense::new(&[1.0; 16], &[0.0; 16], activation);
        everywhere(|context, what| {
            let mut out = vec![Block::ZERO];
            let mut input = vec![Block::ZERO];
            input[0].0[0] = f32::NAN;
            dense(context, &layer, &input, &mut out);
            assert!(out[0].0.iter().all(|x| x.is_nan()), "{what} {activation:?}");
            Vec::new()
        });
    }
}
