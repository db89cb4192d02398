//! Bytes of the stream in which `ffmpeg` hands frames over: frames, or an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ssdlite_media::nut::FrameReader;

fuzz_target!(|data: &[u8]| {
    let mut reader = FrameReader::new(data);
    while let Ok(Some(frame)) = reader.next_frame() {
        assert!(frame.image.size().pixels() > 0);
        assert!(frame.image.pixels().len() < data.len());
    }
});
