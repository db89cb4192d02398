//! What damaged, truncated and oversized files do: an error, never a panic
//! and never another image.

use crate::fixtures::{Jpeg, crc32, files, jpeg, ramp};
use ssdlite_image::decode::{Limits, decode, decode_at_least, header};
use ssdlite_image::{DecodeMemory, Error, ImageSize};

/// Mutated copies of each file in [`files`].
const MUTATIONS: usize = 1500;

/// Small, so that a mutated header can't make a test slow.
const LIMITS: Limits = Limits {
    max_width: 300,
    max_height: 300,
    max_pixels: 40_000,
    max_bytes: 1 << 20,
};

/// SplitMix64, so that the damage is the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Overwrites, removes, repeats and inserts bytes, mostly near the start.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    const TELLING: [u8; 6] = [0x00, 0x01, 0x7F, 0x80, 0xD9, 0xFF];
    for _ in 0..1 + random.below(4) {
        let reach = if random.below(2) == 0 {
            bytes.len()
        } else {
            bytes.len().min(200)
        };
        let at = random.below(reach);
        let value = match random.below(2) {
            0 => TELLING[random.below(TELLING.len())],
            _ => random.next() as u8,
        };
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes.insert(at, value),
            2 => {
                let end = (at + 1 + random.below(8)).min(bytes.len() - 1);
                bytes.drain(at.min(end)..end);
            }
            3 => {
                let end = (at + 1 + random.below(32)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            _ => bytes[at] = value,
        }
    }
}

#[test]
fn mutated_files_never_panic_and_keep_to_the_limits() {
    for (number, (name, original)) in files().into_iter().enumerate() {
        let mut errors = 0;
        for round in 0..MUTATIONS {
            let mut random = Random((number * MUTATIONS + round) as u64);
            let mut bytes = original.clone();
            mutate(&mut bytes, &mut random);
            let head = header(&bytes);
            let whole = decode(&bytes, &LIMITS);
            let side = 1 << random.below(6);
            let reduced = decode_at_least(&bytes, &LIMITS, ImageSize::new(side, side));
            match (&whole, &reduced) {
                (Ok(whole), Ok(reduced)) => assert_eq!(reduced.whole_size(), whole.size()),
                (Err(whole), Err(reduced)) => assert_eq!(reduced.to_string(), whole.to_string()),
                _ => panic!("{name} {round}: an error for one of whole and reduced"),
            }
            match whole {
                Ok(image) => {
                    assert_eq!(head.unwrap().displayed, image.size(), "{name} {round}");
                    assert!(image.size().pixels() <= LIMITS.max_pixels);
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    errors += 1;
                }
            }
        }
        assert!(errors > MUTATIONS / 20, "{name}: only {errors} were errors");
    }
}

/// Also with an end put behind the cut, as some programs do that save what
/// they have.
#[test]
fn a_truncated_file_is_an_error_or_still_the_whole_image() {
    for (name, bytes) in files() {
        let whole = decode(&bytes, &LIMITS).unwrap();
        let end: &[u8] = match name.rsplit_once('.').unwrap().1 {
            "jpg" => b"\xFF\xD9",
            "png" => b"\0\0\0\0IEND\xAE\x42\x60\x82",
            _ => b"",
        };
        for length in 0..bytes.len() {
            let cut = &bytes[..length];
            for cut in [cut.to_vec(), [cut, end].concat()] {
                if let Ok(image) = decode(&cut, &LIMITS) {
                    assert!(image == whole, "{name} cut at {length} of {}", bytes.len());
                }
            }
        }
    }
}

#[test]
fn what_lacks_of_an_image_is_said() {
    let size = ImageSize::new(31, 93);
    let bytes = jpeg(Jpeg::COLOR, size, ramp(size).pixels());
    let error = decode(&bytes[..bytes.len() * 2 / 3], &LIMITS).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Malformed(_)));
    assert!(text.contains("31x93") && text.contains("row 40"), "{text}");
}

#[test]
fn what_is_no_image_is_malformed_and_what_is_not_read_is_unsupported() {
    let malformed: [&[u8]; 6] = [
        b"",
        b"\0",
        b"<html>404 not found</html>",
        b"version https://git-lfs.github.com/spec/v1",
        &[0; 4096],
        &[0xFF, 0xD8],
    ];
    for bytes in malformed {
        assert!(matches!(decode(bytes, &LIMITS), Err(Error::Malformed(_))));
        assert!(matches!(header(bytes), Err(Error::Malformed(_))));
    }
    let unsupported: [(&[u8], &str); 5] = [
        (b"GIF89a\x01\0\x01\0", "GIF"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"MM\0*\0\0\0\x08", "TIFF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (
            b"\xFF\xD8\xFF\xC9\0\x0B\x08\0\x10\0\x10\x01\x01\x11\0",
            "arithmetic",
        ),
    ];
    for (bytes, name) in unsupported {
        let error = decode(bytes, &LIMITS).unwrap_err();
        assert!(matches!(&error, Error::Unsupported(text) if text.contains(name)));
    }
}

/// What a user is told holds neither a decoder's types nor its source.
#[test]
fn messages_are_for_users() {
    for (name, original) in files() {
        for round in 0..300 {
            let mut bytes = original.clone();
            mutate(&mut bytes, &mut Random(round));
            if let Err(error) = decode(&bytes, &LIMITS) {
                let text = error.to_string();
                for word in [
                    "{",
                    "::",
                    "panic",
                    "decoding",
                    "stream",
                    "UnexpectedEof",
                    "buffer",
                ] {
                    assert!(!text.contains(word), "{name} {round}: {text}");
                }
            }
        }
    }
}

#[test]
fn large_and_small_images_share_memory() {
    let memory = DecodeMemory::new(5000);
    let files = files();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (name, bytes) in &files {
                    let found = memory.decode(bytes, &LIMITS).unwrap();
                    assert!(found == decode(bytes, &LIMITS).unwrap(), "{name}");
                }
            });
        }
    });
}

/// Writes another size into the header of one of [`files`].
fn claim_size(name: &str, bytes: &mut [u8], size: ImageSize) {
    let position_of = |needle: &[u8]| {
        let found = bytes.windows(needle.len()).position(|part| part == needle);
        found.unwrap() + needle.len()
    };
    let (width, height) = (size.width, size.height);
    let (at, claim) = if name.ends_with(".jpg") {
        let kind = if name.starts_with("progressive") {
            0xC2
        } else {
            0xC0
        };
        let sides = [height as u16, width as u16].map(u16::to_be_bytes);
        (position_of(&[0xFF, kind]) + 3, sides.concat())
    } else if name.ends_with(".png") {
        (16, [width, height].map(u32::to_be_bytes).concat())
    } else {
        (18, [width, height].map(u32::to_le_bytes).concat())
    };
    bytes[at..at + claim.len()].copy_from_slice(&claim);
    if name.ends_with(".png") {
        let crc = crc32(&bytes[12..29]).to_be_bytes();
        bytes[29..33].copy_from_slice(&crc);
    }
}

#[test]
fn a_huge_claim_in_a_small_file_is_over_the_limit() {
    let huge = ImageSize::new(60_000, 59_999);
    let mut claimed = 0;
    for (name, mut bytes) in files() {
        if name.ends_with(".webp") {
            continue;
        }
        claim_size(name, &mut bytes, huge);
        assert_eq!(header(&bytes).unwrap().stored, huge, "{name}");
        let error = decode(&bytes, &Limits::default()).unwrap_err();
        assert!(
            matches!(&error, Error::OverLimit(text) if text.contains("60000x59999")),
            "{name}: {error}"
        );
        claimed += 1;
    }
    assert!(claimed > 5);
}

#[test]
fn each_limit_is_checked_on_its_own() {
    let size = ImageSize::new(31, 23);
    let bytes = jpeg(Jpeg::COLOR, size, ramp(size).pixels());
    let exact = Limits {
        max_width: 31,
        max_height: 23,
        max_pixels: 31 * 23,
        max_bytes: bytes.len() as u64,
    };
    assert!(decode(&bytes, &exact).is_ok());
    let tighter = [
        Limits {
            max_width: 30,
            ..exact
        },
        Limits {
            max_height: 22,
            ..exact
        },
        Limits {
            max_pixels: 31 * 23 - 1,
            ..exact
        },
        Limits {
            max_bytes: bytes.len() as u64 - 1,
            ..exact
        },
    ];
    for limits in tighter {
        assert!(matches!(decode(&bytes, &limits), Err(Error::OverLimit(_))));
    }
    let one = Limits::with_megapixels(1).check_size(ImageSize::new(2000, 1100));
    let told = "expected at most 1 million pixels, found 2000x1100, which are 2.2 million";
    assert_eq!(one.unwrap_err().to_string(), told);
}
