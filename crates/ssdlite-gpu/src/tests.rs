//! The step against the CPU's plan: whole networks on Burn's CPU backend, and
//! miniatures with every operation also on the GPUs that the crate is built for,
//! as a processor that stands in for one takes minutes to compile the kernels of
//! each further shape.

mod miniature;

use std::num::NonZeroUsize;

use burn::tensor::Device;
use ssdlite_core::geometry::Fractions;
use ssdlite_core::{CenterBox, Graph, MapSize, MobileNetV3, OutputKind, Part, Variant};
use ssdlite_train::step::loss::{ClassificationLoss, CrossEntropy, HardNegatives, MultiboxLoss};
use ssdlite_train::step::{
    Batch, Cpu, Losses, Objective, OnCpu, StepOptions, StepTensors, Targets, TensorLayout,
    TrainingDevice, TrainingStep, random_values,
};
use ssdlite_train::{Error, Result};

use crate::device::{Gpu, Interface, open};
use crate::guard::guarded;

const IMAGES: NonZeroUsize = NonZeroUsize::new(3).unwrap();
const CLASSES: usize = 4;
const ALL: [Part; 4] = [Part::Backbone, Part::Extra, Part::Neck, Part::Head];

/// Burn's CPU backend.
fn flex() -> Gpu {
    Gpu {
        device: Device::flex(),
    }
}

/// Burn's CPU backend and the GPUs.
fn devices() -> Vec<(String, Gpu)> {
    let interfaces: &[Interface] = &[
        #[cfg(feature = "vulkan")]
        Interface::Vulkan,
        #[cfg(feature = "metal")]
        Interface::Metal,
    ];
    let opened = interfaces
        .iter()
        .map(|&interface| (format!("{interface:?}"), open(interface).unwrap()));
    std::iter::once(("Flex".to_owned(), flex()))
        .chain(opened)
        .collect()
}

fn small() -> MobileNetV3 {
    MobileNetV3 {
        width_multiplier: 0.25,
        ..MobileNetV3::new(Variant::Small)
    }
}

/// A network with what it is trained on: a batch drawn from a formula.
struct Example {
    graph: Graph,
    layout: TensorLayout,
    options: StepOptions,
    pixels: Vec<f32>,
    labels: Vec<i32>,
    regressions: Vec<f32>,
    default_boxes: Vec<CenterBox<Fractions>>,
}

impl Example {
    fn new(graph: Graph, trained: &[Part], side: usize) -> Self {
        let input = MapSize::new(side, side);
        let images = IMAGES.get();
        let detector = graph.outputs().count() == 2;
        let wave = |count: usize| -> Vec<f32> {
            (0..count)
                .map(|index| (index as f32 * 0.37).sin())
                .collect()
        };
        let sizes = graph.map_sizes(input);
        let numbers = |kind| {
            let output = graph.outputs().find(|(_, output)| output.kind == kind);
            output.map_or(0, |(node, output)| {
                let inputs = node.inputs.iter();
                let numbers: usize = inputs
                    .map(|&id| sizes[id.index()].cells() * graph.node(id).channels)
                    .sum();
                numbers / output.numbers
            })
        };
        let rows = images * numbers(OutputKind::Logits);
        // Every fifth box holds an object. All background boxes count, as
        // equal losses of two of them could be ranked either way.
        let label = |index: usize| {
            if index.is_multiple_of(5) {
                index / 5 % 4 + 1
            } else {
                0
            }
        };
        let class = |index: usize| index % CLASSES;
        let objective = if detector {
            Objective::Multibox(MultiboxLoss {
                classification: ClassificationLoss::Softmax(HardNegatives {
                    negative_ratio: 1e6,
                    ..HardNegatives::default()
                }),
                ..MultiboxLoss::default()
            })
        } else {
            Objective::CrossEntropy(CrossEntropy {
                label_smoothing: 0.1,
            })
        };
        Self {
            layout: TensorLayout::new(&graph, trained),
            pixels: wave(images * input.cells() * 3),
            labels: (0..rows)
                .map(|index| if detector { label(index) } else { class(index) } as i32)
                .collect(),
            regressions: wave(images * numbers(OutputKind::Regressions) * 4),
            default_boxes: vec![CenterBox::new(0.5, 0.5, 0.2, 0.3); rows / images],
            options: StepOptions {
                images: IMAGES,
                input,
                objective,
            },
            graph,
        }
    }

    fn step(&self, device: &dyn TrainingDevice) -> Run<'_> {
        let cpu = Cpu::new(NonZeroUsize::MIN).unwrap();
        Run {
            example: self,
            step: device
                .step(&self.graph, &self.layout, self.options, &cpu)
                .unwrap(),
            values: random_values(&self.layout, 1),
            gradients: vec![0.0; self.layout.len()],
        }
    }

    fn batch(&self, random: u64) -> Batch<'_> {
        let targets = match self.options.objective {
            Objective::CrossEntropy(_) => Targets::Classes(&self.labels),
            Objective::Multibox(_) => Targets::Boxes {
                labels: &self.labels,
                regressions: &self.regressions,
                default_boxes: &self.default_boxes,
            },
        };
        Batch {
            pixels: &self.pixels,
            targets,
            random,
        }
    }
}

/// A network in training on one device.
struct Run<'a> {
    example: &'a Example,
    step: Box<dyn TrainingStep>,
    values: Vec<f32>,
    gradients: Vec<f32>,
}

impl Run<'_> {
    fn step(&mut self, batch: Batch<'_>) -> Result<Losses> {
        let tensors = StepTensors {
            values: &self.values,
            gradients: &mut self.gradients,
        };
        self.step.run(batch, tensors)
    }

    fn gather_statistics(&mut self) {
        let pixels = &self.example.pixels;
        self.step
            .gather_statistics(pixels, &mut self.values)
            .unwrap();
    }

    fn descend(&mut self, rate: f32) {
        for slot in self
            .example
            .layout
            .slots()
            .iter()
            .filter(|slot| slot.trained)
        {
            for place in slot.range.clone() {
                self.values[place] -= rate * self.gradients[place];
            }
        }
    }
}

/// The difference's norm as a share of the expected one's.
fn difference(found: &[f32], expected: &[f32]) -> f64 {
    let norm = |numbers: &mut dyn Iterator<Item = f32>| -> f64 {
        numbers
            .map(|x| f64::from(x) * f64::from(x))
            .sum::<f64>()
            .sqrt()
    };
    let apart = norm(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    apart / norm(&mut expected.iter().copied()).max(1e-12)
}

/// Steps on the device and on the CPU agree: gradients and running statistics
/// of the first, losses of the first few.
fn follows(name: &str, device: &Gpu, example: &Example) {
    let mut found = example.step(device);
    let mut expected = example.step(&OnCpu);
    for step in 0..4 {
        let batch = example.batch(step);
        let losses = [&mut found, &mut expected].map(|run| run.step(batch).unwrap().total());
        assert!(
            (losses[0] - losses[1]).abs() < 1e-3,
            "{name}, step {step}: {losses:?}"
        );
        if step == 0 {
            let apart = difference(&found.gradients, &expected.gradients);
            assert!(apart < 1e-4, "{name}: gradients {apart}");
            for run in [&mut found, &mut expected] {
                run.gather_statistics();
            }
            let apart = difference(&found.values, &expected.values);
            assert!(apart < 1e-4, "{name}: running statistics {apart}");
        }
        for run in [&mut found, &mut expected] {
            run.descend(0.02);
        }
    }
}

#[test]
fn a_detector_follows_the_cpu() {
    let graph = small().detector(CLASSES, &[2, 3]);
    follows("Flex", &flex(), &Example::new(graph, &ALL, 64));
}

#[test]
fn a_classifier_follows_the_cpu_with_its_dropout() {
    let graph = small().classifier(CLASSES);
    follows("Flex", &flex(), &Example::new(graph, &ALL, 64));
}

#[test]
fn every_operation_follows_the_cpu_on_every_device() {
    for (name, device) in devices() {
        for graph in [miniature::detector(), miniature::classifier()] {
            follows(&name, &device, &Example::new(graph, &ALL, miniature::SIDE));
        }
    }
}

#[test]
fn parts_that_do_not_train_stay_as_they_are() {
    for (name, device) in devices() {
        let example = Example::new(miniature::detector(), &[Part::Head], miniature::SIDE);
        follows(&name, &device, &example);
        let mut run = example.step(&device);
        let before = run.values.clone();
        run.gradients.fill(7.0);
        run.step(example.batch(0)).unwrap();
        assert_eq!(run.values, before);
        run.gather_statistics();
        let slots = example.layout.slots().iter();
        for slot in slots.filter(|slot| slot.spec.part != Part::Head) {
            let (range, key) = (slot.range.clone(), &slot.spec.key);
            assert_eq!(run.values[range.clone()], before[range.clone()], "{key}");
            assert!(run.gradients[range].iter().all(|&number| number == 7.0));
        }
    }
}

#[test]
fn vectors_of_other_lengths_are_refused() {
    let example = Example::new(miniature::classifier(), &ALL, miniature::SIDE);
    for (name, device) in devices() {
        let mut run = example.step(&device);
        let mut batch = example.batch(0);
        batch.pixels = &batch.pixels[1..];
        let error = run.step(batch).unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{name}: {error}");
        run.gradients.pop();
        let error = run.step(example.batch(0)).unwrap_err();
        assert!(error.to_string().contains("gradients"), "{name}: {error}");
    }
}

#[test]
fn a_panic_becomes_an_error() {
    let error = guarded("expected a step", || -> Result<()> {
        panic!("no memory left")
    });
    let text = error.unwrap_err().to_string();
    assert_eq!(text, "expected a step; no memory left");
}
