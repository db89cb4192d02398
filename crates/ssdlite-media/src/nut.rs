//! Frames as `ffmpeg` hands them over: a NUT stream of packed RGB, in which
//! each frame says its own size and time.
//!
//! NUT gives each frame its time and its number of bytes, but one size for the
//! whole stream, while frames may change theirs. So `ffmpeg` is told, by
//! `FILTERS`, to add two rows below each frame, a black one and under it a
//! white one: the white pixels at the end of the bytes are as many as the frame
//! is wide. Nothing that a video holds, neither its titles nor its images, can
//! pose as either.
//!
//! The part of NUT that `ffmpeg` writes is read: one stream, no elided headers.
//! Checksums are passed over, since the bytes come through a pipe.
//!
//! Source: FFmpeg's `doc/nut.texi` and the specification that it names, version
//! 20080117 with its later flags.

use std::io::{self, Read};
use std::time::Duration;

use ssdlite_image::{ImageSize, RgbImage};

use crate::error::{Error, Result};

/// The most pixels of a video's frame: four times those of 8K video.
pub(crate) const MAX_FRAME_PIXELS: u64 = 4 * 7680 * 4320;

/// What `ffmpeg` does to each frame before it is sent. A frame without a time,
/// or with one before the start, gets the start's.
pub(crate) const FILTERS: &str = "format=rgb24,pad=iw:ih+1:0:0:black,pad=iw:ih+1:0:0:white,\
                                  setpts=max(PTS\\,0)";

/// Ticks a second of the stream that `ffmpeg` writes. NUT wants each time later
/// than the last, so `ffmpeg` moves frames of equal times a tick on; times are
/// rounded to microseconds, which takes this back.
pub(crate) const CLOCK: &str = "1:1000000000";

const NANOSECONDS: u128 = 1_000_000_000;
const NANOSECONDS_A_MICROSECOND: u128 = 1_000;

/// Bytes of one pixel.
const PIXEL: usize = 3;
const WHITE: [u8; PIXEL] = [255; PIXEL];
const BLACK: [u8; PIXEL] = [0; PIXEL];

/// The most bytes of a frame's pixels: those of one row and as many pixels as
/// there may be, with the two rows below.
const MAX_FRAME_BYTES: u64 = MAX_FRAME_PIXELS * 3 * PIXEL as u64;

/// The most bytes of a packet that describes the stream.
const MAX_HEADER_BYTES: u64 = 1 << 20;

const FILE_ID: &[u8] = b"nut/multimedia container\0";
/// The first byte of every packet but a frame.
const START: u8 = b'N';
const MAIN: u64 = 0x4E4D_7A56_1F5F_04AD;
const STREAM: u64 = 0x4E53_1140_5BF2_F9DB;
const SYNCPOINT: u64 = 0x4E4B_E4AD_EECA_4569;
/// A packet longer than this has a checksum behind its length.
const LONG_PACKET: u64 = 4096;
const CHECKSUM_BYTES: u64 = 4;

/// What the flags of a frame say of its head.
mod flag {
    pub(super) const CODED_TIME: u64 = 1 << 3;
    pub(super) const STREAM_ID: u64 = 1 << 4;
    pub(super) const SIZE: u64 = 1 << 5;
    pub(super) const CHECKSUM: u64 = 1 << 6;
    pub(super) const RESERVED: u64 = 1 << 7;
    pub(super) const SIDE_DATA: u64 = 1 << 8;
    pub(super) const HEADER: u64 = 1 << 10;
    pub(super) const MATCH_TIME: u64 = 1 << 11;
    pub(super) const CODED_FLAGS: u64 = 1 << 12;
    pub(super) const INVALID: u64 = 1 << 13;
}

/// A frame as it comes out of the pipe.
#[derive(Clone, Debug, PartialEq)]
pub struct PipedFrame {
    /// The pixels, without the rows that tell their size.
    pub image: RgbImage,
    /// From the input's start, rounded to microseconds.
    pub time: Duration,
}

/// Reads frames from a NUT stream as `ffmpeg` writes it for this crate.
pub struct FrameReader<R> {
    bytes: R,
    /// None before the main header was read.
    codes: Option<Box<[FrameCode; 256]>>,
    time_base: (u64, u64),
    /// Bits of a time that may stand for the whole of it.
    time_bits: u32,
    last_ticks: i64,
}

/// What the first byte of a frame stands for.
#[derive(Clone, Copy)]
struct FrameCode {
    flags: u64,
    time_step: i64,
    size_factor: u64,
    size_rest: u64,
    reserved: u64,
}

const INVALID_CODE: FrameCode = FrameCode {
    flags: flag::INVALID,
    time_step: 0,
    size_factor: 1,
    size_rest: 0,
    reserved: 0,
};

impl<R: Read> FrameReader<R> {
    /// A reader from the start of a stream.
    pub fn new(bytes: R) -> Self {
        Self {
            bytes,
            codes: None,
            time_base: (1, 1),
            time_bits: 0,
            last_ticks: 0,
        }
    }

    /// The next frame; none after the end, which may come at any byte, as
    /// when the program that writes is ended.
    ///
    /// # Errors
    /// [`Error::Malformed`] for bytes that are no such stream,
    /// [`Error::OverLimit`] for a frame of too many pixels.
    pub fn next_frame(&mut self) -> Result<Option<PipedFrame>> {
        match self.read_frame() {
            Ok(frame) => Ok(Some(frame)),
            Err(Stop::End) => Ok(None),
            Err(Stop::Error(error)) => Err(error),
        }
    }

    fn read_frame(&mut self) -> Next<PipedFrame> {
        if self.codes.is_none() {
            self.read_start()?;
        }
        loop {
            let code = byte(&mut self.bytes)?;
            if code == START {
                self.read_packet()?;
                continue;
            }
            return self.read_frame_of(code);
        }
    }

    fn read_start(&mut self) -> Next<()> {
        let mut id = [0; FILE_ID.len()];
        exact(&mut self.bytes, &mut id)?;
        if id != FILE_ID || byte(&mut self.bytes)? != START {
            return Err(malformed("no stream of frames"));
        }
        self.read_packet()?;
        if self.codes.is_none() {
            return Err(malformed("no main header"));
        }
        Ok(())
    }

    /// Reads a packet that is no frame, whose first byte was read.
    fn read_packet(&mut self) -> Next<()> {
        let mut code = [START, 0, 0, 0, 0, 0, 0, 0];
        exact(&mut self.bytes, &mut code[1..])?;
        let length = number(&mut self.bytes)?;
        if length > MAX_HEADER_BYTES {
            return Err(malformed("a header that is too long"));
        }
        if length > LONG_PACKET {
            exact(&mut self.bytes, &mut [0; CHECKSUM_BYTES as usize])?;
        }
        let mut content = Vec::new();
        read_up_to(&mut self.bytes, length, &mut content)?;
        let content = &mut &content[..];
        match u64::from_be_bytes(code) {
            MAIN => self.read_main_header(content).map_err(inside),
            STREAM => self.read_stream_header(content).map_err(inside),
            SYNCPOINT => {
                // With one time base, the number is the time.
                let ticks = number(content).map_err(inside)?;
                self.last_ticks = i64::try_from(ticks).map_err(|_| malformed("a time"))?;
                Ok(())
            }
            // Titles and the like, and the index.
            _ => Ok(()),
        }
    }

    fn read_main_header(&mut self, content: &mut &[u8]) -> Next<()> {
        let version = number(content)?;
        if version > 3 {
            let _minor_version = number(content)?;
        }
        let streams = number(content)?;
        let _max_distance = number(content)?;
        let time_bases = number(content)?;
        if (streams, time_bases) != (1, 1) {
            return Err(malformed("more than one stream"));
        }
        self.time_base = (number(content)?, number(content)?);
        if self.time_base.1 == 0 {
            return Err(malformed("a time base"));
        }
        self.codes = Some(read_codes(content)?);
        Ok(())
    }

    fn read_stream_header(&mut self, content: &mut &[u8]) -> Next<()> {
        let _id = number(content)?;
        let _class = number(content)?;
        let tag = number(content)?;
        read_up_to(content, tag, &mut Vec::new())?;
        let _time_base = number(content)?;
        let bits = number(content)?;
        self.time_bits = u32::try_from(bits)
            .ok()
            .filter(|bits| (1..63).contains(bits))
            .ok_or_else(|| malformed("a time"))?;
        Ok(())
    }

    fn read_frame_of(&mut self, code: u8) -> Next<PipedFrame> {
        let bytes = &mut self.bytes;
        let codes = self.codes.as_ref().ok_or_else(|| malformed("no header"))?;
        let code = codes[usize::from(code)];
        let mut flags = code.flags;
        if flags & flag::INVALID != 0 {
            return Err(malformed("an invalid frame"));
        }
        if flags & flag::CODED_FLAGS != 0 {
            flags ^= number(bytes)?;
        }
        if flags & flag::STREAM_ID != 0 && number(bytes)? != 0 {
            return Err(malformed("a frame of another stream"));
        }
        let ticks = if flags & flag::CODED_TIME != 0 {
            ticks_from_coded(number(bytes)?, self.time_bits, self.last_ticks)
        } else {
            self.last_ticks.checked_add(code.time_step)
        };
        let ticks = ticks.ok_or_else(|| malformed("a time"))?;
        let mut size = code.size_rest;
        if flags & flag::SIZE != 0 {
            let more = number(bytes)?.checked_mul(code.size_factor);
            let more = more.and_then(|more| more.checked_add(size));
            size = more.ok_or_else(|| malformed("a length"))?;
        }
        if flags & flag::MATCH_TIME != 0 {
            number(bytes)?;
        }
        if flags & (flag::HEADER | flag::SIDE_DATA) != 0 {
            return Err(malformed("a frame with more than its pixels"));
        }
        let reserved = match flags & flag::RESERVED {
            0 => code.reserved,
            _ => number(bytes)?,
        };
        for _ in 0..reserved {
            number(bytes)?;
        }
        if flags & flag::CHECKSUM != 0 {
            exact(bytes, &mut [0; CHECKSUM_BYTES as usize])?;
        }
        if size > MAX_FRAME_BYTES {
            return Err(Stop::Error(Error::OverLimit(format!(
                "expected frames of at most {MAX_FRAME_PIXELS} pixels, found one of {size} bytes"
            ))));
        }
        let mut pixels = Vec::new();
        read_up_to(bytes, size, &mut pixels)?;
        self.last_ticks = ticks;
        Ok(PipedFrame {
            image: image_from_padded(pixels).map_err(Stop::Error)?,
            time: time_from_ticks(ticks, self.time_base).ok_or_else(|| malformed("a time"))?,
        })
    }
}

/// Why there is no next thing.
enum Stop {
    End,
    Error(Error),
}

type Next<T> = std::result::Result<T, Stop>;

fn malformed(what: &str) -> Stop {
    Stop::Error(Error::Malformed(format!(
        "expected frames from `ffmpeg`, found {what}"
    )))
}

/// The end of a packet's content, which was read whole, is no end of the stream.
fn inside(stop: Stop) -> Stop {
    match stop {
        Stop::End => malformed("a header that is too short"),
        error => error,
    }
}

fn exact(bytes: &mut impl Read, into: &mut [u8]) -> Next<()> {
    bytes.read_exact(into).map_err(ended)
}

/// What can't be read any more has ended.
fn ended(_: io::Error) -> Stop {
    Stop::End
}

fn byte(bytes: &mut impl Read) -> Next<u8> {
    let mut byte = [0];
    exact(bytes, &mut byte)?;
    Ok(byte[0])
}

/// Reads `length` bytes; memory grows with what comes, not with what is said.
fn read_up_to(bytes: &mut impl Read, length: u64, into: &mut Vec<u8>) -> Next<()> {
    let read = bytes.take(length).read_to_end(into).map_err(ended)?;
    if read as u64 == length {
        Ok(())
    } else {
        Err(Stop::End)
    }
}

/// NUT's `v`: seven bits a byte, the first byte first, with the top bit set in
/// all but the last.
fn number(bytes: &mut impl Read) -> Next<u64> {
    let mut value = 0_u64;
    loop {
        let byte = byte(bytes)?;
        if value >> (u64::BITS - 7) != 0 {
            return Err(malformed("a number that is too large"));
        }
        value = value << 7 | u64::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
}

/// NUT's `s`: 0, 1, -1, 2, -2 and so on.
fn signed(bytes: &mut impl Read) -> Next<i64> {
    let value = number(bytes)?.checked_add(1);
    let value = value.ok_or_else(|| malformed("a number that is too large"))?;
    let size = (value >> 1) as i64;
    Ok(if value & 1 == 1 { -size } else { size })
}

/// The table of frame codes, which the main header holds in runs.
fn read_codes(content: &mut &[u8]) -> Next<Box<[FrameCode; 256]>> {
    let mut codes = Box::new([INVALID_CODE; 256]);
    let mut code = INVALID_CODE;
    let mut next = 0;
    while next < codes.len() {
        let flags = number(content)?;
        let fields = number(content)?;
        let mut count = None;
        if fields > 0 {
            code.time_step = signed(content)?;
        }
        if fields > 1 {
            code.size_factor = number(content)?;
        }
        if fields > 2 {
            let _stream = number(content)?;
        }
        code.size_rest = if fields > 3 { number(content)? } else { 0 };
        code.reserved = if fields > 4 { number(content)? } else { 0 };
        if fields > 5 {
            count = Some(number(content)?);
        }
        if fields > 6 {
            let _match_time = signed(content)?;
        }
        if fields > 7 {
            let _header = number(content)?;
        }
        for _ in 8..fields {
            number(content)?;
        }
        let count = count
            .or_else(|| code.size_factor.checked_sub(code.size_rest))
            .ok_or_else(|| malformed("a table of frames"))?;
        code.flags = flags;
        let mut left = count;
        while left > 0 && next < codes.len() {
            // The byte that starts other packets stands for no frame.
            if next != usize::from(START) {
                codes[next] = FrameCode {
                    size_rest: code.size_rest.saturating_add(count - left),
                    ..code
                };
                left -= 1;
            }
            next += 1;
        }
    }
    Ok(codes)
}

/// A time by its last bits, which mean the one next to the last time, or whole.
fn ticks_from_coded(coded: u64, bits: u32, last: i64) -> Option<i64> {
    let coded = i64::try_from(coded).ok()?;
    let span = 1_i64.checked_shl(bits)?;
    if coded >= span {
        return Some(coded - span);
    }
    let lowest = last.checked_sub((span - 1) / 2)?;
    let above = coded.wrapping_sub(lowest) & (span - 1);
    lowest.checked_add(above)
}

/// The time of a tick, to the nearest microsecond; one before the start counts
/// as the start.
fn time_from_ticks(ticks: i64, (numerator, denominator): (u64, u64)) -> Option<Duration> {
    let ticks = u128::from(ticks.max(0).unsigned_abs());
    let nanoseconds =
        ticks.checked_mul(u128::from(numerator) * NANOSECONDS)? / u128::from(denominator);
    let half = NANOSECONDS_A_MICROSECOND / 2;
    let microseconds = (nanoseconds + half) / NANOSECONDS_A_MICROSECOND;
    u64::try_from(microseconds).ok().map(Duration::from_micros)
}

/// Takes the two rows off that tell how wide the image is.
fn image_from_padded(mut pixels: Vec<u8>) -> Result<RgbImage> {
    let no_image =
        || Error::Malformed("expected a frame over a black and a white row, found none".to_owned());
    let (all, []) = pixels.as_chunks::<PIXEL>() else {
        return Err(no_image());
    };
    let width = all
        .iter()
        .rev()
        .take_while(|pixel| **pixel == WHITE)
        .count();
    let rows = all.len().checked_div(width).unwrap_or(0);
    if rows < 3 || all.len() % width != 0 {
        return Err(no_image());
    }
    let black = &all[(rows - 2) * width..(rows - 1) * width];
    if black.iter().any(|pixel| *pixel != BLACK) {
        return Err(no_image());
    }
    let side = |pixels: usize| u32::try_from(pixels).map_err(|_| no_image());
    let size = ImageSize::new(side(width)?, side(rows - 2)?);
    if size.pixels() > MAX_FRAME_PIXELS {
        return Err(Error::OverLimit(format!(
            "expected frames of at most {MAX_FRAME_PIXELS} pixels, found {size}"
        )));
    }
    pixels.truncate((rows - 2) * width * PIXEL);
    Ok(RgbImage::new(size, pixels)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `ffmpeg` 5.1 writes for three red images of 4x2, three a second, before
    /// the first of them.
    const HEAD: &str = "\
        6e75742f6d756c74696d6564696120636f6e7461696e6572004e4d7a561f5f04ad4a030181ff7f01\
        0183dceb9400c00006000000000001a00002010128010029002101012002018179c0000600000000\
        0001060300000104000001b602fffa02fffb02fffc02fffd634e58234e5311405bf2f9db1a000004\
        52474218000e83dceb940000000004040101004234e8d84e49ab68b596ba78090000000000000000\
        004e49ab68b596ba7832010000000207656e636f646572020d4c61766320726177766964656f0c72\
        5f6672616d655f726174650203332f316860b98c4e4be4adeeca456906000000000000";
    /// The heads of its frames, up to the pixels: the first has the time of the
    /// point to which one may seek, those after it a time and a checksum.
    const FRAMES: [&str; 3] = ["030030", "03819efa865530", "0382bdf38d2b30"];

    const SIZE: ImageSize = ImageSize {
        width: 4,
        height: 2,
    };
    const RED: [u8; 3] = [253, 0, 0];

    fn bytes_from_hex(text: &str) -> Vec<u8> {
        let digit = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
        let pairs = text.as_bytes().chunks_exact(2);
        pairs
            .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
            .collect()
    }

    /// The head of a frame with its whole time and its length.
    fn frame_head(ticks: u64, length: usize) -> Vec<u8> {
        let two_bytes = |number: u64| [0x80 | (number >> 7) as u8, number as u8 & 0x7F];
        let mut head = vec![3, 0x81];
        head.extend(two_bytes(ticks));
        head.extend(two_bytes(length as u64));
        head
    }

    fn stream() -> Vec<u8> {
        let mut bytes = bytes_from_hex(HEAD);
        for head in FRAMES {
            bytes.extend(bytes_from_hex(head));
            bytes.extend(padded(SIZE, RED));
        }
        bytes
    }

    fn padded(size: ImageSize, pixel: [u8; 3]) -> Vec<u8> {
        let row = |pixel: [u8; 3]| pixel.repeat(size.width as usize);
        [pixel.repeat(size.pixels() as usize), row(BLACK), row(WHITE)].concat()
    }

    fn frames(bytes: &[u8]) -> Result<Vec<PipedFrame>> {
        let mut reader = FrameReader::new(bytes);
        std::iter::from_fn(|| reader.next_frame().transpose()).collect()
    }

    #[test]
    fn frames_come_with_their_times() {
        let found = frames(&stream()).unwrap();
        let times: Vec<_> = found.iter().map(|frame| frame.time.as_micros()).collect();
        assert_eq!(times, [0, 333_333, 666_667]);
        for frame in found {
            assert_eq!(frame.image, RgbImage::filled(SIZE, RED));
        }
    }

    #[test]
    fn a_stream_may_end_anywhere() {
        let whole = stream();
        for length in 0..whole.len() {
            let found = frames(&whole[..length]).unwrap();
            assert!(found.len() < 3, "{length}");
        }
    }

    #[test]
    fn what_is_no_stream_is_an_error_and_never_a_panic() {
        let whole = stream();
        let mut refused = 0;
        for index in 0..whole.len() {
            for value in [0, 1, 0x4E, 0x7F, 0x80, 0xFF] {
                let mut bytes = whole.clone();
                bytes[index] = value;
                match frames(&bytes) {
                    Ok(found) => assert!(found.len() <= 3, "byte {index} as {value}"),
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(refused > 100, "{refused}");
        assert!(matches!(
            frames(b"P6\n5 3\n255\nno stream at all"),
            Err(Error::Malformed(_))
        ));
    }

    #[test]
    fn each_frame_has_its_own_size() {
        let sizes = [(2, 9), (9, 2), (1, 1), (9, 2)].map(|(x, y)| ImageSize::new(x, y));
        let mut bytes = bytes_from_hex(HEAD);
        for (number, size) in (0..).zip(sizes) {
            let pixels = padded(size, WHITE);
            bytes.extend(frame_head(number, pixels.len()));
            bytes.extend(pixels);
        }
        let found = frames(&bytes).unwrap();
        let found: Vec<_> = found.iter().map(|frame| frame.image.size()).collect();
        assert_eq!(found, sizes);
    }

    #[test]
    fn no_image_poses_as_its_own_size() {
        for pixel in [WHITE, BLACK] {
            for size in [(1, 1), (1, 7), (7, 1), (4, 4), (6, 3)].map(|(x, y)| ImageSize::new(x, y))
            {
                let image = image_from_padded(padded(size, pixel)).unwrap();
                assert_eq!(image, RgbImage::filled(size, pixel));
            }
        }
        let size = ImageSize::new(4, 5);
        let whole = padded(size, RED);
        for broken in [
            &whole[..0],
            &whole[..whole.len() - 1],
            &whole[3..],
            &whole[..20 * 3],
            &whole[20 * 3..],
            &WHITE.repeat(12),
        ] {
            assert!(image_from_padded(broken.to_vec()).is_err());
        }
    }

    #[test]
    fn times_are_known_by_their_last_bits() {
        for last in [0, 5, 127, 128, 300, 1 << 40] {
            for step in -60..60 {
                let ticks = last + step;
                if ticks < 0 {
                    continue;
                }
                let coded = (ticks & 127) as u64;
                assert_eq!(
                    ticks_from_coded(coded, 7, last),
                    Some(ticks),
                    "{last} {step}"
                );
                assert_eq!(ticks_from_coded(ticks as u64 + 128, 7, last), Some(ticks));
            }
        }
        assert_eq!(ticks_from_coded(u64::MAX, 7, 0), None);
        assert_eq!(ticks_from_coded(1, 7, i64::MIN), None);
    }

    #[test]
    fn ticks_of_any_size_are_no_trap() {
        assert_eq!(time_from_ticks(-5, (1, 25)), Some(Duration::ZERO));
        assert_eq!(time_from_ticks(i64::MAX, (u64::MAX, 1)), None);
        assert_eq!(time_from_ticks(50, (1, 25)), Some(Duration::from_secs(2)));
        // A tick that was added to make two times differ is none.
        let moved = time_from_ticks(200_000_001, (1, 1_000_000_000));
        assert_eq!(moved, Some(Duration::from_millis(200)));
    }
}
