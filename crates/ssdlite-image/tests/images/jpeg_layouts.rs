//! JPEG files in every layout of components and scans decode to the image
//! that went in, or to an error where pixels are missing.

use crate::jpeg_writer::{Coefficients, Scan};
use ssdlite_image::decode::{Limits, decode};
use ssdlite_image::{Error, ImageSize, RgbImage};

/// Odd, so that the last MCUs are never full.
const SIZE: (usize, usize) = (61, 43);

/// How the components' samples are stored.
pub(crate) const FACTORS: [[(usize, usize); 3]; 17] = [
    [(1, 1), (1, 1), (1, 1)],
    [(2, 1), (1, 1), (1, 1)],
    [(1, 2), (1, 1), (1, 1)],
    [(2, 2), (1, 1), (1, 1)],
    [(4, 1), (1, 1), (1, 1)],
    [(1, 4), (1, 1), (1, 1)],
    [(4, 2), (1, 1), (1, 1)],
    [(2, 2), (2, 1), (1, 2)],
    [(2, 2), (2, 2), (2, 2)],
    [(2, 2), (1, 2), (1, 2)],
    [(1, 1), (2, 1), (1, 1)],
    [(1, 1), (1, 2), (1, 2)],
    [(1, 1), (2, 2), (2, 2)],
    [(1, 1), (1, 1), (2, 2)],
    [(2, 1), (1, 2), (1, 1)],
    [(1, 2), (4, 1), (1, 1)],
    [(3, 1), (1, 1), (1, 3)],
];

/// Component `index` of an image that differs in every direction and channel
/// and has no edge, so that it survives being stored coarsely.
fn smooth(index: usize, u: f64, v: f64) -> f64 {
    match index {
        0 => 128.0 + 50.0 * (2.0 * u).sin() - 60.0 * v,
        1 => 128.0 + 40.0 * (u - v),
        2 => 128.0 - 50.0 * u * v,
        _ => 200.0 + 30.0 * u - 20.0 * v,
    }
}

/// The pixels of [`smooth`], by the equations of JFIF 1.02.
fn expected() -> Vec<[f64; 3]> {
    let (width, height) = SIZE;
    let at = |i: usize| ((i % width) as f64 + 0.5, (i / width) as f64 + 0.5);
    let sample = |i, index| smooth(index, at(i).0 / width as f64, at(i).1 / height as f64);
    let pixel = |i: usize| {
        let [y, cb, cr] = [0, 1, 2].map(|index| sample(i, index));
        let (cb, cr) = (cb - 128.0, cr - 128.0);
        [
            y + 1.402 * cr,
            y - 0.344_136 * cb - 0.714_136 * cr,
            y + 1.772 * cb,
        ]
    };
    (0..width * height).map(pixel).collect()
}

fn image_size() -> ImageSize {
    ImageSize::new(SIZE.0 as u32, SIZE.1 as u32)
}

fn decoded(bytes: &[u8]) -> Result<RgbImage, Error> {
    decode(bytes, &Limits::default())
}

/// The largest difference between a file's image and `expected`, in levels.
fn difference(bytes: &[u8], expected: &[[f64; 3]]) -> f64 {
    let image = decoded(bytes).unwrap();
    assert_eq!(image.size(), image_size());
    (image.pixels().iter().zip(expected.as_flattened()))
        .map(|(&found, &expected)| (f64::from(found) - expected.clamp(0.0, 255.0)).abs())
        .fold(0.0, f64::max)
}

/// How many pixels across or down the coarsest component's samples stand for.
pub(crate) fn coarseness(factors: &[(usize, usize)]) -> usize {
    let ratio = |side: fn(&(usize, usize)) -> usize| {
        let sides = factors.iter().map(side);
        sides.clone().max().unwrap() / sides.min().unwrap()
    };
    ratio(|factors| factors.0).max(ratio(|factors| factors.1))
}

/// The scans of a sequential image of `count` components: together, each
/// alone, the first and then the others, alone from the last on.
fn sequential_scans(count: usize) -> Vec<Vec<Scan>> {
    let alone = (0..count).map(|index| Scan::whole(&[index]));
    let all: Vec<usize> = (0..count).collect();
    let mut scans = vec![
        vec![Scan::whole(&all)],
        alone.clone().collect(),
        alone.rev().collect(),
    ];
    if count > 1 {
        scans.push(vec![Scan::whole(&[0]), Scan::whole(&all[1..])]);
    }
    scans
}

/// The scans of a progressive image: in bands, and bit by bit, with the first
/// scans together and alone.
fn progressive_scans(count: usize) -> Vec<Vec<Scan>> {
    let all: Vec<usize> = (0..count).collect();
    let each = |band, bits| {
        all.iter()
            .map(move |&index| Scan::part(&[index], band, bits))
    };
    let mut bands = vec![Scan::part(&all, (0, 0), (None, 0))];
    bands.extend(each((1, 5), (None, 0)));
    bands.extend(each((6, 63), (None, 0)));
    let mut bits: Vec<Scan> = each((0, 0), (None, 1)).collect();
    bits.extend(each((1, 5), (None, 2)));
    bits.extend(each((6, 63), (None, 2)));
    bits.extend(each((1, 63), (Some(2), 1)));
    bits.extend(each((0, 0), (Some(1), 0)));
    bits.extend(each((1, 63), (Some(1), 0)));
    vec![bands, bits]
}

/// Scans as [`Coefficients::to_jpeg`] takes them.
pub(crate) fn layouts(count: usize) -> Vec<(bool, Vec<Scan>)> {
    let sequential = sequential_scans(count)
        .into_iter()
        .map(|scans| (false, scans));
    let progressive = progressive_scans(count)
        .into_iter()
        .map(|scans| (true, scans));
    sequential.chain(progressive).collect()
}

#[test]
fn every_layout_decodes_to_the_image_that_went_in() {
    let expected = expected();
    for factors in FACTORS {
        let image = Coefficients::new(SIZE, &factors, smooth);
        let coarseness = coarseness(&factors);
        for (progressive, scans) in layouts(3) {
            for interval in [0, 1, 5] {
                let bytes = image.to_jpeg(progressive, &scans, interval, None);
                let found = difference(&bytes, &expected);
                let allowed = 2.5 + 2.5 * (coarseness - 1) as f64;
                assert!(
                    found <= allowed,
                    "{factors:?}, every {interval}, {scans:?}: {found} levels of {allowed}"
                );
            }
        }
    }
}

#[test]
fn one_component_is_grey_whatever_its_factors() {
    let (width, height) = SIZE;
    let grey = |i: usize| {
        let (x, y) = ((i % width) as f64 + 0.5, (i / width) as f64 + 0.5);
        [smooth(0, x / width as f64, y / height as f64); 3]
    };
    let expected: Vec<_> = (0..width * height).map(grey).collect();
    for factors in [(1, 1), (2, 1), (1, 2), (2, 2), (3, 4)] {
        let image = Coefficients::new(SIZE, &[factors], smooth);
        for (progressive, scans) in layouts(1) {
            for interval in [0, 3] {
                let bytes = image.to_jpeg(progressive, &scans, interval, None);
                let found = difference(&bytes, &expected);
                assert!(
                    found <= 2.5,
                    "{factors:?}, every {interval}, {scans:?}: {found}"
                );
            }
        }
    }
}

/// The fourth component is black, inverted as Adobe writes it: 255 is none.
#[test]
fn four_components_are_colour_over_black() {
    let (width, height) = SIZE;
    let over = |i: usize, light: f64| {
        let (x, y) = ((i % width) as f64 + 0.5, (i / width) as f64 + 0.5);
        light.clamp(0.0, 255.0) * smooth(3, x / width as f64, y / height as f64) / 255.0
    };
    // The equations of YCbCr give light, and YCCK's ink is its complement.
    let ycck: Vec<_> = (expected().into_iter().enumerate())
        .map(|(i, rgb)| rgb.map(|light| over(i, 255.0 - light)))
        .collect();
    let cmyk = |i: usize| {
        let (x, y) = ((i % width) as f64 + 0.5, (i / width) as f64 + 0.5);
        let ink = |index| smooth(index, x / width as f64, y / height as f64);
        [0, 1, 2].map(|index| over(i, ink(index)))
    };
    let cmyk: Vec<_> = (0..width * height).map(cmyk).collect();
    for factors in [[(1, 1); 4], [(2, 2), (1, 1), (1, 1), (2, 2)]] {
        let image = Coefficients::new(SIZE, &factors, smooth);
        let allowed = if factors[1] == factors[0] { 3.0 } else { 5.5 };
        for (progressive, scans) in layouts(4) {
            for (transform, expected) in [(2, &ycck), (0, &cmyk)] {
                let bytes = image.to_jpeg(progressive, &scans, 2, Some(transform));
                let found = difference(&bytes, expected);
                assert!(
                    found <= allowed,
                    "{transform}, {factors:?}, {scans:?}: {found}"
                );
            }
        }
    }
}

/// Where the segment with this marker starts.
fn position(bytes: &[u8], marker: u8) -> usize {
    (bytes.windows(2).position(|pair| pair == [0xFF, marker])).unwrap()
}

fn with(bytes: &[u8], at: usize, added: &[u8]) -> Vec<u8> {
    [&bytes[..at], added, &bytes[at..]].concat()
}

#[test]
fn what_harms_no_pixel_is_passed_over() {
    let image = Coefficients::new(SIZE, &[(2, 2), (1, 1), (1, 1)], smooth);
    for (progressive, scans) in layouts(3) {
        for interval in [0, 4] {
            let bytes = image.to_jpeg(progressive, &scans, interval, None);
            let sound = decoded(&bytes).unwrap();
            let end = bytes.len() - 2;
            let mut variants = vec![
                ("no end", bytes[..end].to_vec()),
                (
                    "bytes after the end",
                    with(&bytes, bytes.len(), &[0, 1, 0xFF, 0xD8, 7]),
                ),
                ("bytes before the end", with(&bytes, end, b"\x12\x34\0\0")),
                ("fill bytes before the end", with(&bytes, end, &[0xFF; 9])),
            ];
            for marker in [0xDB, 0xC4, if progressive { 0xC2 } else { 0xC0 }, 0xDA] {
                let at = position(&bytes, marker);
                for (name, added) in [
                    ("stray bytes", b"\x12\x34\x56".as_slice()),
                    ("zeros", &[0; 40]),
                    ("fill bytes", &[0xFF; 3]),
                    ("a stray FF 00", b"\xFF\0"),
                    ("a comment", b"\xFF\xFE\0\x04hm"),
                    ("application data without a length", b"\xFF\xE5\0\0"),
                ] {
                    variants.push((name, with(&bytes, at, added)));
                }
            }
            for (name, variant) in variants {
                let found = decoded(&variant).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(found == sound, "{name}, {scans:?}");
            }
        }
    }
}

#[test]
fn an_image_that_lacks_a_scan_is_an_error() {
    let image = Coefficients::new(SIZE, &[(2, 1), (1, 1), (1, 1)], smooth);
    for (progressive, scans) in layouts(3) {
        for missing in 0..scans.len() {
            let mut left = scans.clone();
            left.remove(missing);
            let error = decoded(&image.to_jpeg(progressive, &left, 0, None)).unwrap_err();
            assert!(
                matches!(error, Error::Malformed(_)),
                "{missing} of {scans:?}: {error}"
            );
        }
        if scans.len() > 1 {
            let mut twice = scans.clone();
            twice.insert(0, scans[0].clone());
            assert!(decoded(&image.to_jpeg(progressive, &twice, 0, None)).is_err());
        }
    }
}

#[test]
fn more_scans_than_any_encoder_writes_are_over_the_limit() {
    let image = Coefficients::new((8, 8), &[(1, 1)], smooth);
    let bits = |at, bits: u8| {
        (0..bits).rev().map(move |after| {
            let before = (after + 1 < bits).then_some(after + 1);
            Scan::part(&[0], (at, at), (before, after))
        })
    };
    let scans = |count| {
        (0..64)
            .flat_map(|at| bits(at, 8))
            .take(count)
            .collect::<Vec<_>>()
    };
    let error = decoded(&image.to_jpeg(true, &scans(500), 0, None)).unwrap_err();
    assert!(matches!(error, Error::Malformed(_)), "{error}");
    let error = decoded(&image.to_jpeg(true, &scans(501), 0, None)).unwrap_err();
    assert!(matches!(error, Error::OverLimit(_)), "{error}");
}

#[test]
fn restart_markers_out_of_order_and_missing_data_are_errors() {
    let image = Coefficients::new(SIZE, &[(1, 1); 3], smooth);
    let bytes = image.to_jpeg(false, &[Scan::whole(&[0, 1, 2])], 8, None);
    let (first, second) = (position(&bytes, 0xD0), position(&bytes, 0xD1));
    let mut swapped = bytes.clone();
    swapped[first + 1] = 0xD1;
    let error = decoded(&swapped).unwrap_err().to_string();
    assert!(error.contains("restart marker"), "{error}");
    let without = [&bytes[..first], &bytes[second..]].concat();
    assert!(decoded(&without).is_err());

    // Half as many rows: most data is left over.
    let mut low = bytes.clone();
    low[position(&bytes, 0xC0) + 6] = SIZE.1 as u8 / 2;
    let error = decoded(&low).unwrap_err().to_string();
    assert!(error.contains("left over"), "{error}");

    let without_end = bytes[..bytes.len() - 2].to_vec();
    let filled_up = [without_end, vec![0; 500]].concat();
    assert_eq!(decoded(&filled_up).unwrap(), decoded(&bytes).unwrap());
}

/// As in frames of motion JPEG.
#[test]
fn missing_huffman_tables_are_the_standards() {
    let size = ImageSize::new(40, 24);
    let pixels = crate::fixtures::ramp(size);
    let bytes = ssdlite_image::encode::jpeg_from_image(&pixels, 80).unwrap();
    let mut without = bytes.clone();
    while let Some(at) = without.windows(2).position(|pair| pair == [0xFF, 0xC4]) {
        let length = usize::from(u16::from_be_bytes([without[at + 2], without[at + 3]]));
        without.drain(at..at + 2 + length);
    }
    assert!(without.len() < bytes.len());
    assert_eq!(decoded(&without).unwrap(), decoded(&bytes).unwrap());
}

#[test]
fn kinds_that_are_not_read_are_refused_by_name() {
    let image = Coefficients::new(SIZE, &[(1, 1); 3], smooth);
    let bytes = image.to_jpeg(false, &[Scan::whole(&[0, 1, 2])], 0, None);
    let frame = position(&bytes, 0xC0);
    for (offset, value, name) in [
        (1, 0xC9, "arithmetic"),
        (1, 0xCA, "arithmetic"),
        (1, 0xC3, "lossless"),
        (1, 0xC5, "hierarchical"),
        (1, 0xF7, "JPEG-LS"),
        (4, 12, "found 12"),
        (9, 2, "found 2"),
    ] {
        let mut other = bytes.clone();
        other[frame + offset] = value;
        let error = decoded(&other).unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, Error::Unsupported(_)) && text.contains(name),
            "{text}"
        );
    }
}
