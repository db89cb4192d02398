//! A plain JPEG writer that lays out a file as it is told: any sampling
//! factors, any scans, with restarts or without, sequential or progressive.
//!
//! Source: ITU-T T.81, annexes A, B, F.1 and G.1.

use std::f64::consts::PI;

/// A component as it is stored.
struct Component {
    /// Horizontal and vertical sampling factor.
    factors: (usize, usize),
    /// Samples a row and rows that count, T.81 A.1.1.
    size: (usize, usize),
    /// Data units a row, and in all, with those that fill the last MCU.
    stride: usize,
    blocks: Vec<[i32; 64]>,
}

/// What stands in one scan.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    /// Indices of components.
    components: Vec<usize>,
    /// First and last coefficient in zigzag order.
    band: (usize, usize),
    /// Bits cut off before this scan, none in a band's first, and after it.
    approximation: (Option<u8>, u8),
}

impl Scan {
    /// Everything of these components.
    pub(crate) fn whole(components: &[usize]) -> Self {
        Self::part(components, (0, 63), (None, 0))
    }

    pub(crate) fn part(
        components: &[usize],
        band: (usize, usize),
        approximation: (Option<u8>, u8),
    ) -> Self {
        Self {
            components: components.to_vec(),
            band,
            approximation,
        }
    }
}

/// An image as coefficients.
pub(crate) struct Coefficients {
    size: (usize, usize),
    components: Vec<Component>,
}

/// One step for all coefficients, so that quantising changes next to nothing.
const STEP: i32 = 2;

impl Coefficients {
    /// Transforms the samples that `sample(component, u, v)` gives, `u` and `v`
    /// from 0 to 1 across the image.
    pub(crate) fn new(
        size: (usize, usize),
        factors: &[(usize, usize)],
        sample: impl Fn(usize, f64, f64) -> f64,
    ) -> Self {
        let h_max = factors.iter().map(|f| f.0).max().unwrap();
        let v_max = factors.iter().map(|f| f.1).max().unwrap();
        let mcus = (size.0.div_ceil(8 * h_max), size.1.div_ceil(8 * v_max));
        let components = (0..factors.len()).map(|index| {
            let (h, v) = factors[index];
            let (columns, rows) = ((size.0 * h).div_ceil(h_max), (size.1 * v).div_ceil(v_max));
            let (stride, height) = (mcus.0 * h, mcus.1 * v);
            let at = |x: usize, y: usize| {
                let x = (x.min(columns - 1) as f64 + 0.5) * h_max as f64 / (h * size.0) as f64;
                let y = (y.min(rows - 1) as f64 + 0.5) * v_max as f64 / (v * size.1) as f64;
                sample(index, x.min(1.0), y.min(1.0))
            };
            let blocks = (0..stride * height).map(|block| {
                let (left, top) = (block % stride * 8, block / stride * 8);
                transformed(|x, y| at(left + x, top + y))
            });
            Component {
                factors: (h, v),
                size: (columns, rows),
                stride,
                blocks: blocks.collect(),
            }
        });
        Self {
            size,
            components: components.collect(),
        }
    }

    /// The file. `adobe` is the colour transform that an Adobe segment states.
    pub(crate) fn to_jpeg(
        &self,
        progressive: bool,
        scans: &[Scan],
        restart_interval: u16,
        adobe: Option<u8>,
    ) -> Vec<u8> {
        let mut bytes = vec![0xFF, 0xD8];
        if let Some(transform) = adobe {
            segment(
                &mut bytes,
                0xEE,
                &[b"Adobe\0\x64\0\0\0\0".as_slice(), &[transform]].concat(),
            );
        }
        segment(
            &mut bytes,
            0xDB,
            &[[0].as_slice(), &[STEP as u8; 64]].concat(),
        );
        let (width, height) = (self.size.0 as u16, self.size.1 as u16);
        let mut frame = vec![8];
        frame.extend(height.to_be_bytes());
        frame.extend(width.to_be_bytes());
        frame.push(self.components.len() as u8);
        for (index, component) in self.components.iter().enumerate() {
            let (h, v) = component.factors;
            frame.extend([index as u8 + 1, (h << 4 | v) as u8, 0]);
        }
        segment(&mut bytes, if progressive { 0xC2 } else { 0xC0 }, &frame);
        segment(
            &mut bytes,
            0xC4,
            &[
                &[0, 0, 0, 0, 12],
                [0; 12].as_slice(),
                &Vec::from_iter(0..12),
            ]
            .concat(),
        );
        let symbols: Vec<u8> = ac_symbols().collect();
        let mut table = vec![0x10];
        table.extend((1..=16).map(|bits| if bits == 8 { symbols.len() as u8 } else { 0 }));
        table.extend(&symbols);
        segment(&mut bytes, 0xC4, &table);
        if restart_interval > 0 {
            segment(&mut bytes, 0xDD, &restart_interval.to_be_bytes());
        }
        for scan in scans {
            let mut header = vec![scan.components.len() as u8];
            for &component in &scan.components {
                header.extend([component as u8 + 1, 0]);
            }
            let (before, after) = scan.approximation;
            let approximation = before.unwrap_or(0) << 4 | after;
            header.extend([scan.band.0 as u8, scan.band.1 as u8, approximation]);
            segment(&mut bytes, 0xDA, &header);
            self.write_scan(&mut bytes, scan, progressive, usize::from(restart_interval));
        }
        bytes.extend([0xFF, 0xD9]);
        bytes
    }

    fn write_scan(&self, bytes: &mut Vec<u8>, scan: &Scan, progressive: bool, interval: usize) {
        let units = self.units(scan);
        let mut bits = Bits::new(bytes);
        let mut predicted = [0; 4];
        let mut run = 0;
        for (number, mcu) in units.iter().enumerate() {
            if interval > 0 && number > 0 && number % interval == 0 {
                bits.end_of_bands(&mut run);
                bits.restart(number / interval - 1);
                predicted = [0; 4];
            }
            for &(component, block) in mcu {
                let block = &self.components[component].blocks[block];
                let dc = &mut predicted[component];
                let (before, after) = scan.approximation;
                match (scan.band.0, before) {
                    (0, None) => {
                        let value = block[0] >> after;
                        bits.dc(value - *dc);
                        *dc = value;
                        if !progressive {
                            bits.ac(block, (1, 63), 0, &mut None);
                        }
                    }
                    (0, Some(_)) => bits.push((block[0] >> after & 1) as u32, 1),
                    (_, None) => bits.ac(block, scan.band, after, &mut Some(&mut run)),
                    (_, Some(_)) => bits.ac_refined(block, scan.band, after),
                }
            }
        }
        bits.end_of_bands(&mut run);
        bits.flush();
    }

    /// The data units of each MCU: component and index of the block. A scan of
    /// one component has only the blocks that its samples reach, T.81 A.2.
    fn units(&self, scan: &Scan) -> Vec<Vec<(usize, usize)>> {
        if let &[index] = scan.components.as_slice() {
            let component = &self.components[index];
            let (columns, rows) = component.size;
            let row =
                |y| (0..columns.div_ceil(8)).map(move |x| vec![(index, y * component.stride + x)]);
            return (0..rows.div_ceil(8)).flat_map(row).collect();
        }
        let first = &self.components[0];
        let across = first.stride / first.factors.0;
        let down = first.blocks.len() / first.stride / first.factors.1;
        let mcu = |number: usize| {
            let (x, y) = (number % across, number / across);
            let of_component = |&index: &usize| {
                let component = &self.components[index];
                let (h, v) = component.factors;
                let at =
                    move |unit: usize| (y * v + unit / h) * component.stride + x * h + unit % h;
                (0..h * v).map(move |unit| (index, at(unit)))
            };
            scan.components.iter().flat_map(of_component).collect()
        };
        (0..across * down).map(mcu).collect()
    }
}

fn segment(bytes: &mut Vec<u8>, marker: u8, payload: &[u8]) {
    bytes.extend([0xFF, marker]);
    bytes.extend((payload.len() as u16 + 2).to_be_bytes());
    bytes.extend(payload);
}

/// T.81 A.3.3, one factor of the transform.
fn basis(x: usize, u: usize) -> f64 {
    let scale = if u == 0 { (0.125f64).sqrt() } else { 0.5 };
    scale * ((2 * x + 1) as f64 * u as f64 * PI / 16.0).cos()
}

/// Row and column of each coefficient in zigzag order, T.81 figure A.6.
fn zigzag() -> [(usize, usize); 64] {
    let mut order: Vec<_> = (0..64).map(|index| (index / 8, index % 8)).collect();
    order.sort_by_key(|&(row, column)| {
        let diagonal = row + column;
        (diagonal, if diagonal % 2 == 0 { column } else { row })
    });
    order.try_into().unwrap()
}

/// Quantised coefficients in zigzag order.
fn transformed(sample: impl Fn(usize, usize) -> f64) -> [i32; 64] {
    let samples: Vec<f64> = (0..64).map(|i| sample(i % 8, i / 8) - 128.0).collect();
    zigzag().map(|(v, u)| {
        let terms = (0..64).map(|i| samples[i] * basis(i % 8, u) * basis(i / 8, v));
        (terms.sum::<f64>() / f64::from(STEP)).round() as i32
    })
}

/// Every run with every size, the runs of end-of-band and the run of sixteen.
fn ac_symbols() -> impl Iterator<Item = u8> {
    (0..16).flat_map(|run| (0..11).map(move |size| run << 4 | size))
}

/// A scan's entropy-coded data.
struct Bits<'a> {
    bytes: &'a mut Vec<u8>,
    buffer: u32,
    held: u32,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self {
            bytes,
            buffer: 0,
            held: 0,
        }
    }

    fn push(&mut self, value: u32, count: u32) {
        self.buffer = self.buffer << count | value & ((1 << count) - 1);
        self.held += count;
        while self.held >= 8 {
            self.held -= 8;
            let byte = (self.buffer >> self.held) as u8;
            self.bytes.push(byte);
            if byte == 0xFF {
                self.bytes.push(0);
            }
        }
    }

    /// Fills the last byte with ones.
    fn flush(&mut self) {
        self.push(0x7F, (8 - self.held) % 8);
    }

    fn restart(&mut self, number: usize) {
        self.flush();
        self.bytes.extend([0xFF, 0xD0 + (number % 8) as u8]);
    }

    fn dc(&mut self, difference: i32) {
        let size = size_of(difference);
        self.push(size, 4);
        self.magnitude(difference, size);
    }

    fn ac_symbol(&mut self, symbol: u8) {
        let code = ac_symbols().position(|known| known == symbol).unwrap();
        self.push(code as u32, 8);
    }

    fn magnitude(&mut self, value: i32, size: u32) {
        let low = if value < 0 { value - 1 } else { value };
        self.push(low as u32, size);
    }

    /// A band's first scan. Blocks that end in zeros join a run if there is one.
    fn ac(&mut self, block: &[i32; 64], band: (usize, usize), cut: u8, run: &mut Option<&mut u32>) {
        let mut zeros = 0;
        for &value in &block[band.0..=band.1] {
            let value = value.signum() * (value.abs() >> cut);
            if value == 0 {
                zeros += 1;
                continue;
            }
            if let Some(run) = run {
                self.end_of_bands(run);
            }
            while zeros > 15 {
                self.ac_symbol(0xF0);
                zeros -= 16;
            }
            let size = size_of(value);
            self.ac_symbol((zeros << 4) as u8 | size as u8);
            self.magnitude(value, size);
            zeros = 0;
        }
        if zeros > 0 {
            match run {
                Some(run) => **run += 1,
                None => self.ac_symbol(0),
            }
        }
    }

    fn end_of_bands(&mut self, run: &mut u32) {
        if *run > 0 {
            let size = run.ilog2();
            self.ac_symbol((size << 4) as u8);
            self.push(*run, size);
            *run = 0;
        }
    }

    /// A band's later scan, T.81 G.1.2.3, each block with an end of its own.
    fn ac_refined(&mut self, block: &[i32; 64], band: (usize, usize), cut: u8) {
        let band: Vec<i32> = (block[band.0..=band.1].iter())
            .map(|&value| value.signum() * (value.abs() >> cut))
            .collect();
        let last_new = band.iter().rposition(|value| value.abs() == 1);
        let mut corrections = Vec::new();
        let mut zeros = 0;
        for (index, &value) in band.iter().enumerate() {
            match value.abs() {
                0 => {
                    zeros += 1;
                    if zeros == 16 && last_new.is_some_and(|last| index < last) {
                        self.ac_symbol(0xF0);
                        self.correct(&mut corrections);
                        zeros = 0;
                    }
                }
                1 => {
                    self.ac_symbol(zeros << 4 | 1);
                    self.push(u32::from(value > 0), 1);
                    self.correct(&mut corrections);
                    zeros = 0;
                }
                magnitude => corrections.push(magnitude as u32 & 1),
            }
        }
        if zeros > 0 || !corrections.is_empty() {
            self.ac_symbol(0);
            self.correct(&mut corrections);
        }
    }

    fn correct(&mut self, corrections: &mut Vec<u32>) {
        for bit in corrections.drain(..) {
            self.push(bit, 1);
        }
    }
}

/// The bits of a magnitude, T.81 table F.1.
fn size_of(value: i32) -> u32 {
    value
        .unsigned_abs()
        .checked_ilog2()
        .map_or(0, |log| log + 1)
}
