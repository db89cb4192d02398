//! Files that are odd where no pixel stands: they are read as other readers
//! read them.

use crate::fixtures::{bmp, crc32, files, png, ramp, webp};
use image::ExtendedColorType;
use ssdlite_image::decode::{Limits, decode};
use ssdlite_image::{ImageSize, RgbImage};

const SIZE: ImageSize = ImageSize::new(31, 23);

/// The first chunk of an image's PNG file ends here.
const AFTER_HEADER: usize = 33;

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind.as_slice(), data].concat();
    let length = (data.len() as u32).to_be_bytes();
    [&length, body.as_slice(), &crc32(&body).to_be_bytes()].concat()
}

fn with(bytes: &[u8], at: usize, added: &[u8]) -> Vec<u8> {
    [&bytes[..at], added, &bytes[at..]].concat()
}

fn wrong_crc(mut chunk: Vec<u8>) -> Vec<u8> {
    *chunk.last_mut().unwrap() ^= 1;
    chunk
}

fn assert_read(variants: Vec<(&str, Vec<u8>)>, expected: &RgbImage) {
    for (name, bytes) in variants {
        let found = decode(&bytes, &Limits::default());
        let found = found.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(found == *expected, "{name}");
    }
}

#[test]
fn png_without_an_end_or_with_odd_chunks_is_read() {
    let image = ramp(SIZE);
    let bytes = png(SIZE, image.pixels(), ExtendedColorType::Rgb8);
    let end = bytes.len() - 12;
    let text = chunk(b"tEXt", b"Comment\0hm");
    let gamma = chunk(b"gAMA", &[0, 0, 0xB1, 0x8F]);
    let mut variants = vec![
        ("no end chunk", bytes[..end].to_vec()),
        ("half an end chunk", bytes[..end + 6].to_vec()),
        ("no checksum of the pixels", bytes[..end - 4].to_vec()),
        ("half a checksum", bytes[..end - 2].to_vec()),
        ("half a text chunk", [&bytes[..end], &text[..9]].concat()),
        ("rubbish for an end", [&bytes[..end], &[0x12; 15]].concat()),
        ("bytes after the end", with(&bytes, bytes.len(), &[7; 20])),
        ("another end", with(&bytes, bytes.len(), &bytes[end..])),
        ("the end's checksum", wrong_crc(bytes.clone())),
    ];
    for (name, added) in [
        ("a text's checksum", wrong_crc(text.clone())),
        ("text without a separator", chunk(b"tEXt", b"hm")),
        (
            "text that can't be unpacked",
            chunk(b"zTXt", b"Comment\0\0hm"),
        ),
        (
            "a profile that can't be unpacked",
            chunk(b"iCCP", b"a\0\0hm"),
        ),
        ("short gamma", chunk(b"gAMA", &[1])),
        ("gamma twice", [gamma.clone(), gamma].concat()),
        ("a damaged Exif block", chunk(b"eXIf", b"hm")),
        ("an unknown chunk", chunk(b"abCd", b"hm")),
    ] {
        variants.push((name, with(&bytes, AFTER_HEADER, &added)));
    }
    assert_read(variants, &image);
}

#[test]
fn png_with_a_wrong_length_among_its_pixels_is_an_error() {
    let image = ramp(SIZE);
    let bytes = png(SIZE, image.pixels(), ExtendedColorType::Rgb8);
    let at = (bytes.windows(4).position(|kind| kind == b"IDAT")).unwrap();
    let pixels = &bytes[at + 4..bytes.len() - 16];
    let (first, second) = pixels.split_at(pixels.len() / 2);
    let halves = [
        chunk(b"IDAT", first),
        chunk(b"IDAT", second),
        chunk(b"IEND", b""),
    ]
    .concat();
    let mut two = with(&bytes[..at - 4], at - 4, &halves);
    assert!(decode(&two, &Limits::default()).unwrap() == image);
    two[at - 3] = 1;
    assert!(decode(&two, &Limits::default()).is_err());
}

#[test]
fn webp_and_bmp_with_wrong_sizes_of_the_file_are_read() {
    let image = ramp(SIZE);
    let lossy = files().into_iter().find(|(name, _)| *name == "lossy.webp");
    let lossy = lossy.unwrap().1;
    let lossless = webp(SIZE, image.pixels(), ExtendedColorType::Rgb8);
    for bytes in [lossy, lossless] {
        let with_size = |size: u32| [&bytes[..4], &size.to_le_bytes(), &bytes[8..]].concat();
        let variants = vec![
            ("bytes after the end", with(&bytes, bytes.len(), &[7; 9])),
            ("no size", with_size(0)),
            ("a size that is too large", with_size(9999)),
        ];
        assert_read(variants, &decode(&bytes, &Limits::default()).unwrap());
    }
    let bytes = bmp(SIZE, image.pixels(), ExtendedColorType::Rgb8);
    let mut variants = vec![("bytes after the end", with(&bytes, bytes.len(), &[7; 9]))];
    for (name, at) in [("file", 2), ("pixels", 34), ("palette", 46)] {
        for size in [0u32, 77] {
            let size = size.to_le_bytes();
            variants.push((name, [&bytes[..at], &size, &bytes[at + 4..]].concat()));
        }
    }
    assert_read(variants, &image);
    let mut start = bytes.clone();
    start[10] = 0;
    let error = decode(&start, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("start at byte 0"), "{error}");
}
