//! PNG files whose end is missing.
//!
//! Source: Portable Network Graphics, W3C, 5.3 (chunks).

use std::borrow::Cow;

const SIGNATURE_BYTES: usize = 8;
/// Length and kind before a chunk's data, and the checksum after it.
const HEADER_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 4;

/// The file as it is or, if it ends before its end chunk, what there is of its
/// pixels and an end chunk. Whether that is all of the pixels, the decoder
/// finds out.
pub(crate) fn completed(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut start = SIGNATURE_BYTES;
    loop {
        let after = bytes.get(start..).unwrap_or_default();
        let Some((length, [k0, k1, k2, k3, data @ ..])) = after.split_first_chunk::<4>() else {
            return Cow::Owned(ended(bytes, start, &[]));
        };
        let kind = [*k0, *k1, *k2, *k3];
        let length = u32::from_be_bytes(*length) as usize;
        if data.len() < length.saturating_add(CHECKSUM_BYTES) {
            let data = &data[..length.min(data.len())];
            // An end that was put behind cut pixels is none of them.
            let end = data.windows(8).position(|part| part == b"\0\0\0\0IEND");
            let data = &data[..end.unwrap_or(data.len())];
            // Another chunk inside: the length is wrong, and nothing is missing.
            let is_pixels = &kind == b"IDAT" && !data.windows(4).any(|part| part == b"IDAT");
            return Cow::Owned(ended(bytes, start, if is_pixels { data } else { &[] }));
        }
        if &kind == b"IEND" {
            return Cow::Borrowed(bytes);
        }
        start += HEADER_BYTES + length + CHECKSUM_BYTES;
    }
}

/// The first bytes of a file, then pixels and an end chunk.
fn ended(bytes: &[u8], length: usize, pixels: &[u8]) -> Vec<u8> {
    let mut whole = bytes[..length.min(bytes.len())].to_vec();
    for (kind, data) in [(b"IDAT", pixels), (b"IEND", &[])] {
        whole.extend((data.len() as u32).to_be_bytes());
        let chunk = whole.len();
        whole.extend(kind);
        whole.extend(data);
        let checksum = crc32fast::hash(&whole[chunk..]);
        whole.extend(checksum.to_be_bytes());
    }
    whole
}
