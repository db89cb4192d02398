//! The first convolution: 3x3, stride 2, three input channels, padded by one.
//!
//! It is a product of 27 numbers a pixel, gathered block by block into the
//! cache. The images need no gradient, so there is none.

use std::ops::Range;

use super::gemm::Addend;
use super::gradient::{Store, Sums};
use super::map::{MapShape, MapSize};
use super::operand::{Layout, OutputGradient, Place, Rows};
use super::pointwise::{self, PointwiseShape, Wanted};
use super::statistics::Moments;
use super::sums::{MomentSums, PerPart};
use crate::Context;
use crate::error::{Error, check_len, checked_size};
use crate::isa::Simd;

/// Channels of an image.
const COLORS: usize = 3;
const KERNEL: usize = 3;
/// Numbers that an output pixel is made of, `[row, column, color]`.
const PATCH: usize = KERNEL * KERNEL * COLORS;
/// Numbers of a patch that are neighbours in an image.
const PATCH_ROW: usize = KERNEL * COLORS;

/// The shape of the stem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StemShape {
    images: usize,
    size: MapSize,
    outputs: usize,
}

impl StemShape {
    /// From `images` images of `size` pixels to `outputs` channels.
    ///
    /// # Errors
    /// If a dimension is zero or a product overflows.
    pub fn new(images: usize, size: MapSize, outputs: usize) -> Result<Self, Error> {
        let MapSize { height, width } = size;
        checked_size("stem input", &[images, height, width, PATCH])?;
        checked_size("stem output", &[images, height, width, outputs])?;
        Ok(Self {
            images,
            size,
            outputs,
        })
    }

    /// Height and width of the output.
    pub fn output_size(&self) -> MapSize {
        MapSize {
            height: self.size.height.div_ceil(2),
            width: self.size.width.div_ceil(2),
        }
    }

    /// The output's shape.
    pub fn output(&self) -> MapShape {
        self.map(self.outputs)
    }

    /// Numbers in the images, `[images, height, width, 3]`.
    pub fn input_size(&self) -> usize {
        self.images * self.size.height * self.size.width * COLORS
    }

    /// Numbers in the weight, `[outputs, 3, 3, 3]`: output, color, row, column.
    pub fn weight_size(&self) -> usize {
        self.outputs * PATCH
    }

    fn map(&self, channels: usize) -> MapShape {
        let MapSize { height, width } = self.output_size();
        MapShape::new(self.images, height * width, channels).expect("checked by the constructor")
    }

    fn as_pointwise(&self) -> PointwiseShape {
        PointwiseShape::new(self.map(PATCH), self.outputs).expect("checked by the constructor")
    }
}

/// `z`, the convolution of `images`.
///
/// # Errors
/// If a length isn't that of the shape.
pub fn stem_forward(
    cx: Context<'_>,
    shape: StemShape,
    images: &[f32],
    weight: &[f32],
    z: &mut [f32],
) -> Result<(), Error> {
    forward(cx, shape, images, weight, z, None)
}

/// [`stem_forward`] and the moments of `z` for the batch norm after it.
///
/// # Errors
/// If a length isn't that of the shape.
pub fn stem_forward_moments(
    cx: Context<'_>,
    shape: StemShape,
    images: &[f32],
    weight: &[f32],
    z: &mut [f32],
) -> Result<Moments, Error> {
    let parts = PerPart::new(cx.pool.parts());
    forward(cx, shape, images, weight, z, Some(&parts))?;
    Ok(MomentSums::combine(parts.into_parts(), shape.outputs))
}

fn forward(
    cx: Context<'_>,
    shape: StemShape,
    images: &[f32],
    weight: &[f32],
    z: &mut [f32],
    moments: Option<&PerPart<MomentSums>>,
) -> Result<(), Error> {
    check_len("images", images, shape.input_size())?;
    check_len("weight", weight, shape.weight_size())?;
    check_len("z", z, shape.output().size())?;
    let mut by_patch = vec![0.0; weight.len()];
    for (i, &weight) in weight.iter().enumerate() {
        by_patch[patch_index(i)] = weight;
    }
    let packed = pointwise::pack_forward(cx, &by_patch, PATCH, shape.outputs);
    let patches = Patches { shape, images };
    pointwise::multiply_rows(
        cx,
        shape.map(PATCH),
        patches,
        &packed,
        Addend::None,
        z,
        moments,
    );
    Ok(())
}

/// The weight gradient, given the output's.
///
/// # Errors
/// If a length isn't that of the shape.
pub fn stem_backward(
    cx: Context<'_>,
    shape: StemShape,
    images: &[f32],
    output: OutputGradient<'_>,
    dweight: &mut [f32],
) -> Result<(), Error> {
    check_len("images", images, shape.input_size())?;
    output.check(shape.images, shape.output().layout())?;
    check_len("weight gradient", dweight, shape.weight_size())?;
    let mut by_patch = vec![0.0; dweight.len()];
    let wanted = Wanted {
        dx: None,
        store: Store::Overwrite,
        after: Sums::Nothing,
        dweight: Some(&mut by_patch),
        dbias: None,
    };
    let patches = Patches { shape, images };
    pointwise::backward(cx, shape.as_pointwise(), patches, output, None, wanted);
    for (i, dweight) in dweight.iter_mut().enumerate() {
        *dweight = by_patch[patch_index(i)];
    }
    Ok(())
}

/// Where number `i` of a weight, `[outputs, color, row, column]`, is in the
/// order of patches, `[outputs, row, column, color]`.
fn patch_index(i: usize) -> usize {
    let (output, tap) = (i / PATCH, i % PATCH);
    let (color, cell) = (tap / (KERNEL * KERNEL), tap % (KERNEL * KERNEL));
    output * PATCH + cell * COLORS + color
}

/// For each output pixel, the numbers that it is made of.
#[derive(Clone, Copy)]
struct Patches<'a> {
    shape: StemShape,
    images: &'a [f32],
}

impl Rows for Patches<'_> {
    fn plain(&self) -> Option<&[f32]> {
        None
    }

    #[inline(always)]
    unsafe fn fill<S: Simd>(
        &self,
        _: S,
        _: Layout,
        rows: Range<usize>,
        dst: *mut f32,
        place: Place,
    ) {
        let MapSize { height, width } = self.shape.size;
        let out = self.shape.output_size();
        let mut x = rows.start % out.width;
        let line = rows.start / out.width;
        let (mut image, mut y) = (line / out.height, line % out.height);
        for row in 0..rows.len() {
            for ky in 0..KERNEL {
                // SAFETY: the caller promises `PATCH` numbers at each row.
                let dst = unsafe { dst.add(row * place.row + ky * PATCH_ROW) };
                // Row `2 * y + ky - 1`, from column `2 * x - 1`.
                let line = (2 * y + ky).wrapping_sub(1);
                if line >= height {
                    // SAFETY: as above.
                    unsafe { dst.write_bytes(0, PATCH_ROW) };
                    continue;
                }
                let start = (image * height + line) * width * COLORS;
                let line = &self.images[start..start + width * COLORS];
                if x > 0 && 2 * x + 1 < width {
                    let first = (2 * x - 1) * COLORS;
                    let patch = &line[first..first + PATCH_ROW];
                    // SAFETY: as above.
                    unsafe { dst.copy_from_nonoverlapping(patch.as_ptr(), PATCH_ROW) };
                } else {
                    for i in 0..PATCH_ROW {
                        let column = (2 * x + i / COLORS).wrapping_sub(1);
                        let value = if column < width {
                            line[column * COLORS + i % COLORS]
                        } else {
                            0.0
                        };
                        // SAFETY: as above.
                        unsafe { dst.add(i).write(value) };
                    }
                }
            }
            x += 1;
            if x == out.width {
                x = 0;
                y += 1;
                if y == out.height {
                    y = 0;
                    image += 1;
                }
            }
        }
    }
}
