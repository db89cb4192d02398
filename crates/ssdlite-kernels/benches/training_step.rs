//! The kernels of a whole training step, layer by layer and summed up, on the
//! shapes of the networks.
//!
//! `cargo bench -p ssdlite-kernels --bench training_step -- [NAME...]`
//! with names of [`NETWORKS`]; `threads=N` and `rounds=N` set these, and
//! `clock=cpu` counts the time that the calling thread runs, for one thread on a
//! machine that others use too (Linux). For each
//! layer it prints the least of the rounds, in milliseconds, of the forward and
//! the backward pass, and the rate that corresponds to the sum.

#![allow(clippy::print_stdout)]

use std::num::NonZeroUsize;
use std::time::Instant;

use ssdlite_core::mobilenet::{Backbone, MobileNetV3, Variant};
use ssdlite_core::unit::{Conv, ConvKind, ConvUnit, MapSize};
use ssdlite_kernels::train::activation::Activation;
use ssdlite_kernels::train::depthwise::{
    Depthwise, DepthwiseOptions, depthwise_backward, depthwise_forward_moments,
};
use ssdlite_kernels::train::gradient::{After, ConvGradients, InputGradient};
use ssdlite_kernels::train::map::MapShape;
use ssdlite_kernels::train::norm::{
    Affine, Moments, NormContext, NormSums, norm_backward_sums, normalise,
};
use ssdlite_kernels::train::operand::{
    ExciteGradient, Input, NormBackward, Normalised, OutputGradient,
};
use ssdlite_kernels::train::pointwise::{Pointwise, pointwise_backward, pointwise_forward_moments};
use ssdlite_kernels::train::squeeze_excite::{
    Excite, Excited, average_pool, average_pool_backward, excite_backward, excite_forward,
};
use ssdlite_kernels::train::stem::{Stem, stem_backward, stem_forward_moments};
use ssdlite_kernels::{Buffer, Context, Error, Pool};

const EPSILON: f32 = 1e-3;

/// Which time is measured.
#[derive(Clone, Copy)]
enum Clock {
    Wall(Instant),
    Cpu,
}

impl Clock {
    /// Seconds since some moment.
    fn seconds(self) -> f64 {
        match self {
            Self::Wall(start) => start.elapsed().as_secs_f64(),
            Self::Cpu => thread_seconds(),
        }
    }
}

/// Name, network, side of the pictures, batch, and classes of a detector.
const NETWORKS: [(&str, Variant, usize, usize, Option<usize>); 4] = [
    ("small-224", Variant::Small, 224, 32, None),
    ("large-224", Variant::Large, 224, 32, None),
    ("detector-small-300", Variant::Small, 300, 24, Some(20)),
    ("detector-large-320", Variant::Large, 320, 24, Some(20)),
];

/// The time that the calling thread has run.
#[cfg(target_os = "linux")]
fn thread_seconds() -> f64 {
    const CLOCK_THREAD_CPUTIME_ID: i32 = 3;
    #[repr(C)]
    struct Timespec {
        seconds: i64,
        nanoseconds: i64,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
    }
    let mut time = Timespec {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: the struct is the 64-bit C library's `timespec`.
    let outcome = unsafe { clock_gettime(CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(outcome, 0, "the kernel counts the time of threads");
    time.seconds as f64 + 1e-9 * time.nanoseconds as f64
}

#[cfg(not(target_os = "linux"))]
fn thread_seconds() -> f64 {
    panic!("clock=cpu needs Linux")
}

/// What a convolution reads.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reads {
    Plain,
    Normalised(Activation),
    /// Normalised and scaled by squeeze-and-excite.
    Excited(Activation),
}

/// What follows a convolution, and where its batch norm's sums come from in the
/// backward pass.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// There is no batch norm.
    Nothing,
    /// The one convolution that reads its output gathers them.
    Gathered(Activation),
    /// A pass of their own.
    Summed(Activation),
    /// The same, with squeeze-and-excite of so many channels in the middle.
    Excited(Activation, usize),
}

#[derive(Clone, Copy, Debug)]
enum Work {
    Conv(Conv, Reads, Then),
    /// Batch norm into memory, plus a residual.
    Normalise(Activation),
    /// Average over the map.
    Pool,
}

/// Work on a map of this size.
struct Layer {
    name: String,
    work: Work,
    input: MapSize,
    channels: usize,
    images: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let number = |key: &str, default: usize| {
        arguments
            .iter()
            .find_map(|argument| argument.strip_prefix(key)?.parse().ok())
            .unwrap_or(default)
    };
    let threads = NonZeroUsize::new(number("threads=", 2)).expect("at least one thread");
    let rounds = number("rounds=", 7);
    let clock = if arguments.iter().any(|argument| argument == "clock=cpu") {
        Clock::Cpu
    } else {
        Clock::Wall(Instant::now())
    };
    let names: Vec<&String> = arguments.iter().filter(|a| !a.contains('=')).collect();
    let pool = Pool::new(threads).expect("threads start");
    let cx = Context::detect(&pool);
    for (name, variant, side, images, classes) in NETWORKS {
        if names.is_empty() || names.iter().any(|wanted| name == wanted.as_str()) {
            println!("{name}, batch {images}, {} on {threads} threads", cx.isa);
            measure(cx, clock, layers(variant, side, images, classes), rounds);
        }
    }
}

fn activation(of: &ConvUnit) -> Activation {
    match of.activation {
        ssdlite_core::Activation::Identity => Activation::None,
        ssdlite_core::Activation::Relu => Activation::Relu,
        ssdlite_core::Activation::Relu6 => Activation::Relu6,
        ssdlite_core::Activation::HardSwish => Activation::HardSwish,
    }
}

/// Collects a network's layers, in the order of the forward pass.
struct Collector {
    layers: Vec<Layer>,
    images: usize,
    map: MapSize,
}

impl Collector {
    fn add(&mut self, name: &str, work: Work, channels: usize) {
        self.layers.push(Layer {
            name: name.to_owned(),
            work,
            input: self.map,
            channels,
            images: self.images,
        });
        if let Work::Conv(conv, ..) = work {
            self.map = self.map.strided(conv.stride);
        }
    }

    fn unit(&mut self, unit: &ConvUnit, reads: Reads, then: Then) {
        let work = Work::Conv(unit.conv, reads, then);
        self.add(&unit.key, work, unit.conv.in_channels);
    }

    fn normalise(&mut self, unit: &ConvUnit) {
        let work = Work::Normalise(activation(unit));
        self.add(&format!("{} norm", unit.key), work, unit.conv.out_channels);
    }

    /// Returns the map of C4.
    fn backbone(&mut self, backbone: &Backbone) -> MapSize {
        let stem = activation(&backbone.stem);
        self.unit(&backbone.stem, Reads::Plain, Then::Gathered(stem));
        let mut reads = Reads::Normalised(stem);
        let mut c4 = self.map;
        for (index, block) in backbone.blocks.iter().enumerate() {
            if let Some(expand) = &block.expand {
                let activation = activation(expand);
                // A detector's heads read C4 too.
                let then = if index == backbone.c4_block {
                    Then::Summed(activation)
                } else {
                    Then::Gathered(activation)
                };
                self.unit(expand, reads, then);
                reads = Reads::Normalised(activation);
            }
            if index == backbone.c4_block {
                c4 = self.map;
            }
            let activation = activation(&block.depthwise);
            match &block.squeeze_excite {
                Some(se) => {
                    let then = Then::Excited(activation, se.squeeze_channels);
                    self.unit(&block.depthwise, reads, then);
                    reads = Reads::Excited(activation);
                }
                None => {
                    self.unit(&block.depthwise, reads, Then::Gathered(activation));
                    reads = Reads::Normalised(activation);
                }
            }
            self.unit(&block.project, reads, Then::Summed(Activation::None));
            self.normalise(&block.project);
            reads = Reads::Plain;
        }
        let then = Then::Summed(activation(&backbone.last));
        self.unit(&backbone.last, reads, then);
        c4
    }

    fn head(&mut self, map: MapSize, depthwise: &ConvUnit, (key, output): (&str, Conv)) {
        self.map = map;
        let activation = activation(depthwise);
        let reads = Reads::Normalised(Activation::HardSwish);
        self.unit(depthwise, reads, Then::Gathered(activation));
        let work = Work::Conv(output, Reads::Normalised(activation), Then::Nothing);
        self.add(key, work, output.in_channels);
    }
}

fn layers(variant: Variant, side: usize, images: usize, classes: Option<usize>) -> Vec<Layer> {
    let network = MobileNetV3::new(variant);
    let mut collector = Collector {
        layers: Vec::new(),
        images,
        map: MapSize::new(side, side),
    };
    let Some(classes) = classes else {
        let network = network.classifier(1000);
        collector.backbone(&network.backbone);
        collector.normalise(&network.backbone.last);
        collector.add("pool", Work::Pool, network.backbone.c5_channels());
        collector.map = MapSize::new(1, 1);
        for linear in [&network.hidden, &network.output] {
            let conv = Conv::pointwise(linear.in_features, linear.out_features);
            let work = Work::Conv(conv, Reads::Plain, Then::Nothing);
            collector.add(&linear.key, work, linear.in_features);
        }
        return collector.layers;
    };
    let detector = network.detector(classes);
    let c4 = collector.backbone(&detector.backbone);
    let mut maps = vec![c4, collector.map];
    let mut reads = Reads::Normalised(activation(&detector.backbone.last));
    for extra in &detector.extra {
        let then = Then::Gathered(activation(&extra.squeeze));
        collector.unit(&extra.squeeze, reads, then);
        reads = Reads::Normalised(activation(&extra.squeeze));
        let then = Then::Gathered(activation(&extra.depthwise));
        collector.unit(&extra.depthwise, reads, then);
        reads = Reads::Normalised(activation(&extra.depthwise));
        let then = Then::Summed(activation(&extra.expand));
        collector.unit(&extra.expand, reads, then);
        reads = Reads::Normalised(activation(&extra.expand));
        maps.push(collector.map);
    }
    for heads in [&detector.classification, &detector.regression] {
        for (&map, head) in maps.iter().zip(heads) {
            let output = (&head.output.key[..], head.output.conv);
            collector.head(map, &head.depthwise, output);
        }
    }
    collector.layers
}

/// Numbers without a pattern, in (-1, 1).
fn random(len: usize, state: &mut u32) -> Vec<f32> {
    (0..len)
        .map(|_| {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (*state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn buffer(values: &[f32]) -> Buffer {
    let mut buffer = Buffer::zeroed(values.len());
    buffer.copy_from_slice(values);
    buffer
}

/// A batch norm with made-up statistics of its input.
struct Norm {
    moments: Moments,
    gamma: Vec<f32>,
    affine: Affine,
}

impl Norm {
    fn new(channels: usize, count: usize) -> Self {
        let moments = Moments {
            mean: vec![0.0; channels],
            variance: vec![0.33; channels],
            count,
        };
        let gamma = vec![1.0; channels];
        let (mean, variance) = (&moments.mean, &moments.variance);
        let affine = Affine::from_norm(mean, variance, &gamma, &vec![0.1; channels], EPSILON)
            .expect("equal lengths");
        Self {
            moments,
            gamma,
            affine,
        }
    }
}

/// A layer with its own buffers.
struct Prepared {
    layer: Layer,
    input: Buffer,
    input_norm: Norm,
    factors: Vec<f32>,
    weight: Vec<f32>,
    output: Buffer,
    output_norm: Norm,
    /// Parameters of the squeeze-and-excite that follows.
    squeeze: [Vec<f32>; 4],
    excited: Option<Excited>,
    sums: NormSums,
    dweight: Vec<f32>,
    forward: Vec<f64>,
    backward: Vec<f64>,
}

impl Prepared {
    fn new(layer: Layer, state: &mut u32) -> Self {
        let (images, pixels, c) = (layer.images, layer.input.cells(), layer.channels);
        let (weight_len, out_pixels, outputs, squeezed) = match layer.work {
            Work::Conv(conv, _, then) => {
                let squeezed = match then {
                    Then::Excited(_, squeezed) => squeezed,
                    _ => 0,
                };
                let out_pixels = layer.input.strided(conv.stride).cells();
                let weight_len = conv.weight_shape().iter().product();
                (weight_len, out_pixels, conv.out_channels, squeezed)
            }
            Work::Normalise(_) => (0, pixels, c, 0),
            Work::Pool => (0, 1, c, 0),
        };
        Self {
            input: buffer(&random(images * pixels * c, state)),
            input_norm: Norm::new(c, images * pixels),
            factors: random(images * c, state),
            weight: random(weight_len, state),
            output: Buffer::zeroed(images * out_pixels * outputs),
            output_norm: Norm::new(outputs, images * out_pixels),
            squeeze: [squeezed * outputs, squeezed, squeezed * outputs, outputs]
                .map(|len| random(len, state)),
            excited: None,
            sums: NormSums {
                du: vec![1.0; outputs],
                du_centred: vec![1.0; outputs],
            },
            dweight: vec![0.0; weight_len],
            forward: Vec::new(),
            backward: Vec::new(),
            layer,
        }
    }

    fn map(&self) -> MapShape {
        let pixels = self.layer.input.cells();
        MapShape::new(self.layer.images, pixels, self.layer.channels).expect("a possible shape")
    }

    fn output_map(&self) -> MapShape {
        let channels = self.output_norm.gamma.len();
        let pixels = self.output.len() / channels / self.layer.images;
        MapShape::new(self.layer.images, pixels, channels).expect("a possible shape")
    }

    fn input(&self, reads: Reads) -> Input<'_> {
        let (activation, image_scale) = match reads {
            Reads::Plain => return Input::Plain(&self.input),
            Reads::Normalised(activation) => (activation, None),
            Reads::Excited(activation) => (activation, Some(&self.factors[..])),
        };
        Input::Normalised(Normalised {
            z: &self.input,
            affine: &self.input_norm.affine,
            activation,
            image_scale,
        })
    }

    fn excite(&self) -> Excite<'_> {
        let [squeeze, squeeze_bias, expand, expand_bias] = &self.squeeze;
        Excite {
            squeeze,
            squeeze_bias,
            expand,
            expand_bias,
        }
    }

    fn run_forward(&mut self, cx: Context<'_>) -> Result<(), Error> {
        let map = self.map();
        let mut output = std::mem::take(&mut self.output);
        match self.layer.work {
            Work::Conv(conv, reads, _) => {
                let (input, weight) = (self.input(reads), &self.weight);
                match conv.kind {
                    ConvKind::Full => {
                        let shape = self.stem(conv)?;
                        stem_forward_moments(cx, shape, &self.input, weight, &mut output)?;
                    }
                    ConvKind::Depthwise => {
                        let shape = self.depthwise(conv)?;
                        depthwise_forward_moments(cx, shape, input, weight, &mut output)?;
                    }
                    ConvKind::Pointwise => {
                        let shape = Pointwise::new(map, conv.out_channels)?;
                        pointwise_forward_moments(cx, shape, input, weight, &mut output)?;
                    }
                }
            }
            Work::Normalise(activation) => {
                let input = Normalised {
                    z: &self.input,
                    affine: &self.input_norm.affine,
                    activation,
                    image_scale: None,
                };
                normalise(cx, map, input, Some(&self.input), &mut output)?;
            }
            Work::Pool => average_pool(cx, map, Input::Plain(&self.input), &mut output)?,
        }
        self.output = output;
        if let Work::Conv(_, _, Then::Excited(activation, _)) = self.layer.work {
            let input = Input::Normalised(Normalised {
                z: &self.output,
                affine: &self.output_norm.affine,
                activation,
                image_scale: None,
            });
            self.excited = Some(excite_forward(cx, self.output_map(), input, self.excite())?);
        }
        Ok(())
    }

    fn stem(&self, conv: Conv) -> Result<Stem, Error> {
        let MapSize { height, width } = self.layer.input;
        Stem::new(self.layer.images, height, width, conv.out_channels)
    }

    fn depthwise(&self, conv: Conv) -> Result<Depthwise, Error> {
        Depthwise::new(DepthwiseOptions {
            images: self.layer.images,
            height: self.layer.input.height,
            width: self.layer.input.width,
            channels: conv.in_channels,
            kernel: conv.kernel,
            stride: conv.stride,
        })
    }

    /// Of `dy`, the gradient of what follows the output, makes `dx`, that of
    /// what was read.
    fn run_backward(&mut self, cx: Context<'_>, dy: &[f32], dx: &mut [f32]) -> Result<(), Error> {
        let dy = &dy[..self.output.len()];
        let dx = &mut dx[..self.input.len()];
        let (conv, reads, then) = match self.layer.work {
            Work::Conv(conv, reads, then) => (conv, reads, then),
            // The residual's gradient and the norm's are `dy` itself.
            Work::Normalise(_) => return Ok(()),
            Work::Pool => return average_pool_backward(cx, self.map(), dy, dx),
        };
        let mut dweight = std::mem::take(&mut self.dweight);
        let activation = match then {
            Then::Nothing => Activation::None,
            Then::Gathered(activation)
            | Then::Summed(activation)
            | Then::Excited(activation, _) => activation,
        };
        let excite_gradients = match (&self.excited, then) {
            (Some(excited), Then::Excited(..)) => {
                let dscale = &excited.scale;
                let map = self.output_map();
                Some(excite_backward(cx, map, self.excite(), excited, dscale)?)
            }
            _ => None,
        };
        let excite =
            self.excited
                .as_ref()
                .zip(excite_gradients.as_ref())
                .map(|(excited, gradients)| ExciteGradient {
                    scale: &excited.scale,
                    shift: &gradients.shift,
                });
        let norm = &self.output_norm;
        let sums = match then {
            Then::Nothing | Then::Gathered(_) => self.sums.clone(),
            Then::Summed(_) | Then::Excited(..) => {
                let context = NormContext {
                    affine: &norm.affine,
                    mean: &norm.moments.mean,
                    activation,
                };
                norm_backward_sums(cx, self.output_map(), context, (dy, &self.output), excite)?
            }
        };
        let gradient = sums.gradient(&norm.moments, &norm.gamma, EPSILON)?;
        let output = match then {
            Then::Nothing => OutputGradient::Plain(dy),
            _ => OutputGradient::Normalised {
                dy,
                norm: NormBackward {
                    z: &self.output,
                    affine: &norm.affine,
                    activation,
                    gradient: &gradient,
                    excite,
                },
            },
        };
        self.convolution_backward(cx, (conv, reads), output, dx, &mut dweight)?;
        self.dweight = dweight;
        Ok(())
    }

    fn convolution_backward(
        &self,
        cx: Context<'_>,
        (conv, reads): (Conv, Reads),
        output: OutputGradient<'_>,
        dx: &mut [f32],
        dweight: &mut [f32],
    ) -> Result<(), Error> {
        let mut dscale = vec![0.0; self.factors.len()];
        let after = match reads {
            Reads::Plain => After::Nothing,
            Reads::Normalised(_) => After::NormSums {
                mean: &self.input_norm.moments.mean,
            },
            Reads::Excited(_) => After::ImageScale(&mut dscale),
        };
        let input = self.input(reads);
        if conv.kind == ConvKind::Full {
            return stem_backward(cx, self.stem(conv)?, &self.input, output, dweight);
        }
        let gradients = ConvGradients {
            input: Some(InputGradient { dx, after }),
            weight: Some(dweight),
            bias: None,
        };
        if conv.kind == ConvKind::Depthwise {
            let shape = self.depthwise(conv)?;
            depthwise_backward(cx, shape, input, output, &self.weight, gradients)?;
        } else {
            let shape = Pointwise::new(self.map(), conv.out_channels)?;
            pointwise_backward(cx, shape, input, output, &self.weight, gradients)?;
        }
        Ok(())
    }
}

fn measure(cx: Context<'_>, clock: Clock, layers: Vec<Layer>, rounds: usize) {
    let mut state = 1;
    let mut layers: Vec<Prepared> = layers
        .into_iter()
        .map(|layer| Prepared::new(layer, &mut state))
        .collect();
    let most = layers
        .iter()
        .map(|layer| layer.input.len().max(layer.output.len()))
        .max()
        .unwrap_or(0);
    let mut dy = buffer(&random(most, &mut state));
    let mut dx = buffer(&dy);
    for round in 0..=rounds {
        for layer in &mut layers {
            let start = clock.seconds();
            layer.run_forward(cx).expect("lengths fit");
            layer.forward.push(clock.seconds() - start);
        }
        for layer in layers.iter_mut().rev() {
            let start = clock.seconds();
            layer.run_backward(cx, &dy, &mut dx).expect("lengths fit");
            layer.backward.push(clock.seconds() - start);
            std::mem::swap(&mut dy, &mut dx);
        }
        if round == 0 {
            // The first round faults the pages in.
            for layer in &mut layers {
                layer.forward.clear();
                layer.backward.clear();
            }
        }
    }
    report(&mut layers);
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn report(layers: &mut [Prepared]) {
    let mut totals = [0.0; 4];
    for prepared in layers {
        let layer = &prepared.layer;
        let (macs, what) = match layer.work {
            Work::Conv(conv, reads, then) => {
                let macs = conv.macs(layer.input) as f64 * layer.images as f64;
                let what = format!(
                    "{}x{} {}->{} k{} s{} {reads:?} {then:?}",
                    layer.input.height,
                    layer.input.width,
                    conv.in_channels,
                    conv.out_channels,
                    conv.kernel,
                    conv.stride
                );
                (macs, what)
            }
            other => {
                let what = format!(
                    "{}x{} {} {other:?}",
                    layer.input.height, layer.input.width, layer.channels
                );
                (0.0, what)
            }
        };
        let best = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
        let (least_forward, least_backward) = (best(&prepared.forward), best(&prepared.backward));
        let (forward, backward) = (
            median(&mut prepared.forward),
            median(&mut prepared.backward),
        );
        for (total, time) in
            totals
                .iter_mut()
                .zip([forward, backward, least_forward, least_backward])
        {
            *total += time;
        }
        println!(
            "{:9.3} {:9.3} {:8.1} GFLOP/s  {:50} {what}",
            1e3 * least_forward,
            1e3 * least_backward,
            6e-9 * macs / (least_forward + least_backward),
            layer.name,
        );
    }
    let [forward, backward, least_forward, least_backward] = totals.map(|total| 1e3 * total);
    println!(
        "sum of medians: {forward:.1} + {backward:.1} = {:.1} ms",
        forward + backward
    );
    println!(
        "sum of minima:  {least_forward:.1} + {least_backward:.1} = {:.1} ms",
        least_forward + least_backward
    );
}
