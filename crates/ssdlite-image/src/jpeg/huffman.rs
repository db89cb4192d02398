//! The bits of a scan's data and the codes in them; ITU-T T.81, annex C and
//! F.2.2.

/// Codes of so many bits are found by one look-up.
const LOOKUP_BITS: u32 = 10;

/// Why a scan's data can't be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A marker or the file's end stands where data should.
    Ends,
    /// Bits that no code has, or a code that can't stand there.
    Code,
}

pub(super) type Read<T> = std::result::Result<T, Fault>;

/// As it stands in a file: how many codes there are of each length from 1 to
/// 16, and the codes' symbols.
pub(super) type StatedTable<'a> = (&'a [u8], &'a [u8]);

/// Codes and their symbols.
pub(super) struct HuffmanTable {
    /// Symbol and length of the code that these bits start with; a length of 0
    /// if it is longer.
    lookup: [(u8, u8); 1 << LOOKUP_BITS],
    /// For each length, the first sixteen bits' value that is too large for
    /// its codes, and what to add to a code for its symbol's index.
    longer: [(u32, i32); 17],
    symbols: [u8; 256],
}

impl HuffmanTable {
    /// None if there are more codes than bits can tell apart.
    pub(super) fn new((counts, symbols): StatedTable<'_>) -> Option<Self> {
        let mut table = Self {
            lookup: [(0, 0); 1 << LOOKUP_BITS],
            longer: [(0, 0); 17],
            symbols: [0; 256],
        };
        table
            .symbols
            .get_mut(..symbols.len())?
            .copy_from_slice(symbols);
        let (mut code, mut index) = (0u32, 0usize);
        for (length, &count) in (1u32..).zip(counts) {
            let count = usize::from(count);
            if code as usize + count > 1 << length {
                return None;
            }
            for symbol in &symbols[index..index + count] {
                if length <= LOOKUP_BITS {
                    let free = LOOKUP_BITS - length;
                    let first = (code as usize) << free;
                    table.lookup[first..first + (1 << free)].fill((*symbol, length as u8));
                }
                code += 1;
            }
            index += count;
            table.longer[length as usize] = (code << (16 - length), index as i32 - code as i32);
            code <<= 1;
        }
        Some(table)
    }

    /// The symbol and the length of a code that is longer than the look-up's, from the
    /// next sixteen bits, of which so many are there.
    #[cold]
    #[inline(never)]
    fn longer_code(&self, next: u32, held: u32) -> Read<(u8, u32)> {
        for length in LOOKUP_BITS + 1..=16 {
            let (end, offset) = self.longer[length as usize];
            if next < end {
                let index = (next >> (16 - length)) as i32 + offset;
                return Ok((self.symbols[index as usize], length));
            }
        }
        Err(if held < 16 { Fault::Ends } else { Fault::Code })
    }
}

/// The signed number whose magnitude has `count` bits, which stand on top; T.81, F.2.2.1.
#[inline(always)]
fn signed(bits: u64, count: u32) -> i32 {
    let value = (bits >> 1 >> (63 - count)) as i32;
    let is_negative = (bits as i64) >= 0;
    value + if is_negative { 1 - (1 << count) } else { 0 }
}

/// Reads bits from a scan's data, up to a marker. A loop over codes works on a copy,
/// which stays in registers.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The bits to come, the first on top; zeros below those that are held.
    buffer: u64,
    held: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            buffer: 0,
            held: 0,
        }
    }

    /// Holds 57 bits or all that are left before the next marker.
    #[inline(always)]
    fn refill(&mut self) {
        if !self.take_plain_bytes() {
            *self = self.refilled_by_bytes();
        }
    }

    #[cold]
    #[inline(never)]
    fn refilled_by_bytes(mut self) -> Self {
        while self.held <= 56 {
            let (byte, length) = match *self.bytes {
                // An FF of the data is followed by 00; more FF may stand before.
                [0xFF, 0x00, ..] => (0xFF, 2),
                [0xFF, 0xFF, ..] => {
                    self.bytes = &self.bytes[1..];
                    continue;
                }
                [0xFF, ..] | [] => break,
                [byte, ..] => (byte, 1),
            };
            self.bytes = &self.bytes[length..];
            self.buffer |= u64::from(byte) << (56 - self.held);
            self.held += 8;
        }
        self
    }

    /// Takes as many bytes as there is room for, if none of the next eight is FF.
    #[inline(always)]
    fn take_plain_bytes(&mut self) -> bool {
        let Some(next) = self.bytes.first_chunk() else {
            return false;
        };
        let word = u64::from_be_bytes(*next);
        // Hacker's Delight, 6-1: a zero byte of `!word`.
        let has_ff = (!word).wrapping_sub(u64::MAX / 255) & word & ((u64::MAX / 255) << 7) != 0;
        if has_ff {
            return false;
        }
        let bytes = (64 - self.held) / 8;
        let taken = word >> (64 - 8 * bytes);
        self.buffer |= taken << (64 - self.held - 8 * bytes);
        self.held += 8 * bytes;
        self.bytes = &self.bytes[bytes as usize..];
        true
    }

    fn consume(&mut self, count: u32) -> Read<()> {
        self.held = self.held.checked_sub(count).ok_or(Fault::Ends)?;
        self.buffer <<= count;
        Ok(())
    }

    /// The symbol of the next code.
    #[inline(always)]
    pub(super) fn symbol(&mut self, table: &HuffmanTable) -> Read<u8> {
        let (symbol, length) = self.next_code(table)?;
        self.consume(length)?;
        Ok(symbol)
    }

    /// The symbol of the next code, and the signed number behind it whose magnitude has
    /// as many bits as the symbol's lower half says.
    #[inline(always)]
    pub(super) fn symbol_and_number(&mut self, table: &HuffmanTable) -> Read<(u8, i32)> {
        let (symbol, length) = self.next_code(table)?;
        let size = u32::from(symbol & 15);
        let number = signed(self.buffer << length, size);
        self.consume(length + size)?;
        Ok((symbol, number))
    }

    /// The symbol and the length of the next code, which is not consumed.
    #[inline(always)]
    fn next_code(&mut self, table: &HuffmanTable) -> Read<(u8, u32)> {
        // A code and the number behind it have at most 32 bits.
        if self.held < 32 {
            self.refill();
        }
        let (symbol, length) = table.lookup[(self.buffer >> (64 - LOOKUP_BITS)) as usize];
        if length > 0 {
            return Ok((symbol, length.into()));
        }
        table.longer_code((self.buffer >> 48) as u32, self.held)
    }

    /// A number of `count` bits, at most 16.
    #[inline(always)]
    pub(super) fn bits(&mut self, count: u32) -> Read<i32> {
        if count == 0 {
            return Ok(0);
        }
        if self.held < count {
            self.refill();
        }
        let value = (self.buffer >> (64 - count)) as i32;
        self.consume(count)?;
        Ok(value)
    }

    /// The data from the next marker on, and how many whole bytes before it
    /// were not read. Zeros, with which files are filled up, don't count.
    pub(super) fn up_to_marker(&mut self) -> (&'a [u8], usize) {
        let mut unread = 0;
        loop {
            let bytes = (self.buffer << (self.held % 8)).to_be_bytes();
            unread += bytes.iter().filter(|&&byte| byte != 0).count();
            self.buffer = 0;
            self.held = 0;
            self.refill();
            if self.held == 0 {
                return (self.bytes, unread);
            }
        }
    }
}

/// Counts and symbols of the tables in T.81, K.3.3: for luminance DC and AC,
/// for chrominance DC and AC. Frames of motion JPEG leave them out.
pub(super) const STANDARD_TABLES: [StatedTable<'static>; 4] = [
    (
        &[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    ),
    (
        &[0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D],
        &LUMINANCE_AC,
    ),
    (
        &[0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    ),
    (
        &[0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77],
        &CHROMINANCE_AC,
    ),
];

#[rustfmt::skip]
const LUMINANCE_AC: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
    0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xA1, 0x08, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0,
    0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0A, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2A, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
    0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
    0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
    0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7,
    0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5,
    0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2,
    0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8,
    0xF9, 0xFA,
];

#[rustfmt::skip]
const CHROMINANCE_AC: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
    0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xA1, 0xB1, 0xC1, 0x09, 0x23, 0x33, 0x52, 0xF0,
    0x15, 0x62, 0x72, 0xD1, 0x0A, 0x16, 0x24, 0x34, 0xE1, 0x25, 0xF1, 0x17, 0x18, 0x19, 0x1A, 0x26,
    0x27, 0x28, 0x29, 0x2A, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
    0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
    0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5,
    0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3,
    0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA,
    0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8,
    0xF9, 0xFA,
];
