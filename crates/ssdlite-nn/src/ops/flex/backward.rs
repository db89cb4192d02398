//! The gradients of the operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, Shape, TensorMetadata};
use ssdlite_kernels::Activation as KernelActivation;
use ssdlite_kernels::Context;
use ssdlite_kernels::train::gradient::{ConvGradients, Epilogue, InputGradient, Store};
use ssdlite_kernels::train::norm::{
    Affine, Moments, NormContext, NormGradient, norm_backward_sums, normalise,
};
use ssdlite_kernels::train::operand::{ExciteGradient, NormBackward, Normalised, OutputGradient};
use ssdlite_kernels::train::squeeze_excite::{self as kernels, Excited};

use super::super::gradients;
use super::super::{
    BiasedConvolutionGradients, Convolution, Excitation, ExcitationGradients, Gate, GateValues,
    NetworkGradients, NormGradients, UnitGradients, UnitInput, UnitRecord, Wanted,
};
use super::convolution::Kernel;
use super::memory::{Buffer, Note, take_note};
use super::tensors::{
    ExcitationNumbers, Map, MapSize, Numbers, Source, fitting, kernel_activation,
};
use super::threads;

impl NetworkGradients for Flex {
    fn unit_backward(
        record: UnitRecord<Self>,
        gradient: FloatTensor<Self>,
        wanted: Wanted,
    ) -> UnitGradients<Self> {
        let weight = &record.parameters.weight;
        let kernel = Kernel::new(&record.input, weight, record.spec.convolution)
            .filter(|kernel| kernel.has_input_gradient() || !wanted.input);
        let Some(kernel) = kernel else {
            return gradients::unit_backward(record, gradient, wanted);
        };
        let gradient = Map::new(gradient);
        let note = take_note(&gradient);
        // The factors' gradient is gathered by the one that reads the map, and
        // by no other operation.
        let factors = match (&record.output.gate, note) {
            (Gate::Absent, note) => GateGradient::Absent { note },
            (Gate::Present(_), Some(Note::Factors(factors))) => GateGradient::Present(factors),
            (Gate::Present(_), _) => {
                return gradients::unit_backward(record, gradient.into_tensor(), wanted);
            }
        };
        threads::with_cpu_context(|cx| {
            unit_backward(cx, &kernel, record, &gradient, factors, wanted)
        })
    }

    fn biased_convolution_backward(
        input: UnitInput<Self>,
        weight: FloatTensor<Self>,
        convolution: Convolution,
        gradient: FloatTensor<Self>,
        wanted: Wanted,
    ) -> BiasedConvolutionGradients<Self> {
        let kernel = Kernel::new(&input, &weight, convolution);
        let Some(kernel) = kernel.filter(|kernel| kernel.as_pointwise().is_some()) else {
            return gradients::biased_convolution_backward(
                input,
                weight,
                convolution,
                gradient,
                wanted,
            );
        };
        let gradient = Map::new(gradient);
        let mut bias = vec![0.0; gradient.size.channels];
        let (input, weight) = threads::with_cpu_context(|cx| {
            let pass = Pass {
                kernel: &kernel,
                source: &Source::new(input),
                weight,
                wanted,
            };
            pass.run(cx, OutputGradient::Plain(&gradient), Some(&mut bias))
        });
        BiasedConvolutionGradients {
            input,
            weight,
            bias: Numbers::from_vec(bias).into_tensor(),
        }
    }

    fn average_pool_backward(shape: Shape, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let size = MapSize::of_shape(&shape);
        let pooled = Numbers::new(gradient);
        let mut gradient = Buffer::take(size.len());
        threads::with_cpu_context(|cx| {
            let shape = size.shape();
            fitting(kernels::average_pool_backward(
                cx,
                shape,
                &pooled,
                &mut gradient,
            ));
        });
        gradient.into_map(size)
    }

    fn accumulate(one: FloatTensor<Self>, other: FloatTensor<Self>) -> FloatTensor<Self> {
        let (one, other) = (Map::new(one), Map::new(other));
        threads::with_cpu_context(|cx| sum(cx, &one, &other))
    }
}

/// One plus the other, and what is known of both.
fn sum(cx: Context<'_>, one: &Map, other: &Map) -> FloatTensor<Flex> {
    let channels = one.size.channels;
    let (zeros, ones) = (vec![0.0; channels], vec![1.0; channels]);
    let affine = fitting(Affine::from_norm(&zeros, &ones, &ones, &zeros, 0.0));
    let unchanged = Normalised {
        z: one,
        affine: &affine,
        activation: KernelActivation::None,
        image_scale: None,
    };
    let note = Note::of_sum(take_note(one), take_note(other));
    let mut sum = Buffer::take(one.len());
    let shape = one.size.shape();
    fitting(normalise(cx, shape, unchanged, Some(other), &mut sum));
    sum.into_noted_map(one.size, note)
}

/// What has been gathered of a unit's gradient.
enum GateGradient {
    /// There is no squeeze-and-excitation.
    Absent { note: Option<Note> },
    /// That of the factors, `[N, C]`.
    Present(Vec<f32>),
}

fn unit_backward(
    cx: Context<'_>,
    kernel: &Kernel,
    record: UnitRecord<Flex>,
    gradient: &Map,
    gathered: GateGradient,
    wanted: Wanted,
) -> UnitGradients<Flex> {
    let UnitRecord {
        input,
        parameters,
        output,
        batch_statistics,
        spec,
    } = record;
    let values = Map::new(output.values);
    let shape = values.size.shape();
    let [mean, variance] = [output.mean, output.variance].map(Numbers::new);
    let [gamma, beta] = [parameters.gamma, parameters.beta].map(Numbers::new);
    let epsilon = spec.norm.epsilon as f32;
    let affine = fitting(Affine::from_norm(&mean, &variance, &gamma, &beta, epsilon));
    let activation = kernel_activation(spec.norm.activation);

    let (sums, excitation) = match (gathered, output.gate, parameters.excitation) {
        (GateGradient::Present(factors), Gate::Present(gate), Excitation::Present(parameters)) => {
            let excited = excited(gate);
            let parameters = ExcitationNumbers::new(parameters);
            let excite = parameters.excite();
            let gradients = kernels::excite_backward(cx, shape, excite, &excited, &factors);
            (None, Some((excited.scale, fitting(gradients))))
        }
        (
            GateGradient::Absent {
                note: Some(Note::Norm(sums)),
            },
            _,
            _,
        ) => (Some(sums), None),
        _ => (None, None),
    };
    let excite = excitation
        .as_ref()
        .map(|(scale, gradients)| ExciteGradient {
            scale,
            shift: &gradients.shift,
        });
    let sums = sums.unwrap_or_else(|| {
        let norm = NormContext {
            affine: &affine,
            mean: &mean,
            activation,
        };
        fitting(norm_backward_sums(
            cx,
            shape,
            norm,
            (gradient, &values),
            excite,
        ))
    });
    let moments = Moments {
        mean: mean.to_vec(),
        variance: variance.to_vec(),
        count: shape.rows(),
    };
    let statistics_gradient = fitting(sums.gradient(&moments, &gamma, epsilon));
    let constant_gradient = NormGradient::frozen(&affine);
    let norm = NormBackward {
        z: &values,
        affine: &affine,
        activation,
        gradient: if batch_statistics {
            &statistics_gradient
        } else {
            &constant_gradient
        },
        excite,
    };
    let pass = Pass {
        kernel,
        source: &Source::new(input),
        weight: parameters.weight,
        wanted,
    };
    let (input, weight) = pass.run(cx, OutputGradient::Normalised { dy: gradient, norm }, None);
    UnitGradients {
        input,
        weight,
        norm: NormGradients {
            gamma: Numbers::from_vec(statistics_gradient.dgamma).into_tensor(),
            beta: Numbers::from_vec(statistics_gradient.dbeta).into_tensor(),
        },
        excitation: excitation.map(|(_, gradients)| excitation_gradients(gradients)),
    }
}

fn excited(gate: GateValues<Flex>) -> Excited {
    let [pooled, hidden, scale] =
        [gate.pooled, gate.hidden, gate.factors].map(|part| Numbers::new(part).to_vec());
    Excited {
        pooled,
        hidden,
        scale,
    }
}

fn excitation_gradients(gradients: kernels::ExciteGradients) -> ExcitationGradients<Flex> {
    let (squeezed, channels) = (gradients.squeeze_bias.len(), gradients.expand_bias.len());
    let matrix = |values: Vec<f32>, rows: usize, columns: usize| {
        Numbers::from_vec(values).into_tensor_of([rows, columns, 1, 1])
    };
    ExcitationGradients {
        squeeze: matrix(gradients.squeeze, squeezed, channels),
        squeeze_bias: Numbers::from_vec(gradients.squeeze_bias).into_tensor(),
        expand: matrix(gradients.expand, channels, squeezed),
        expand_bias: Numbers::from_vec(gradients.expand_bias).into_tensor(),
    }
}

/// A convolution's backward pass.
struct Pass<'a> {
    kernel: &'a Kernel,
    source: &'a Source,
    weight: FloatTensor<Flex>,
    wanted: Wanted,
}

impl Pass<'_> {
    /// The gradients of input and weight, with a note on the input's.
    fn run(
        self,
        cx: Context<'_>,
        output: OutputGradient<'_>,
        bias: Option<&mut [f32]>,
    ) -> (Option<FloatTensor<Flex>>, Option<FloatTensor<Flex>>) {
        let Self {
            kernel,
            source,
            weight,
            wanted,
        } = self;
        let size = source.size();
        let shape = weight.shape().dims();
        let weight = Numbers::new(weight);
        let mut input_gradient = wanted.input.then(|| Buffer::take(size.len()));
        let mut weight_gradient = wanted.weight.then(|| Buffer::take(weight.len()));
        let mut factors = source.factors().map(|count| vec![0.0; count]);
        let gradients = ConvGradients {
            input: input_gradient.as_deref_mut().map(|dx| InputGradient {
                dx,
                store: Store::Overwrite,
                epilogue: match (factors.as_deref_mut(), source.mean_without_factors()) {
                    (Some(factors), _) => Epilogue::ImageScale(factors),
                    (None, Some(mean)) => Epilogue::NormSums { mean },
                    (None, None) => Epilogue::Nothing,
                },
            }),
            weight: weight_gradient.as_deref_mut(),
            bias,
        };
        let sums = kernel.backward(cx, source.input(), output, &weight, gradients);
        let note = factors.map(Note::Factors).or(sums.map(Note::Norm));
        (
            input_gradient.map(|gradient| gradient.into_noted_map(size, note)),
            weight_gradient.map(|gradient| gradient.into_tensor::<4>(shape)),
        )
    }
}
