//! Samples to pixels: coarser components made fine, colours made RGB.
//!
//! Sources: `jdsample.c` and `jdcolor.c` of libjpeg-turbo; the conversion of
//! CMYK is PIL's.

use ssdlite_kernels::Isa;
use ssdlite_kernels::isa::{Kernel, Simd};

use super::Scale;
use super::planes::Plane;
use super::segments::{Color, Frame, MAX_COMPONENTS};

/// Packed RGB of the frame's size at a scale.
pub(super) fn rgb(frame: &Frame, scale: Scale, planes: &[Plane], color: Color) -> Vec<u8> {
    Isa::detect().run(ToRgb {
        frame,
        scale,
        planes,
        color,
    })
}

struct ToRgb<'a> {
    frame: &'a Frame,
    scale: Scale,
    planes: &'a [Plane],
    color: Color,
}

impl Kernel for ToRgb<'_> {
    type Output = Vec<u8>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Vec<u8> {
        let Self {
            frame,
            scale,
            planes,
            color,
        } = self;
        let size = frame.scaled_size(scale);
        let (width, height) = (size.width as usize, size.height as usize);
        let of_plane = |plane| Source {
            plane,
            largest: frame.largest,
            is_smooth: scale.block_side() > 1,
        };
        let sources: Vec<_> = planes.iter().map(of_plane).collect();
        let mut buffers = [const { Buffer::new() }; MAX_COMPONENTS];
        let mut pixels = vec![0; width * height * 3];
        for (y, out) in pixels.chunks_exact_mut(width * 3).enumerate() {
            let mut rows = [[].as_slice(); MAX_COMPONENTS];
            for ((row, source), buffer) in rows.iter_mut().zip(&sources).zip(&mut buffers) {
                *row = &source.row(y, width, buffer)[..width];
            }
            convert(rows, color, out);
        }
        pixels
    }
}

/// Scratch memory for a row.
struct Buffer {
    sums: Vec<u16>,
    row: Vec<u8>,
}

impl Buffer {
    const fn new() -> Self {
        Self {
            sums: Vec::new(),
            row: Vec::new(),
        }
    }
}

/// The samples of a component, on the way to full size.
struct Source<'a> {
    plane: &'a Plane,
    /// The largest sampling factors, across and down.
    largest: (usize, usize),
    /// Whether halves are interpolated: libjpeg doesn't where a block is one pixel.
    is_smooth: bool,
}

impl<'a> Source<'a> {
    #[inline(always)]
    fn stored(&self, y: usize) -> &'a [u8] {
        let start = y * self.plane.stride;
        &self.plane.samples[start..start + self.plane.sampling.size.0]
    }

    /// Row `y` of the image, `width` samples or more. Halves are made whole by
    /// linear interpolation, other parts by repeating, as libjpeg does.
    #[inline(always)]
    fn row<'b>(&self, y: usize, width: usize, buffer: &'b mut Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        let (sampling, (largest_h, largest_v)) = (self.plane.sampling, self.largest);
        let (h, v) = sampling.factors;
        let near = self.stored(y * v / largest_v);
        let is_wide = self.is_smooth && sampling.size.0 > 2;
        let Buffer { sums, row } = buffer;
        sums.clear();
        row.clear();
        if h == largest_h && v == largest_v {
            return near;
        }
        if h == largest_h && 2 * v == largest_v && self.is_smooth {
            let bias = if y.is_multiple_of(2) { 1 } else { 2 };
            row.extend(self.blend(y).map(|sum| ((sum + bias) >> 2) as u8));
        } else if 2 * h == largest_h && v == largest_v && is_wide {
            sums.extend(near.iter().map(|&sample| u16::from(sample)));
            double(sums, (1, 2, 2), row);
        } else if 2 * h == largest_h && 2 * v == largest_v && is_wide {
            sums.extend(self.blend(y));
            double(sums, (8, 7, 4), row);
        } else {
            row.extend((0..width).map(|x| near[x * h / largest_h]));
        }
        row
    }

    /// Row `y` where the component has half the rows: three parts of the
    /// nearest row and one of the next but one, times four.
    #[inline(always)]
    fn blend(&self, y: usize) -> impl Iterator<Item = u16> + use<'a> {
        let near = y / 2;
        let far = match y % 2 {
            0 => near.saturating_sub(1),
            _ => (near + 1).min(self.plane.sampling.size.1 - 1),
        };
        let rows = self.stored(near).iter().zip(self.stored(far));
        rows.map(|(&near, &far)| 3 * u16::from(near) + u16::from(far))
    }
}

/// Twice as many samples: three parts of the nearest and one of the next. The
/// first two numbers of `rounding` are what is added for a sample's left and
/// right half, the third tells how many bits are cut off. Two samples at least.
#[inline(always)]
fn double(row: &[u16], rounding: (u16, u16, u32), doubled: &mut Vec<u8>) {
    let (left, right, bits) = rounding;
    let halves = |before: u16, near: u16, after: u16| {
        let sums = [3 * near + before + left, 3 * near + after + right];
        sums.map(|sum| (sum >> bits) as u8)
    };
    doubled.resize(row.len() * 2, 0);
    let pairs = doubled.as_chunks_mut().0;
    let last = row.len() - 1;
    pairs[0] = halves(row[0], row[0], row[1]);
    for (pair, near) in pairs[1..].iter_mut().zip(row.windows(3)) {
        *pair = halves(near[0], near[1], near[2]);
    }
    pairs[last] = halves(row[last - 1], row[last], row[last]);
}

#[inline(always)]
fn convert(rows: [&[u8]; MAX_COMPONENTS], color: Color, out: &mut [u8]) {
    let [first, second, third, fourth] = rows;
    let triples = first.iter().zip(second).zip(third);
    let triples = triples.map(|((&a, &b), &c)| [a, b, c]);
    let pixels = out.as_chunks_mut().0.iter_mut();
    match color {
        Color::Grey => pixels.zip(first).for_each(|(out, &grey)| *out = [grey; 3]),
        Color::Rgb => pixels.zip(triples).for_each(|(out, rgb)| *out = rgb),
        Color::YCbCr => convert_ycbcr([first, second, third], out),
        Color::Cmyk => pixels
            .zip(triples.zip(fourth))
            .for_each(|(out, (inks, &black))| *out = inks.map(|ink| over_black(ink, black))),
        Color::Ycck => pixels
            .zip(triples.zip(fourth))
            .for_each(|(out, (triple, &black))| {
                *out = rgb_from_ycbcr(triple).map(|light| over_black(255 - light, black));
            }),
    }
}

/// Pixels that are converted at once: apart, so that both loops, over numbers and
/// over bytes, are vector code.
const TOGETHER: usize = 64;

#[inline(always)]
fn convert_ycbcr(rows: [&[u8]; 3], out: &mut [u8]) {
    let mut planes = [[0; TOGETHER]; 3];
    let [y, cb, cr] = rows.map(|row| row.chunks(TOGETHER));
    for (((y, cb), cr), out) in y.zip(cb).zip(cr).zip(out.chunks_mut(3 * TOGETHER)) {
        let [red, green, blue] = &mut planes;
        for x in 0..y.len().min(cb.len()).min(cr.len()).min(TOGETHER) {
            [red[x], green[x], blue[x]] = rgb_from_ycbcr([y[x], cb[x], cr[x]]);
        }
        let pixels = red.iter().zip(green).zip(blue);
        for (out, ((red, green), blue)) in out.as_chunks_mut().0.iter_mut().zip(pixels) {
            *out = [*red, *green, *blue];
        }
    }
}

/// JFIF 1.02, "Colour space", with 16 bits behind the point.
#[inline(always)]
fn rgb_from_ycbcr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let red = y + ((91_881 * cr + HALF) >> 16); // 1.402
    let green = y + ((HALF - 22_554 * cb - 46_802 * cr) >> 16); // 0.34414, 0.71414
    let blue = y + ((116_130 * cb + HALF) >> 16); // 1.772
    [red, green, blue].map(|value| value.clamp(0, 255) as u8)
}

/// `ink * black / 255`, rounded; both inverted, so that 255 is no ink.
fn over_black(ink: u8, black: u8) -> u8 {
    let product = u32::from(255 - ink) * u32::from(black) + 128;
    black - (((product >> 8) + product) >> 8) as u8
}
