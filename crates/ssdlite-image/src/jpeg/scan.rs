//! The blocks of a scan; ITU-T T.81, annex F.2 (sequential) and G.2
//! (progressive).

use super::huffman::{Bits, Fault, HuffmanTable, Read};
use super::malformed;
use super::planes::Plane;
use super::segments::{MAX_COMPONENTS, ScanHeader, Segments, ZIGZAG};
use crate::error::Result;

/// The most bytes behind the last code of a scan or restart interval that are
/// passed over. More are pixels, among which a damaged file lost its place.
const STRAY_BYTES: usize = 64;

/// What a scan brings.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Whole,
    FirstDc,
    RefinedDc,
    FirstAc,
    RefinedAc,
}

/// A scan that is being read.
pub(super) struct Scan<'a, 'h> {
    bits: Bits<'a>,
    part: Part,
    header: &'h ScanHeader,
    /// By place in the scan; empty where the scan has no such codes.
    dc_tables: Vec<HuffmanTable>,
    ac_tables: Vec<HuffmanTable>,
    /// The last DC coefficient of each component.
    predicted: [i32; MAX_COMPONENTS],
    /// Blocks to come whose band has ended.
    ended_bands: u32,
    restarts: u8,
}

impl<'a, 'h> Scan<'a, 'h> {
    pub(super) fn new(segments: &Segments<'a>, header: &'h ScanHeader, part: Part) -> Result<Self> {
        let (mut dc_tables, mut ac_tables) = (Vec::new(), Vec::new());
        for known in &header.components {
            if matches!(part, Part::Whole | Part::FirstDc) {
                dc_tables.push(segments.dc_table(known.dc_table)?);
            }
            if matches!(part, Part::Whole | Part::FirstAc | Part::RefinedAc) {
                ac_tables.push(segments.ac_table(known.ac_table)?);
            }
        }
        Ok(Self {
            bits: Bits::new(segments.rest),
            part,
            header,
            dc_tables,
            ac_tables,
            predicted: [0; MAX_COMPONENTS],
            ended_bands: 0,
            restarts: 0,
        })
    }

    /// Goes past the next restart marker.
    pub(super) fn restart(&mut self) -> Result<()> {
        let (rest, unread) = self.bits.up_to_marker();
        check_stray(unread)?;
        let expected = 0xD0 + self.restarts;
        let after = rest.strip_prefix(&[0xFF, expected]).ok_or_else(|| {
            let found = match rest {
                [_, marker, ..] => format!("marker FF{marker:02X}"),
                _ => "the end of the file".into(),
            };
            malformed(format!(
                "expected restart marker FF{expected:02X}, found {found}"
            ))
        })?;
        self.bits = Bits::new(after);
        self.predicted = [0; MAX_COMPONENTS];
        self.ended_bands = 0;
        self.restarts = (self.restarts + 1) % 8;
        Ok(())
    }

    /// The bytes from the marker after the scan's data on.
    pub(super) fn end(mut self) -> Result<&'a [u8]> {
        let mut stray = 0;
        loop {
            let (rest, unread) = self.bits.up_to_marker();
            stray += unread;
            check_stray(stray)?;
            match rest {
                [0xFF, 0xD0..=0xD7, after @ ..] => self.bits = Bits::new(after),
                _ => return Ok(rest),
            }
        }
    }

    /// Reads the block at a place of a plane, counted in blocks.
    pub(super) fn read_block(
        &mut self,
        place: usize,
        plane: &mut Plane,
        (x, y): (usize, usize),
    ) -> Read<()> {
        if let Part::Whole = self.part {
            let mut block = [0; 64];
            self.read_dc(place, 0, &mut block)?;
            let (ends, _) = self.read_band(place, (1, 63), 0, &mut block)?;
            plane.put((x, y), &block, ends == 1);
            return Ok(());
        }
        let block = y * plane.across + x;
        let block = &mut plane.coefficients.as_chunks_mut().0[block];
        let after = self.header.approximation.1;
        match self.part {
            Part::Whole => Ok(()),
            Part::FirstDc => self.read_dc(place, after, block),
            Part::RefinedDc => {
                block[0] |= (self.bits.bits(1)? << after) as i16;
                Ok(())
            }
            Part::FirstAc => self.read_ac(after, block),
            Part::RefinedAc => self.refine_ac(after, block),
        }
    }

    fn read_dc(&mut self, place: usize, after: u8, block: &mut [i16; 64]) -> Read<()> {
        let (size, difference) = self.bits.symbol_and_number(&self.dc_tables[place])?;
        if size > 15 {
            return Err(Fault::Code);
        }
        let value = self.predicted[place].wrapping_add(difference);
        self.predicted[place] = value;
        block[0] = (value << after) as i16;
        Ok(())
    }

    /// A band's first scan; T.81, G.1.2.2.
    fn read_ac(&mut self, after: u8, block: &mut [i16; 64]) -> Read<()> {
        if self.ended_bands > 0 {
            self.ended_bands -= 1;
            return Ok(());
        }
        let (_, bits) = self.read_band(0, self.header.band, after, block)?;
        if let Some(bits) = bits {
            self.ended_bands = self.run_of_bands(bits)? - 1;
        }
        Ok(())
    }

    /// Reads a band's coefficients up to its end, or to a code that ends it before, and
    /// returns where that was and the code's upper half, which is 0 in sequential scans.
    /// T.81, F.2.2.2.
    #[inline]
    fn read_band(
        &mut self,
        place: usize,
        (mut at, last): (usize, usize),
        after: u8,
        block: &mut [i16; 64],
    ) -> Read<(usize, Option<u8>)> {
        let table = &self.ac_tables[place];
        let mut bits = self.bits;
        let mut ends = None;
        while at <= last {
            let (symbol, value) = bits.symbol_and_number(table)?;
            let (zeros, size) = (symbol >> 4, symbol & 15);
            if size == 0 {
                if zeros < 15 {
                    ends = Some(zeros);
                    break;
                }
                at += 16;
                continue;
            }
            at += usize::from(zeros);
            *coefficient(block, at, last)? = (value << after) as i16;
            at += 1;
        }
        self.bits = bits;
        Ok((at, ends))
    }

    /// A band's later scan: a bit for each coefficient that isn't zero yet, and
    /// those that only now aren't; T.81, G.1.2.3.
    fn refine_ac(&mut self, after: u8, block: &mut [i16; 64]) -> Read<()> {
        let (mut at, last) = self.header.band;
        if self.ended_bands == 0 {
            while at <= last {
                let symbol = self.bits.symbol(&self.ac_tables[0])?;
                let (zeros, size) = (symbol >> 4, symbol & 15);
                let new = match size {
                    0 if zeros < 15 => {
                        self.ended_bands = self.run_of_bands(zeros)?;
                        break;
                    }
                    0 => 0,
                    1 => (2 * self.bits.bits(1)? - 1) << after,
                    _ => return Err(Fault::Code),
                };
                at = self.refine(after, block, (at, last), zeros)?;
                if new != 0 {
                    *coefficient(block, at, last)? = new as i16;
                }
                at += 1;
            }
        }
        if self.ended_bands > 0 {
            self.refine(after, block, (at, last), u8::MAX)?;
            self.ended_bands -= 1;
        }
        Ok(())
    }

    /// Refines coefficients up to the zero after that many zeros, and returns
    /// where it stands or the end.
    fn refine(
        &mut self,
        after: u8,
        block: &mut [i16; 64],
        band: (usize, usize),
        zeros: u8,
    ) -> Read<usize> {
        let mut left = zeros;
        let bit = 1 << after;
        for at in band.0..=band.1 {
            let value = &mut block[usize::from(ZIGZAG[at])];
            if *value == 0 {
                if left == 0 {
                    return Ok(at);
                }
                left -= 1;
            } else if self.bits.bits(1)? == 1 && *value & bit == 0 {
                *value = value.wrapping_add(value.signum() * bit);
            }
        }
        Ok(band.1 + 1)
    }

    /// How many bands end here, from their number's bits on; T.81, table G.1.
    fn run_of_bands(&mut self, bits: u8) -> Read<u32> {
        Ok((1 << bits) + self.bits.bits(bits.into())? as u32)
    }
}

fn check_stray(bytes: usize) -> Result<()> {
    if bytes > STRAY_BYTES {
        return Err(malformed(format!(
            "{bytes} bytes of pixels are left over: the file is damaged"
        )));
    }
    Ok(())
}

/// The coefficient at a place in zigzag order that isn't beyond `last`.
fn coefficient(block: &mut [i16; 64], at: usize, last: usize) -> Read<&mut i16> {
    if at > last {
        return Err(Fault::Code);
    }
    Ok(&mut block[usize::from(ZIGZAG[at])])
}
