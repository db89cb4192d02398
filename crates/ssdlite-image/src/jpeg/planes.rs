//! The samples of an image, from scan to scan.

use ssdlite_core::ImageSize;
use ssdlite_kernels::Isa;

use super::huffman::Fault;
use super::scan::{Part, Scan};
use super::segments::{Frame, Sampling, ScanHeader, Segments};
use super::transform::{Block, is_flat};
use super::{Scale, malformed};
use crate::error::{Error, Result};

/// Each scan walks over the whole image, however little it brings. Encoders
/// write a dozen, mozjpeg up to sixty-four.
const MAX_SCANS: usize = 500;

/// The samples of one component.
pub(super) struct Plane {
    /// Row by row; in a progressive image from the end on.
    pub(super) samples: Vec<u8>,
    pub(super) stride: usize,
    pub(super) sampling: Sampling,
    /// Blocks of 64, row by row; none in a sequential image.
    pub(super) coefficients: Vec<i16>,
    /// Blocks a row.
    pub(super) across: usize,
    isa: Isa,
    /// The quantisation steps, taken when the component's first scan begins.
    steps: Option<[u16; 64]>,
    /// For each coefficient, the low bits that are still to come, or none
    /// before its first scan. Sequential scans bring all at once.
    missing_bits: [Option<u8>; 64],
}

/// The samples of all components, and how far they are read.
pub(super) struct Planes {
    planes: Vec<Plane>,
    scans: usize,
}

impl Planes {
    pub(super) fn new(frame: &Frame, scale: Scale) -> Self {
        let isa = Isa::detect();
        let planes = frame.components.iter().map(|component| {
            let sampling = frame.sampling(component, scale);
            let length = |of_block, is_used| {
                if is_used {
                    component.blocks() * of_block
                } else {
                    0
                }
            };
            Plane {
                samples: vec![0; length(sampling.side.pow(2), !frame.progressive)],
                stride: component.grid.0 * sampling.side,
                sampling,
                coefficients: vec![0; length(64, frame.progressive)],
                across: component.grid.0,
                isa,
                steps: None,
                missing_bits: [None; 64],
            }
        });
        Self {
            planes: planes.collect(),
            scans: 0,
        }
    }

    /// Whether all that the frame states has been read.
    pub(super) fn are_complete(&self) -> bool {
        let mut bits = self.planes.iter().flat_map(|plane| plane.missing_bits);
        bits.all(|missing| missing == Some(0))
    }

    /// The error for an image that ends before it is complete.
    pub(super) fn lack_of_scans(&self) -> Error {
        malformed(format!(
            "the image ends after scan {}, and a part of its colours or details is still missing",
            self.scans
        ))
    }

    /// Reads the scan that begins here, up to the marker after its data.
    pub(super) fn read_scan(&mut self, frame: &Frame, segments: &mut Segments<'_>) -> Result<()> {
        self.scans += 1;
        if self.scans > MAX_SCANS {
            return Err(Error::OverLimit(format!(
                "JPEG: expected at most {MAX_SCANS} scans, found more"
            )));
        }
        let header = segments.read_scan_header(frame)?;
        let part = self.begin(frame, segments, &header)?;
        let mut scan = Scan::new(segments, &header, part)?;
        // T.81 A.2: a component alone has only the blocks that its samples
        // reach; with others, all that fill the MCUs.
        let alone = match header.components.as_slice() {
            [alone] => Some(&frame.components[alone.index]),
            _ => None,
        };
        let (across, down) = alone.map_or(frame.mcus, |component| {
            let (width, height) = component.size;
            (width.div_ceil(8), height.div_ceil(8))
        });
        let factors = |index: usize| match alone {
            Some(_) => (1, 1),
            None => frame.components[index].factors,
        };
        let rows = 8 * frame.largest.1 / alone.map_or(1, |component| component.factors.1);
        let mut until_restart = segments.restart_interval;
        for row in 0..down {
            let at_row = at_row(frame.size, row * rows, self.scans);
            for column in 0..across {
                if segments.restart_interval > 0 {
                    if until_restart == 0 {
                        scan.restart()?;
                        until_restart = segments.restart_interval;
                    }
                    until_restart -= 1;
                }
                for (place, known) in header.components.iter().enumerate() {
                    let plane = &mut self.planes[known.index];
                    let (h, v) = factors(known.index);
                    for y in row * v..(row + 1) * v {
                        for x in column * h..(column + 1) * h {
                            scan.read_block(place, plane, (x, y)).map_err(at_row)?;
                        }
                    }
                }
            }
        }
        segments.rest = scan.end()?;
        Ok(())
    }

    /// Checks that a scan may come now and notes what it brings.
    fn begin(
        &mut self,
        frame: &Frame,
        segments: &Segments<'_>,
        header: &ScanHeader,
    ) -> Result<Part> {
        let ScanHeader {
            band: (first, last),
            approximation: (before, after),
            ..
        } = *header;
        let (part, band, before, after) = match (frame.progressive, first, before) {
            (false, ..) => (Part::Whole, 0..=63, None, 0),
            (true, 0, 0) => (Part::FirstDc, 0..=last, None, after),
            (true, 0, _) => (Part::RefinedDc, 0..=last, Some(before), after),
            (true, _, 0) => (Part::FirstAc, first..=last, None, after),
            (true, _, _) => (Part::RefinedAc, first..=last, Some(before), after),
        };
        let is_sound = match part {
            Part::Whole => true,
            Part::FirstDc | Part::RefinedDc => last == 0,
            Part::FirstAc | Part::RefinedAc => {
                first <= last && last < 64 && header.components.len() == 1
            }
        };
        if !is_sound || after > 13 || before.is_some_and(|before| before != after + 1) {
            return Err(malformed(format!(
                "the header of scan {} states what no progressive scan can hold",
                self.scans
            )));
        }
        for known in &header.components {
            let plane = &mut self.planes[known.index];
            for missing in &mut plane.missing_bits[band.clone()] {
                if *missing != before {
                    return Err(malformed(format!(
                        "scan {} does not go on where earlier scans of its component ended",
                        self.scans
                    )));
                }
                *missing = Some(after);
            }
            if plane.steps.is_none() {
                plane.steps = Some(segments.quantisation(&frame.components[known.index])?);
            }
        }
        Ok(part)
    }

    /// The samples of a complete image.
    pub(super) fn into_samples(self) -> Vec<Plane> {
        let finished = self.planes.into_iter().map(|mut plane| {
            if plane.samples.is_empty() {
                plane.transform();
            }
            plane
        });
        finished.collect()
    }
}

impl Plane {
    /// Makes the samples of coefficients that have been read to the end.
    fn transform(&mut self) {
        let coefficients = std::mem::take(&mut self.coefficients);
        let blocks = coefficients.as_chunks().0;
        self.samples = vec![0; blocks.len() * self.sampling.side.pow(2)];
        for (index, block) in blocks.iter().enumerate() {
            let place = (index % self.across, index / self.across);
            self.put(place, block, is_flat(block));
        }
    }

    /// Puts a block's samples at its place, counted in blocks. It may be flat, as
    /// [`is_flat`] says, without being said to be.
    #[inline]
    pub(super) fn put(&mut self, (x, y): (usize, usize), coefficients: &[i16; 64], is_flat: bool) {
        let side = self.sampling.side;
        let block = Block {
            coefficients,
            steps: self.steps.as_ref().expect("a component with a scan"),
            side,
            is_flat,
        };
        let start = y * side * self.stride + x * side;
        block.write(self.isa, &mut self.samples[start..], self.stride);
    }
}

/// Says where in the image a scan can't be read on.
fn at_row(size: ImageSize, row: usize, scan: usize) -> impl Fn(Fault) -> Error + Copy {
    move |fault| {
        let found = match fault {
            Fault::Ends => "the end of the data",
            Fault::Code => "damaged data",
        };
        malformed(format!(
            "expected {size} pixels, found {found} in row {row}, scan {scan}"
        ))
    }
}
