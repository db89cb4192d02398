//! A training step, node by node, on the shapes of the networks.
//!
//! `cargo bench -p ssdlite-train --bench steps -- [NAME...]` with names of
//! [`NETWORKS`]; `threads=N` and `rounds=N` set these. For each node it prints
//! the median time in milliseconds of its forward and its backward pass in the
//! course of the whole step.

#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::error::Error;
use std::num::NonZeroUsize;
use std::time::Instant;

use ssdlite_core::{CenterBox, MapSize, MobileNetV3, Part, Variant};
use ssdlite_train::step::loss::{CrossEntropy, MultiboxLoss};
use ssdlite_train::step::{
    Batch, Cpu, Objective, Parameters, Pass, StepOptions, StepPlan, Targets, TensorLayout,
    random_values,
};

/// Name, network, side of the images, batch, and classes of a detector.
const NETWORKS: [(&str, Variant, usize, usize, Option<usize>); 4] = [
    ("classifier-small-224", Variant::Small, 224, 32, None),
    ("classifier-large-224", Variant::Large, 224, 32, None),
    ("detector-small-300", Variant::Small, 300, 24, Some(20)),
    ("detector-large-320", Variant::Large, 320, 24, Some(20)),
];

const PARTS: [Part; 4] = [Part::Backbone, Part::Extra, Part::Neck, Part::Head];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |key: &str, default: usize| {
        let mut values = arguments
            .iter()
            .filter_map(|argument| argument.strip_prefix(key));
        values.next().map_or(Ok(default), str::parse)
    };
    let threads = NonZeroUsize::new(number("threads=", 2)?).ok_or("expected a thread")?;
    let rounds = number("rounds=", 7)?;
    let is_name = |argument: &&String| !argument.contains('=') && !argument.starts_with("--");
    let names: Vec<&String> = arguments.iter().filter(is_name).collect();
    let cpu = Cpu::new(threads)?;
    for network in NETWORKS {
        if names.is_empty() || names.iter().any(|name| *name == network.0) {
            println!("{}, batch {}, {threads} threads", network.0, network.3);
            measure(network, &cpu, rounds)?;
        }
    }
    Ok(())
}

fn measure(
    (_, variant, side, images, classes): (&str, Variant, usize, usize, Option<usize>),
    cpu: &Cpu,
    rounds: usize,
) -> Result<(), Box<dyn Error>> {
    let network = MobileNetV3::new(variant);
    let graph = match classes {
        Some(classes) => network.detector(classes, &[6; 6]),
        None => network.classifier(1000),
    };
    let input = MapSize::new(side, side);
    let boxes: usize = graph
        .feature_maps(input)
        .iter()
        .map(|map| 6 * map.cells())
        .sum();
    let labels: Vec<i32> = (0..images * boxes.max(1))
        .map(|n| i32::from(n % 97 == 0))
        .collect();
    let regressions = vec![0.5; images * boxes * 4];
    let default_boxes = vec![CenterBox::new(0.5, 0.5, 0.2, 0.3); boxes];
    let (objective, targets) = match classes {
        None => (
            Objective::CrossEntropy(CrossEntropy::default()),
            Targets::Classes(&labels),
        ),
        Some(_) => (
            Objective::Multibox(MultiboxLoss::default()),
            Targets::Boxes {
                labels: &labels,
                regressions: &regressions,
                default_boxes: &default_boxes,
            },
        ),
    };
    let layout = TensorLayout::new(&graph, &PARTS);
    let options = StepOptions {
        images: NonZeroUsize::new(images).ok_or("expected an image")?,
        input,
        objective,
    };
    let mut plan = StepPlan::new(&graph, &layout, options, cpu)?;
    let values = random_values(&layout, 0);
    let mut parameters = Parameters::new(layout, values)?;
    let pixels: Vec<f32> = (0..images * input.cells() * 3)
        .map(|n| (n as f32 * 0.37).sin())
        .collect();
    let mut order = Vec::new();
    let mut times: HashMap<(String, Pass), Vec<f64>> = HashMap::new();
    for round in 0..=rounds {
        let mut last = Instant::now();
        let batch = Batch {
            pixels: &pixels,
            targets,
            random: round as u64,
        };
        plan.run_watched(batch, parameters.step_tensors(), |pass, key| {
            let seconds = last.elapsed().as_secs_f64();
            last = Instant::now();
            if round == 0 {
                // The first round faults the pages in.
                if pass == Pass::Forward && !order.iter().any(|known| known == key) {
                    order.push(key.to_owned());
                }
                return;
            }
            times
                .entry((key.to_owned(), pass))
                .or_default()
                .push(seconds);
        })?;
    }
    let mut median = |key: &str, pass| {
        let times = times.get_mut(&(key.to_owned(), pass));
        let Some(times) = times.filter(|times| !times.is_empty()) else {
            return 0.0;
        };
        // Nodes of one name, such as sums, are counted together.
        let nodes = times.len() / rounds.max(1);
        times.sort_by(f64::total_cmp);
        1e3 * times[times.len() / 2] * nodes as f64
    };
    let mut totals = [0.0; 2];
    for key in &order {
        let [forward, backward] = [Pass::Forward, Pass::Backward].map(|pass| median(key, pass));
        totals[0] += forward;
        totals[1] += backward;
        println!("{forward:9.3} {backward:9.3} ms  {key}");
    }
    println!("{:9.3} {:9.3} ms  sum of medians", totals[0], totals[1]);
    Ok(())
}
