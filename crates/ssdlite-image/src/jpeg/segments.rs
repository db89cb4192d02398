//! Markers, tables and headers; ITU-T T.81, annex B.

use image::metadata::Orientation;
use ssdlite_core::ImageSize;

use super::huffman::{HuffmanTable, STANDARD_TABLES, StatedTable};
use super::{Scale, malformed, orientation_from_exif, unsupported};
use crate::error::Result;

/// The most components that are read.
pub(super) const MAX_COMPONENTS: usize = 4;

/// The coefficients of a block, in the order of the file: position in a block
/// that is stored row by row. T.81, figure A.6.
#[rustfmt::skip]
pub(super) const ZIGZAG: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10,
    17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34,
    27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36,
    29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46,
    53, 60, 61, 54, 47, 55, 62, 63,
];

/// What an image consists of.
pub(super) struct Frame {
    pub(super) progressive: bool,
    pub(super) size: ImageSize,
    pub(super) components: Vec<Component>,
    /// The largest sampling factors, across and down.
    pub(super) largest: (usize, usize),
    /// MCUs of all components, across and down.
    pub(super) mcus: (usize, usize),
}

/// One component of a frame.
pub(super) struct Component {
    pub(super) id: u8,
    /// Sampling factors, across and down.
    pub(super) factors: (usize, usize),
    pub(super) quantisation: usize,
    /// Samples that count, across and down.
    pub(super) size: (usize, usize),
    /// Blocks across and down, with those that fill the last MCUs.
    pub(super) grid: (usize, usize),
}

impl Component {
    pub(super) fn blocks(&self) -> usize {
        self.grid.0 * self.grid.1
    }
}

/// The samples of one component of a frame that is decoded at some scale.
#[derive(Clone, Copy)]
pub(super) struct Sampling {
    /// Samples of a block across and down.
    pub(super) side: usize,
    /// Samples that count, across and down.
    pub(super) size: (usize, usize),
    /// How many stand for [`Frame::largest`] pixels, across and down.
    pub(super) factors: (usize, usize),
}

impl Frame {
    /// The size of the pixels at a scale.
    pub(super) fn scaled_size(&self, scale: Scale) -> ImageSize {
        scale.of_size(self.size)
    }

    /// How a component is sampled at a scale: at no smaller scale than the pixels, and
    /// as finely as they where its factors are smaller by powers of two, as
    /// libjpeg-turbo's `jdmaster.c` chooses.
    pub(super) fn sampling(&self, component: &Component, scale: Scale) -> Sampling {
        let ((h, v), largest, least) = (component.factors, self.largest, scale.block_side());
        let mut times = 1;
        while least * times < 8
            && largest.0.is_multiple_of(2 * h * times)
            && largest.1.is_multiple_of(2 * v * times)
        {
            times *= 2;
        }
        let side = least * times;
        let samples = |pixels: u32, factor: usize, largest: usize| {
            (pixels as usize * factor * side).div_ceil(largest * 8)
        };
        Sampling {
            side,
            size: (
                samples(self.size.width, h, largest.0),
                samples(self.size.height, v, largest.1),
            ),
            factors: (h * times, v * times),
        }
    }
}

/// What stands before a scan's data.
pub(super) struct ScanHeader {
    pub(super) components: Vec<ScanComponent>,
    /// First and last coefficient.
    pub(super) band: (usize, usize),
    /// The bits that earlier scans and this scan leave out.
    pub(super) approximation: (u8, u8),
}

pub(super) struct ScanComponent {
    pub(super) index: usize,
    pub(super) dc_table: usize,
    pub(super) ac_table: usize,
}

/// How the numbers of a pixel are to be understood.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Color {
    Grey,
    Rgb,
    YCbCr,
    /// Inverted.
    Cmyk,
    /// Inverted, and its first three as [`Self::YCbCr`].
    Ycck,
}

/// Where [`Segments::next_step`] stopped.
pub(super) enum Step {
    /// After a start-of-scan marker.
    Scan,
    EndOfImage,
    EndOfFile,
}

/// Reads the segments between scans and keeps what they state.
pub(super) struct Segments<'a> {
    pub(super) rest: &'a [u8],
    pub(super) frame: Option<Frame>,
    pub(super) orientation: Option<Orientation>,
    /// MCUs between two restart markers, or 0 for none.
    pub(super) restart_interval: usize,
    quantisation: [Option<[u16; 64]>; 4],
    /// For DC and for AC.
    huffman: [[Option<StatedTable<'a>>; 4]; 2],
    is_jfif: bool,
    adobe_transform: Option<u8>,
}

impl<'a> Segments<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let [dc_0, ac_0, dc_1, ac_1] = STANDARD_TABLES.map(Some);
        Self {
            rest: bytes,
            frame: None,
            orientation: None,
            restart_interval: 0,
            quantisation: [None; 4],
            huffman: [[dc_0, dc_1, None, None], [ac_0, ac_1, None, None]],
            is_jfif: false,
            adobe_transform: None,
        }
    }

    /// Reads segments up to the next scan or the end.
    pub(super) fn next_step(&mut self) -> Result<Step> {
        while let Some(marker) = self.next_marker() {
            match marker {
                0xD9 => return Ok(Step::EndOfImage),
                0xDA => return Ok(Step::Scan),
                0xC0..=0xC2 => {
                    let payload = self.payload(marker)?;
                    if self.frame.is_some() {
                        return Err(malformed("expected one frame header, found several"));
                    }
                    self.frame = Some(read_frame(payload, marker == 0xC2)?);
                }
                0xC4 => self.read_huffman_tables()?,
                0xC3 | 0xC5..=0xC7 | 0xC9..=0xCF | 0xDE | 0xDF | 0xF7 => {
                    return Err(unsupported(
                        "baseline or progressive Huffman coding",
                        coding_process(marker),
                    ));
                }
                0xDB => self.read_quantisation_tables()?,
                0xDD => {
                    let &[high, low] = self.payload(marker)? else {
                        return Err(malformed("expected a restart interval of 2 bytes"));
                    };
                    self.restart_interval = u16::from_be_bytes([high, low]).into();
                }
                0xE0..=0xEF | 0xFE => self.read_application_data(marker)?,
                0xDC => drop(self.payload(marker)?),
                // Restart markers and others that stand alone, and those that
                // are reserved and can only be stray bytes.
                _ => {}
            }
        }
        Ok(Step::EndOfFile)
    }

    /// Goes past the next marker and returns its second byte. Other bytes
    /// before it are passed over, and any number of FF may stand there.
    fn next_marker(&mut self) -> Option<u8> {
        let is_marker = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF);
        let start = self.rest.windows(2).position(is_marker);
        let Some(start) = start else {
            self.rest = &[];
            return None;
        };
        let marker = self.rest[start + 1];
        self.rest = &self.rest[start + 2..];
        Some(marker)
    }

    /// Goes past a segment's length and payload and returns the payload.
    fn payload(&mut self, marker: u8) -> Result<&'a [u8]> {
        let ends = || malformed(format!("the file ends in segment FF{marker:02X}"));
        let (length, after) = self.rest.split_first_chunk::<2>().ok_or_else(ends)?;
        let length = usize::from(u16::from_be_bytes(*length))
            .checked_sub(length.len())
            .ok_or_else(|| {
                malformed(format!("segment FF{marker:02X} is shorter than its length"))
            })?;
        let (payload, after) = after.split_at_checked(length).ok_or_else(ends)?;
        self.rest = after;
        Ok(payload)
    }

    /// Nothing in it is needed for the pixels, so that a wrong length may
    /// stand where libjpeg minds none.
    fn read_application_data(&mut self, marker: u8) -> Result<()> {
        if let [0, 0 | 1, after @ ..] = self.rest {
            self.rest = after;
            return Ok(());
        }
        let payload = self.payload(marker)?;
        match marker {
            0xE0 => self.is_jfif |= payload.starts_with(b"JFIF\0"),
            0xE1 => {
                self.orientation = self.orientation.or_else(|| orientation_from_exif(payload));
            }
            0xEE if payload.starts_with(b"Adobe") => {
                self.adobe_transform = payload.get(11).copied().or(self.adobe_transform);
            }
            _ => {}
        }
        Ok(())
    }

    fn read_quantisation_tables(&mut self) -> Result<()> {
        let mut payload = self.payload(0xDB)?;
        let short = || malformed("a quantisation table is cut off");
        while let [kind, after @ ..] = payload {
            let (wide, index) = (kind >> 4, usize::from(kind & 15));
            let width = if wide == 0 { 1 } else { 2 };
            let (numbers, after) = after.split_at_checked(64 * width).ok_or_else(short)?;
            let mut table = [0; 64];
            for (number, &at) in numbers.chunks(width).zip(&ZIGZAG) {
                table[usize::from(at)] = number.iter().fold(0, |all, &b| all << 8 | u16::from(b));
            }
            let slot = self.quantisation.get_mut(index);
            *slot.ok_or_else(|| malformed("a quantisation table's number is above 3"))? =
                Some(table);
            payload = after;
        }
        Ok(())
    }

    fn read_huffman_tables(&mut self) -> Result<()> {
        let mut payload = self.payload(0xC4)?;
        let short = || malformed("a Huffman table is cut off");
        while let [kind, after @ ..] = payload {
            let (counts, after) = after.split_at_checked(16).ok_or_else(short)?;
            let symbols = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, after) = after.split_at_checked(symbols).ok_or_else(short)?;
            let class = self.huffman.get_mut(usize::from(kind >> 4));
            let slot = class.and_then(|class| class.get_mut(usize::from(kind & 15)));
            *slot.ok_or_else(|| malformed("a Huffman table's number is above 3"))? =
                Some((counts, symbols));
            payload = after;
        }
        Ok(())
    }

    /// Reads the header of a scan.
    pub(super) fn read_scan_header(&mut self, frame: &Frame) -> Result<ScanHeader> {
        let payload = self.payload(0xDA)?;
        let wrong = || malformed("a scan's header is not as long as it says");
        let (&count, payload) = payload.split_first().ok_or_else(wrong)?;
        let (selectors, rest) =
            (payload.split_at_checked(usize::from(count) * 2)).ok_or_else(wrong)?;
        let &[first, last, approximation, ..] = rest else {
            return Err(wrong());
        };
        let mut components: Vec<ScanComponent> = Vec::new();
        for selector in selectors.chunks(2) {
            let index = (frame.components.iter()).position(|known| known.id == selector[0]);
            let index = index.ok_or_else(|| {
                malformed(format!(
                    "a scan names component {}, which is missing",
                    selector[0]
                ))
            })?;
            if components.iter().any(|known| known.index == index) {
                return Err(malformed("a scan names a component twice"));
            }
            components.push(ScanComponent {
                index,
                dc_table: usize::from(selector[1] >> 4),
                ac_table: usize::from(selector[1] & 15),
            });
        }
        if components.is_empty() {
            return Err(malformed("a scan has no component"));
        }
        Ok(ScanHeader {
            components,
            band: (first.into(), last.into()),
            approximation: (approximation >> 4, approximation & 15),
        })
    }

    /// The steps between a component's quantised coefficients.
    pub(super) fn quantisation(&self, component: &Component) -> Result<[u16; 64]> {
        let table = self.quantisation.get(component.quantisation).copied();
        table.flatten().ok_or_else(|| {
            malformed(format!(
                "quantisation table {} is missing",
                component.quantisation
            ))
        })
    }

    pub(super) fn dc_table(&self, index: usize) -> Result<HuffmanTable> {
        self.huffman_table(0, index)
    }

    pub(super) fn ac_table(&self, index: usize) -> Result<HuffmanTable> {
        self.huffman_table(1, index)
    }

    fn huffman_table(&self, class: usize, index: usize) -> Result<HuffmanTable> {
        let table = self.huffman[class].get(index).copied().flatten();
        let table = table.ok_or_else(|| malformed(format!("Huffman table {index} is missing")))?;
        HuffmanTable::new(table)
            .ok_or_else(|| malformed(format!("Huffman table {index} has more codes than fit")))
    }

    /// As libjpeg's `default_decompress_parms` takes it.
    pub(super) fn color(&self, frame: &Frame) -> Color {
        let ids: Vec<u8> = frame.components.iter().map(|known| known.id).collect();
        match (ids.as_slice(), self.adobe_transform) {
            ([_], _) => Color::Grey,
            ([_, _, _], _) if self.is_jfif => Color::YCbCr,
            ([_, _, _], Some(0)) | (b"RGB", None) => Color::Rgb,
            ([_, _, _], _) => Color::YCbCr,
            (_, None | Some(0)) => Color::Cmyk,
            _ => Color::Ycck,
        }
    }
}

/// T.81, table B.1; T.87 for JPEG-LS.
fn coding_process(marker: u8) -> &'static str {
    match marker {
        0xC3 => "lossless coding",
        0xC5..=0xC7 | 0xDE | 0xDF => "differential (hierarchical) coding",
        0xF7 => "JPEG-LS",
        _ => "arithmetic coding",
    }
}

/// Reads a frame header: precision, height, width, and for each component its
/// id, sampling factors and quantisation table.
fn read_frame(payload: &[u8], progressive: bool) -> Result<Frame> {
    let &[precision, h1, h0, w1, w0, count, ref stated @ ..] = payload else {
        return Err(malformed(format!(
            "expected a frame header of at least 6 bytes, found {}",
            payload.len()
        )));
    };
    if precision != 8 {
        return Err(unsupported("8 bits a sample", format_args!("{precision}")));
    }
    if !matches!(count, 1 | 3 | 4) {
        return Err(unsupported("1, 3 or 4 components", count));
    }
    let width = u16::from_be_bytes([w1, w0]);
    let height = u16::from_be_bytes([h1, h0]);
    if height == 0 && width > 0 {
        return Err(unsupported(
            "a frame header that states the height",
            "one that leaves it to the end of the image",
        ));
    }
    let size = ImageSize::new(width.into(), height.into());
    if stated.len() != usize::from(count) * 3 {
        return Err(malformed(
            "the frame header is not as long as its components",
        ));
    }
    let factors = |stated: &[u8]| (usize::from(stated[1] >> 4), usize::from(stated[1] & 15));
    if !(stated.chunks(3).map(factors)).all(|(h, v)| (1..=4).contains(&h) && (1..=4).contains(&v)) {
        return Err(malformed("expected sampling factors of 1 to 4"));
    }
    let largest = (stated.chunks(3).map(factors)).fold((1, 1), |a, b| (a.0.max(b.0), a.1.max(b.1)));
    let (width, height) = (usize::from(width), usize::from(height));
    let mcus = (
        width.div_ceil(8 * largest.0),
        height.div_ceil(8 * largest.1),
    );
    let component = |stated: &[u8]| {
        let (h, v) = factors(stated);
        Component {
            id: stated[0],
            factors: (h, v),
            quantisation: stated[2].into(),
            size: (
                (width * h).div_ceil(largest.0),
                (height * v).div_ceil(largest.1),
            ),
            grid: (mcus.0 * h, mcus.1 * v),
        }
    };
    Ok(Frame {
        progressive,
        size,
        components: stated.chunks(3).map(component).collect(),
        largest,
        mcus,
    })
}
