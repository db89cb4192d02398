//! What the convolutions read: a tensor as it lies in memory, or one that is
//! computed from others while it is read, block by block in the cache.
//!
//! Between two convolutions lie a batch norm and an activation, between their
//! gradients the derivatives of both. Computed on reading, neither result goes
//! through memory.

use std::ops::Range;

use super::statistics::{Affine, NormGradient};
use crate::activation::{Activation, Function, for_activation};
use crate::error::{Error, check_len};
use crate::isa::{Cache, Kernel, Simd};
use crate::width::{Width, for_vectors};

/// How far ahead of its reading a tensor is asked for, in numbers.
const AHEAD: usize = 1024;

/// The input of a convolution, `[pixels, channels]`.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// As it lies in memory.
    Plain(&'a [f32]),
    /// Computed from the previous convolution's output.
    Normalised(Normalised<'a>),
}

/// `activation(z * scale + shift)`, times a factor per image and channel if
/// there is squeeze-and-excite.
#[derive(Clone, Copy, Debug)]
pub struct Normalised<'a> {
    /// The previous convolution's output, `[pixels, channels]`.
    pub z: &'a [f32],
    /// Batch norm's scale and shift per channel.
    pub affine: &'a Affine,
    /// The activation after batch norm.
    pub activation: Activation,
    /// Squeeze-and-excite's factors, `[images, channels]`.
    pub image_scale: Option<&'a [f32]>,
}

/// The gradient of a convolution's output, `[pixels, channels]`.
#[derive(Clone, Copy, Debug)]
pub enum OutputGradient<'a> {
    /// As it lies in memory.
    Plain(&'a [f32]),
    /// Computed from `dy`, the gradient of what follows batch norm and
    /// activation.
    Normalised {
        /// The gradient of the activation's output, or of its product with
        /// squeeze-and-excite's factors where those are given.
        dy: &'a [f32],
        /// The way back from `dy`.
        norm: NormBackward<'a>,
    },
}

/// The second pass of batch norm's backward: of `dy` it makes
/// `of_du * activation'(u) * (dy * excite.scale + excite.shift) + of_z * z + of_one`
/// with `u = z * scale + shift` and the coefficients of a [`NormGradient`].
#[derive(Clone, Copy, Debug)]
pub struct NormBackward<'a> {
    /// The convolution's output, `[pixels, channels]`.
    pub z: &'a [f32],
    /// Batch norm's scale and shift per channel.
    pub affine: &'a Affine,
    /// The activation after batch norm.
    pub activation: Activation,
    /// What [`NormSums::gradient`](super::norm::NormSums::gradient) returned.
    pub gradient: &'a NormGradient,
    /// Where squeeze-and-excite follows the activation: its factors and the
    /// gradient that comes through its pooling.
    pub excite: Option<ExciteGradient<'a>>,
}

/// What squeeze-and-excite adds to the gradient of its input:
/// `dy * scale + shift`, each `[images, channels]`.
#[derive(Clone, Copy, Debug)]
pub struct ExciteGradient<'a> {
    /// The factors of the forward pass.
    pub scale: &'a [f32],
    /// The gradient of the pooled mean, divided by the pixels of an image.
    pub shift: &'a [f32],
}

/// Rows of channels that a kernel reads.
pub(crate) trait Rows: Copy + Sync {
    /// The rows as they lie in memory, if they do.
    fn plain(&self) -> Option<&[f32]>;

    /// Computes `rows` and writes them to `dst`, arranged as `place` says.
    ///
    /// # Safety
    /// The rows must exist (lengths checked by `check`), and `dst` be valid
    /// for writes wherever `place` puts a number.
    unsafe fn fill<S: Simd>(
        &self,
        s: S,
        layout: Layout,
        rows: Range<usize>,
        dst: *mut f32,
        place: Place,
    );
}

/// The shape of rows of channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) channels: usize,
    /// Rows of one image.
    pub(crate) pixels: usize,
}

/// Where computed rows go: number `i` of row `r` to
/// `r * row + i / LANES * vector + i % LANES`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) row: usize,
    pub(crate) vector: usize,
}

impl Place {
    /// Rows one after the other.
    #[inline(always)]
    pub(crate) fn rows<S: Simd>(channels: usize) -> Self {
        Self {
            row: channels,
            vector: S::LANES,
        }
    }

    /// Where channel `i`, the first of a vector, of row 0 goes.
    #[inline(always)]
    fn channel<S: Simd>(self, i: usize) -> usize {
        i / S::LANES * self.vector
    }
}

impl Input<'_> {
    pub(crate) fn check(&self, images: usize, layout: Layout) -> Result<(), Error> {
        let Layout { channels, pixels } = layout;
        let size = images * pixels * channels;
        match self {
            Self::Plain(x) => check_len("input", x, size),
            Self::Normalised(n) => {
                check_len("input z", n.z, size)?;
                n.affine.check(channels)?;
                match n.image_scale {
                    Some(scale) => check_len("image scale", scale, images * channels),
                    None => Ok(()),
                }
            }
        }
    }
}

impl OutputGradient<'_> {
    pub(crate) fn check(&self, images: usize, layout: Layout) -> Result<(), Error> {
        let Layout { channels, pixels } = layout;
        let size = images * pixels * channels;
        match self {
            Self::Plain(dz) => check_len("output gradient", dz, size),
            Self::Normalised { dy, norm } => {
                check_len("output gradient dy", dy, size)?;
                norm.check(images, layout)
            }
        }
    }
}

impl NormBackward<'_> {
    pub(crate) fn check(&self, images: usize, layout: Layout) -> Result<(), Error> {
        let Layout { channels, pixels } = layout;
        check_len("output z", self.z, images * pixels * channels)?;
        self.affine.check(channels)?;
        self.gradient.check(channels)?;
        if let Some(excite) = self.excite {
            excite.check(images, channels)?;
        }
        Ok(())
    }

    /// Makes `rows` of `dz` of those of `dy`, which points at the first of them
    /// and may be `dst` itself if the rows are placed one after the other.
    ///
    /// # Safety
    /// `check` has passed, `dy` is valid for reads of the rows, `dst` for writes
    /// wherever `place` puts a number.
    #[inline(always)]
    pub(crate) unsafe fn fill<S: Simd>(
        &self,
        s: S,
        layout: Layout,
        rows: Range<usize>,
        dy: *const f32,
        (dst, place): (*mut f32, Place),
    ) {
        s.run(FillGradient {
            norm: *self,
            layout,
            rows,
            dy,
            dst,
            place,
        });
    }
}

/// [`NormBackward::fill`], whose conditions hold.
struct FillGradient<'a> {
    norm: NormBackward<'a>,
    layout: Layout,
    rows: Range<usize>,
    dy: *const f32,
    dst: *mut f32,
    place: Place,
}

impl Kernel for FillGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            norm,
            layout,
            rows,
            dy,
            dst,
            place,
        } = self;
        for_activation!(norm.activation, F => {
            // SAFETY: who made this has checked the conditions.
            unsafe { fill_gradient::<S, F>(s, &norm, layout, rows, dy, (dst, place)) }
        });
    }
}

impl ExciteGradient<'_> {
    pub(crate) fn check(&self, images: usize, channels: usize) -> Result<(), Error> {
        check_len("excite scale", self.scale, images * channels)?;
        check_len("excite shift", self.shift, images * channels)
    }
}

/// Splits `rows` into runs of at most `$most` rows that don't cross images, and
/// runs `$body` with each run and its image.
macro_rules! for_runs {
    ($layout:expr, $rows:expr, $most:expr, |$run:ident, $image:ident| $body:expr) => {{
        let layout: Layout = $layout;
        let rows: std::ops::Range<usize> = $rows;
        let most: usize = $most;
        let mut row = rows.start;
        let mut $image = row / layout.pixels;
        while row < rows.end {
            let image_end = ($image + 1) * layout.pixels;
            let end = rows.end.min(image_end).min(row.saturating_add(most));
            let $run = row..end;
            $body;
            row = end;
            if row == image_end {
                $image += 1;
            }
        }
    }};
}
pub(crate) use for_runs;

impl Rows for Input<'_> {
    fn plain(&self) -> Option<&[f32]> {
        match self {
            Self::Plain(x) => Some(x),
            Self::Normalised(_) => None,
        }
    }

    #[inline(always)]
    unsafe fn fill<S: Simd>(
        &self,
        s: S,
        layout: Layout,
        rows: Range<usize>,
        dst: *mut f32,
        place: Place,
    ) {
        s.run(FillInput {
            input: *self,
            layout,
            rows,
            dst,
            place,
        });
    }
}

/// [`Input`]'s [`Rows::fill`], whose conditions hold.
struct FillInput<'a> {
    input: Input<'a>,
    layout: Layout,
    rows: Range<usize>,
    dst: *mut f32,
    place: Place,
}

impl Kernel for FillInput<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            input,
            layout,
            rows,
            dst,
            place,
        } = self;
        match input {
            // SAFETY: who made this has checked the conditions.
            Input::Plain(x) => unsafe { copy_rows(s, x, layout, rows, dst, place) },
            Input::Normalised(n) => for_activation!(n.activation, F => {
                // SAFETY: as above.
                unsafe { fill_normalised::<S, F>(s, &n, layout, rows, dst, place) }
            }),
        }
    }
}

impl Rows for OutputGradient<'_> {
    fn plain(&self) -> Option<&[f32]> {
        match self {
            Self::Plain(x) => Some(x),
            Self::Normalised { .. } => None,
        }
    }

    #[inline(always)]
    unsafe fn fill<S: Simd>(
        &self,
        s: S,
        layout: Layout,
        rows: Range<usize>,
        dst: *mut f32,
        place: Place,
    ) {
        match self {
            Self::Plain(x) => s.run(FillInput {
                input: Input::Plain(x),
                layout,
                rows,
                dst,
                place,
            }),
            Self::Normalised { dy, norm } => {
                let dy = dy[rows.start * layout.channels..].as_ptr();
                // SAFETY: as promised by the caller.
                unsafe { norm.fill(s, layout, rows, dy, (dst, place)) };
            }
        }
    }
}

/// # Safety
/// As [`Rows::fill`].
#[inline(always)]
unsafe fn copy_rows<S: Simd>(
    s: S,
    x: &[f32],
    layout: Layout,
    rows: Range<usize>,
    dst: *mut f32,
    place: Place,
) {
    let c = layout.channels;
    for (r, row) in rows.enumerate() {
        for_vectors!(S, c, |i, width| {
            // SAFETY: as in `fill_normalised`.
            unsafe {
                let dst = dst.add(r * place.row + place.channel::<S>(i));
                width.store(s, dst, width.load(s, x.as_ptr().add(row * c + i)));
            }
        });
    }
}

/// # Safety
/// As [`Rows::fill`].
#[inline(always)]
unsafe fn fill_normalised<S: Simd, F: Function>(
    s: S,
    n: &Normalised<'_>,
    layout: Layout,
    rows: Range<usize>,
    dst: *mut f32,
    place: Place,
) {
    let c = layout.channels;
    let (scale, shift) = n.affine.pointers();
    let first = rows.start;
    for_runs!(layout, rows, usize::MAX, |run, image| {
        let factor = n
            .image_scale
            .map(|factor| factor[image * c..][..c].as_ptr());
        for row in run {
            // SAFETY: rows of `z`, and channel `i` of each vector, are in
            // bounds by `check`; `dst` is the caller's promise.
            unsafe {
                let z = n.z.as_ptr().add(row * c);
                let dst = dst.add((row - first) * place.row);
                match factor {
                    None => for_vectors!(S, c, |i, width| {
                        let (a, b) = (width.load(s, scale.add(i)), width.load(s, shift.add(i)));
                        s.prefetch(z.wrapping_add(i + AHEAD), Cache::First);
                        let u = s.mul_add(width.load(s, z.add(i)), a, b);
                        width.store(s, dst.add(place.channel::<S>(i)), F::value(s, u));
                    }),
                    Some(factor) => for_vectors!(S, c, |i, width| {
                        let (a, b) = (width.load(s, scale.add(i)), width.load(s, shift.add(i)));
                        s.prefetch(z.wrapping_add(i + AHEAD), Cache::First);
                        let u = s.mul_add(width.load(s, z.add(i)), a, b);
                        let y = s.mul(F::value(s, u), width.load(s, factor.add(i)));
                        width.store(s, dst.add(place.channel::<S>(i)), y);
                    }),
                }
            }
        }
    });
}

/// # Safety
/// As [`NormBackward::fill`].
#[inline(always)]
unsafe fn fill_gradient<S: Simd, F: Function>(
    s: S,
    n: &NormBackward<'_>,
    layout: Layout,
    rows: Range<usize>,
    dy: *const f32,
    (dst, place): (*mut f32, Place),
) {
    let c = layout.channels;
    let (scale, shift) = n.affine.pointers();
    let [of_du, of_z, of_one] = n.gradient.pointers();
    let first = rows.start;
    for_runs!(layout, rows, usize::MAX, |run, image| {
        let excite = n.excite.map(|excite| {
            let start = image * c;
            (
                excite.scale[start..start + c].as_ptr(),
                excite.shift[start..start + c].as_ptr(),
            )
        });
        for row in run {
            // SAFETY: as in `fill_normalised`.
            unsafe {
                let z = n.z.as_ptr().add(row * c);
                let dy = dy.add((row - first) * c);
                let dst = dst.add((row - first) * place.row);
                match excite {
                    None => for_vectors!(S, c, |i, width| {
                        s.prefetch(z.wrapping_add(i + AHEAD), Cache::First);
                        s.prefetch(dy.wrapping_add(i + AHEAD), Cache::First);
                        let z = width.load(s, z.add(i));
                        let (a, b) = (width.load(s, scale.add(i)), width.load(s, shift.add(i)));
                        let du = F::backward(s, s.mul_add(z, a, b), width.load(s, dy.add(i)));
                        let dz =
                            s.mul_add(z, width.load(s, of_z.add(i)), width.load(s, of_one.add(i)));
                        let dz = s.mul_add(du, width.load(s, of_du.add(i)), dz);
                        width.store(s, dst.add(place.channel::<S>(i)), dz);
                    }),
                    Some((factor, through)) => for_vectors!(S, c, |i, width| {
                        s.prefetch(z.wrapping_add(i + AHEAD), Cache::First);
                        s.prefetch(dy.wrapping_add(i + AHEAD), Cache::First);
                        let z = width.load(s, z.add(i));
                        let (a, b) = (width.load(s, scale.add(i)), width.load(s, shift.add(i)));
                        let dy = s.mul_add(
                            width.load(s, dy.add(i)),
                            width.load(s, factor.add(i)),
                            width.load(s, through.add(i)),
                        );
                        let du = F::backward(s, s.mul_add(z, a, b), dy);
                        let dz =
                            s.mul_add(z, width.load(s, of_z.add(i)), width.load(s, of_one.add(i)));
                        let dz = s.mul_add(du, width.load(s, of_du.add(i)), dz);
                        width.store(s, dst.add(place.channel::<S>(i)), dz);
                    }),
                }
            }
        }
    });
}
