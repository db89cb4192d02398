//! What a convolution's backward pass is asked for.

use std::ops::Range;

use super::map::MapShape;
use super::norm::NormContext;
use super::operand::{Input, Layout, Normalised, for_runs};
use super::sums::ChannelSums;
use crate::activation::{Function, for_activation};
use crate::error::{Error, check_len};
use crate::isa::{Kernel, Simd};
use crate::memory::Shared;
use crate::width::{Width, for_vectors};

/// The gradients that a convolution's backward pass writes. What isn't asked
/// for isn't computed.
#[derive(Debug, Default)]
pub struct ConvGradients<'a> {
    /// That of the input.
    pub input: Option<InputGradient<'a>>,
    /// That of the weight, in the weight's shape.
    pub weight: Option<&'a mut [f32]>,
    /// That of the bias; pointwise convolutions alone have one.
    pub bias: Option<&'a mut [f32]>,
}

/// The gradient of a convolution's input.
#[derive(Debug)]
pub struct InputGradient<'a> {
    /// Receives the gradient of what the convolution read (for an
    /// [`Input::Normalised`] the activated, scaled value), in the input's shape.
    pub dx: &'a mut [f32],
    /// Whether `dx` holds the gradients of the input's other readers.
    pub store: Store,
    /// What else is computed from `dx` while it is in the cache: with
    /// [`Store::Add`] from the sum, so it is for the last reader to ask.
    pub epilogue: Epilogue<'a>,
}

/// What becomes of the numbers where a gradient is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// They are overwritten.
    Overwrite,
    /// The gradient is added to them.
    Add,
}

/// What is gathered from an input's gradient as it is written.
#[derive(Debug)]
pub enum Epilogue<'a> {
    /// Nothing.
    Nothing,
    /// The sums of batch norm's backward pass; the input must be
    /// [`Input::Normalised`] without `image_scale`.
    NormSums {
        /// The mean of the input's `z`, per channel.
        mean: &'a [f32],
    },
    /// The gradient of `image_scale`, `[images, channels]`; the input must be
    /// [`Input::Normalised`] with one.
    ImageScale(&'a mut [f32]),
}

impl<'a> InputGradient<'a> {
    /// The gradient alone.
    pub fn alone(dx: &'a mut [f32]) -> Self {
        Self {
            dx,
            store: Store::Overwrite,
            epilogue: Epilogue::Nothing,
        }
    }

    pub(super) fn check(&self, map: MapShape, input: Input<'_>) -> Result<(), Error> {
        check_len("input gradient", self.dx, map.size())?;
        let scaled = match input {
            Input::Plain(_) => None,
            Input::Normalised(n) => Some(n.image_scale.is_some()),
        };
        match (&self.epilogue, scaled) {
            (Epilogue::Nothing, _) => Ok(()),
            (Epilogue::NormSums { mean }, Some(false)) => check_len("mean", mean, map.channels()),
            (Epilogue::ImageScale(gradient), Some(true)) => check_len(
                "image scale gradient",
                gradient,
                map.images() * map.channels(),
            ),
            (Epilogue::NormSums { .. }, found) => Err(Error::Shape {
                what: "image scales of an input whose norm sums are wanted",
                expected: "a normalised input with 0",
                found: usize::from(found.is_some()),
            }),
            (Epilogue::ImageScale(_), found) => Err(Error::Shape {
                what: "image scales of an input whose scale's gradient is wanted",
                expected: "a normalised input with 1",
                found: usize::from(found == Some(true)),
            }),
        }
    }
}

/// [`Epilogue`] in the form that threads share, together with the input it needs.
#[derive(Clone, Copy)]
pub(super) enum Sums<'a> {
    Nothing,
    Norm {
        norm: NormContext<'a>,
        z: &'a [f32],
    },
    ImageScale {
        input: Normalised<'a>,
        gradient: Shared<'a, f32>,
    },
}

impl<'a> Sums<'a> {
    /// `epilogue` was checked against `input`.
    pub(super) fn new(epilogue: Epilogue<'a>, input: Input<'a>) -> Self {
        match (epilogue, input) {
            (Epilogue::NormSums { mean }, Input::Normalised(input)) => Self::Norm {
                norm: NormContext {
                    affine: input.affine,
                    mean,
                    activation: input.activation,
                },
                z: input.z,
            },
            (Epilogue::ImageScale(gradient), Input::Normalised(input)) => Self::ImageScale {
                input,
                gradient: Shared::new(gradient),
            },
            _ => Self::Nothing,
        }
    }

    pub(super) fn wants_norm_sums(&self) -> bool {
        matches!(self, Self::Norm { .. })
    }

    /// Whether a thread must have all rows of an image, in order.
    pub(super) fn wants_whole_images(&self) -> bool {
        matches!(self, Self::ImageScale { .. })
    }

    /// Gathers from `dx`, the gradient of `rows` of the input.
    ///
    /// # Safety
    /// `dx` must be valid for reads of the rows, the input checked against the
    /// layout. Where whole images are wanted, no other thread has rows of
    /// theirs, and the first row of an image comes first.
    #[inline(always)]
    pub(super) unsafe fn add<S: Simd>(
        &self,
        s: S,
        layout: Layout,
        rows: Range<usize>,
        dx: *const f32,
        sums: Option<&mut ChannelSums>,
    ) {
        match (self, sums) {
            (Self::Norm { norm, z }, Some(sums)) => {
                let z = z[rows.start * layout.channels..].as_ptr();
                // SAFETY: rows of `z` are in bounds; `dx` is the caller's promise.
                unsafe { norm.add_sums(s, layout, rows, (dx, z), None, sums) }
            }
            (&Self::ImageScale { input, gradient }, _) => s.run(AddImageScale {
                input,
                layout,
                rows,
                dx,
                gradient,
            }),
            _ => {}
        }
    }
}

/// [`Sums::add`] for an image scale, whose conditions hold.
struct AddImageScale<'a> {
    input: Normalised<'a>,
    layout: Layout,
    rows: Range<usize>,
    dx: *const f32,
    gradient: Shared<'a, f32>,
}

impl Kernel for AddImageScale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            input,
            layout,
            rows,
            dx,
            gradient,
        } = self;
        for_activation!(input.activation, F => {
            // SAFETY: who made this has checked the conditions.
            unsafe { add_image_scale::<S, F>(s, &input, layout, rows, dx, &gradient) }
        });
    }
}

/// # Safety
/// As [`Sums::add`].
#[inline(always)]
unsafe fn add_image_scale<S: Simd, F: Function>(
    s: S,
    input: &Normalised<'_>,
    layout: Layout,
    rows: Range<usize>,
    dx: *const f32,
    gradient: &Shared<'_, f32>,
) {
    let c = layout.channels;
    let (scale, shift) = input.affine.pointers();
    let first = rows.start;
    for_runs!(layout, rows, (4096 / c).max(8), |run, image| {
        // SAFETY: this thread alone has the image.
        let gradient = unsafe { gradient.part(image * c..(image + 1) * c) };
        if run.start == image * layout.pixels {
            gradient.fill(0.0);
        }
        for_vectors!(S, c, |i, width| {
            // SAFETY: rows of `z` and the vectors per channel are in bounds;
            // `dx` is the caller's promise.
            unsafe {
                let scale = width.load(s, scale.add(i));
                let shift = width.load(s, shift.add(i));
                let gradient = gradient.as_mut_ptr().add(i);
                let mut sum = s.zero();
                let (dx, z) = (dx.add(i), input.z.as_ptr().add(i));
                for row in run.clone() {
                    let u = s.mul_add(width.load(s, z.add(row * c)), scale, shift);
                    let dx = width.load(s, dx.add((row - first) * c));
                    sum = s.mul_add(F::value(s, u), dx, sum);
                }
                width.store(s, gradient, s.add(width.load(s, gradient), sum));
            }
        });
    });
}
