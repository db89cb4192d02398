//! A line for the header `Content-Type`, then a form's body: an error, or parts
//! none of which holds a line that stands between parts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ssdlite_serve::form::{boundary, is_form, parts};

fuzz_target!(|data: &[u8]| {
    let mut halves = data.splitn(2, |&byte| byte == b'\n');
    let (Some(header), Some(body)) = (halves.next(), halves.next()) else {
        return;
    };
    is_form(header);
    let Ok(boundary) = boundary(header) else {
        return;
    };
    let Ok(parts) = parts(&body.to_vec().into(), &boundary) else {
        return;
    };
    let line = format!("\r\n--{boundary}\r\n");
    for part in &parts {
        let mut places = part.bytes.windows(line.len());
        assert!(!places.any(|place| place == line.as_bytes()));
    }
    let taken: usize = parts.iter().map(|part| part.bytes.len()).sum();
    assert!(taken <= body.len());
});
