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
use std::ops::{Deref, DerefMut};
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
    Affine, Moments, NormContext, norm_backward, norm_backward_sums, normalise,
};
use ssdlite_kernels::train::operand::{
    ExciteGradient, Input, NormBackward, Normalised, OutputGradient,
};
use ssdlite_kernels::train::pointwise::{Pointwise, pointwise_backward, pointwise_forward_moments};
use ssdlite_kernels::train::squeeze_excite::{
    Excite, average_pool, average_pool_backward, excite_backward, excite_forward,
};
use ssdlite_kernels::train::stem::{Stem, stem_backward, stem_forward_moments};
use ssdlite_kernels::{Context, Error, Pool};

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
    /// With squeeze-and-excite of so many channels in the middle.
    Excited(Activation, usize),
}

#[derive(Clone, Copy, Debug)]
enum Work {
    Conv(Conv, Reads),
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
    let pool = Pool::new(threads);
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
        if let Work::Conv(conv, _) = work {
            self.map = self.map.strided(conv.stride);
        }
    }

    fn unit(&mut self, unit: &ConvUnit, reads: Reads) {
        self.add(
            &unit.key,
            Work::Conv(unit.conv, reads),
            unit.conv.in_channels,
        );
    }

    fn normalise(&mut self, unit: &ConvUnit) {
        let work = Work::Normalise(activation(unit));
        self.add(&format!("{} norm", unit.key), work, unit.conv.out_channels);
    }

    /// Returns the map of C4.
    fn backbone(&mut self, backbone: &Backbone) -> MapSize {
        self.unit(&backbone.stem, Reads::Plain);
        let mut reads = Reads::Normalised(activation(&backbone.stem));
        let mut c4 = self.map;
        for (index, block) in backbone.blocks.iter().enumerate() {
            if let Some(expand) = &block.expand {
                self.unit(expand, reads);
                reads = Reads::Normalised(activation(expand));
            }
            if index == backbone.c4_block {
                c4 = self.map;
            }
            self.unit(&block.depthwise, reads);
            let activation = activation(&block.depthwise);
            reads = match &block.squeeze_excite {
                Some(se) => Reads::Excited(activation, se.squeeze_channels),
                None => Reads::Normalised(activation),
            };
            self.unit(&block.project, reads);
            self.normalise(&block.project);
            reads = Reads::Plain;
        }
        self.unit(&backbone.last, reads);
        c4
    }

    fn head(&mut self, map: MapSize, depthwise: &ConvUnit, output: (&str, Conv), reads: Reads) {
        self.map = map;
        self.unit(depthwise, reads);
        let read = Reads::Normalised(activation(depthwise));
        self.add(output.0, Work::Conv(output.1, read), output.1.in_channels);
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
            collector.add(
                &linear.key,
                Work::Conv(conv, Reads::Plain),
                linear.in_features,
            );
        }
        return collector.layers;
    };
    let detector = network.detector(classes);
    let c4 = collector.backbone(&detector.backbone);
    let mut maps = vec![c4, collector.map];
    let mut reads = Reads::Normalised(activation(&detector.backbone.last));
    for extra in &detector.extra {
        for unit in [&extra.squeeze, &extra.depthwise, &extra.expand] {
            collector.unit(unit, reads);
            reads = Reads::Normalised(activation(unit));
        }
        maps.push(collector.map);
    }
    for heads in [&detector.classification, &detector.regression] {
        for (&map, head) in maps.iter().zip(heads) {
            let reads = Reads::Normalised(Activation::HardSwish);
            let output = (&head.output.key[..], head.output.conv);
            collector.head(map, &head.depthwise, output, reads);
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

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Numbers that begin at a cache line, as the tensors of a step should.
#[derive(Clone)]
struct Aligned {
    lines: Vec<Line>,
    len: usize,
}

impl Aligned {
    fn new(values: &[f32]) -> Self {
        let mut lines = vec![Line([0.0; 16]); values.len().div_ceil(16)];
        for (line, values) in lines.iter_mut().zip(values.chunks(16)) {
            line.0[..values.len()].copy_from_slice(values);
        }
        Self {
            lines,
            len: values.len(),
        }
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: the lines hold `len` numbers, without gaps.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// A layer with its own buffers.
struct Prepared {
    layer: Layer,
    input: Aligned,
    moments: Moments,
    gamma: Vec<f32>,
    affine: Affine,
    weight: Vec<f32>,
    squeeze: [Vec<f32>; 4],
    output: Aligned,
    excited: Option<ssdlite_kernels::train::squeeze_excite::Excited>,
    dweight: Vec<f32>,
    forward: Vec<f64>,
    backward: Vec<f64>,
}

impl Prepared {
    fn new(layer: Layer, state: &mut u32) -> Self {
        let c = layer.channels;
        let input = random(layer.images * layer.input.cells() * c, state);
        let moments = Moments {
            mean: vec![0.0; c],
            variance: vec![0.33; c],
            count: layer.images * layer.input.cells(),
        };
        let gamma = vec![1.0; c];
        let affine = Affine::from_norm(
            &moments.mean,
            &moments.variance,
            &gamma,
            &vec![0.1; c],
            EPSILON,
        )
        .expect("equal lengths");
        let (weight_len, output_len, squeezed) = match layer.work {
            Work::Conv(conv, reads) => {
                let output = layer.input.strided(conv.stride).cells() * conv.out_channels;
                let squeezed = match reads {
                    Reads::Excited(_, squeezed) => squeezed,
                    _ => 0,
                };
                (
                    conv.weight_shape().iter().product(),
                    layer.images * output,
                    squeezed,
                )
            }
            Work::Normalise(_) => (0, input.len(), 0),
            Work::Pool => (0, layer.images * c, 0),
        };
        Self {
            moments,
            gamma,
            affine,
            weight: random(weight_len, state),
            squeeze: [squeezed * c, squeezed, squeezed * c, c].map(|len| random(len, state)),
            output: Aligned::new(&vec![0.0; output_len]),
            excited: None,
            dweight: vec![0.0; weight_len],
            forward: Vec::new(),
            backward: Vec::new(),
            input: Aligned::new(&input),
            layer,
        }
    }

    fn map(&self) -> MapShape {
        let pixels = self.layer.input.cells();
        MapShape::new(self.layer.images, pixels, self.layer.channels).expect("a possible shape")
    }

    fn operand(&self, activation: Activation) -> Normalised<'_> {
        Normalised {
            z: &self.input,
            affine: &self.affine,
            activation,
            image_scale: self.excited.as_ref().map(|excited| &excited.scale[..]),
        }
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
        self.excited = None;
        if let Work::Conv(_, Reads::Excited(activation, _)) = self.layer.work {
            let input = Input::Normalised(self.operand(activation));
            self.excited = Some(excite_forward(cx, map, input, self.excite())?);
        }
        let empty = Aligned::new(&[]);
        let mut output = std::mem::replace(&mut self.output, empty);
        match self.layer.work {
            Work::Conv(conv, reads) => {
                let input = match reads {
                    Reads::Plain => Input::Plain(&self.input),
                    Reads::Normalised(activation) | Reads::Excited(activation, _) => {
                        Input::Normalised(self.operand(activation))
                    }
                };
                match conv.kind {
                    ConvKind::Full => {
                        let shape = self.stem(conv)?;
                        stem_forward_moments(cx, shape, &self.input, &self.weight, &mut output)?;
                    }
                    ConvKind::Depthwise => {
                        let shape = self.depthwise(conv)?;
                        depthwise_forward_moments(cx, shape, input, &self.weight, &mut output)?;
                    }
                    ConvKind::Pointwise => {
                        let shape = Pointwise::new(map, conv.out_channels)?;
                        pointwise_forward_moments(cx, shape, input, &self.weight, &mut output)?;
                    }
                }
            }
            Work::Normalise(activation) => {
                let input = self.operand(activation);
                normalise(cx, map, input, Some(&self.input), &mut output)?;
            }
            Work::Pool => average_pool(cx, map, Input::Plain(&self.input), &mut output)?,
        }
        self.output = output;
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

    /// Of `dz`, the output's gradient, makes `dx`, the input's.
    fn run_backward(
        &mut self,
        cx: Context<'_>,
        dz: &mut [f32],
        dx: &mut [f32],
    ) -> Result<(), Error> {
        let map = self.map();
        let dz = &mut dz[..self.output.len()];
        let dx = &mut dx[..self.input.len()];
        let (conv, reads) = match self.layer.work {
            Work::Conv(conv, reads) => (conv, reads),
            Work::Normalise(activation) => {
                return self.norm_backward(cx, activation, None, dz);
            }
            Work::Pool => return average_pool_backward(cx, map, dz, dx),
        };
        let mut dweight = std::mem::take(&mut self.dweight);
        let mut dscale = vec![0.0; self.layer.images * self.layer.channels];
        let (input, after) = match reads {
            Reads::Plain => (Input::Plain(&self.input), After::Nothing),
            Reads::Normalised(activation) => {
                let mean = &self.moments.mean;
                let after = After::NormSums { mean };
                (Input::Normalised(self.operand(activation)), after)
            }
            Reads::Excited(activation, _) => {
                let after = After::ImageScale(&mut dscale);
                (Input::Normalised(self.operand(activation)), after)
            }
        };
        let gradients = ConvGradients {
            input: Some(InputGradient { dx, after }),
            weight: Some(&mut dweight),
            bias: None,
        };
        let output = OutputGradient::Plain(dz);
        let sums = match conv.kind {
            ConvKind::Full => {
                let shape = self.stem(conv)?;
                stem_backward(cx, shape, &self.input, output, &mut dweight)?;
                None
            }
            ConvKind::Depthwise => {
                let shape = self.depthwise(conv)?;
                depthwise_backward(cx, shape, input, output, &self.weight, gradients)?
            }
            ConvKind::Pointwise => {
                let shape = Pointwise::new(map, conv.out_channels)?;
                pointwise_backward(cx, shape, input, output, &self.weight, gradients)?
            }
        };
        match (reads, &self.excited) {
            (Reads::Normalised(activation), _) => {
                if let Some(sums) = sums {
                    let gradient = sums.gradient(&self.moments, &self.gamma, EPSILON)?;
                    let norm = NormBackward {
                        z: &self.input,
                        affine: &self.affine,
                        activation,
                        gradient: &gradient,
                        excite: None,
                    };
                    norm_backward(cx, map, norm, dx)?;
                }
            }
            (Reads::Excited(activation, _), Some(excited)) => {
                let gradients = excite_backward(cx, map, self.excite(), excited, &dscale)?;
                let through = ExciteGradient {
                    scale: &excited.scale,
                    shift: &gradients.shift,
                };
                self.norm_backward(cx, activation, Some(through), dx)?;
            }
            _ => {}
        }
        self.dweight = dweight;
        Ok(())
    }

    fn norm_backward(
        &self,
        cx: Context<'_>,
        activation: Activation,
        excite: Option<ExciteGradient<'_>>,
        dy: &mut [f32],
    ) -> Result<(), Error> {
        let context = NormContext {
            affine: &self.affine,
            mean: &self.moments.mean,
            activation,
        };
        let sums = norm_backward_sums(cx, self.map(), context, (dy, &self.input), excite)?;
        let gradient = sums.gradient(&self.moments, &self.gamma, EPSILON)?;
        let norm = NormBackward {
            z: &self.input,
            affine: &self.affine,
            activation,
            gradient: &gradient,
            excite,
        };
        norm_backward(cx, self.map(), norm, dy)
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
    let gradient = Aligned::new(&random(most, &mut state));
    let (mut dz, mut dx) = (gradient.clone(), gradient);
    for round in 0..=rounds {
        for layer in &mut layers {
            let start = clock.seconds();
            layer.run_forward(cx).expect("lengths fit");
            layer.forward.push(clock.seconds() - start);
        }
        for layer in layers.iter_mut().rev() {
            let start = clock.seconds();
            layer
                .run_backward(cx, &mut dz, &mut dx)
                .expect("lengths fit");
            layer.backward.push(clock.seconds() - start);
            std::mem::swap(&mut dz, &mut dx);
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
            Work::Conv(conv, reads) => {
                let macs = conv.macs(layer.input) as f64 * layer.images as f64;
                let what = format!(
                    "{}x{} {}->{} k{} s{} {reads:?}",
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
