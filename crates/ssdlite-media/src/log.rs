//! What `ffmpeg` says on its log, in words for people.
//!
//! Nothing is decided by these words but whether they are an error: frames,
//! sizes and times come another way ([`nut`](crate::nut)).

use std::collections::VecDeque;
use std::io::BufRead;

/// The last errors that a message may quote.
const KEPT_ERRORS: usize = 4;

/// The longest part of a line that is looked at, in bytes.
const MAX_LINE: usize = 2000;

/// How `ffmpeg` writes the length of a server's answer that states none. Such an
/// answer ends with its connection, which older versions call an error.
const NO_LENGTH: &str = ", should be 18446744073709551615";

/// Parts of the program whose words are for those who write decoders; that they
/// complain is counted.
const DECODERS: [&str; 11] = [
    "dec:",
    "vist#",
    "h264",
    "hevc",
    "vvc",
    "mpeg1video",
    "mpeg2video",
    "mpeg4",
    "mjpeg",
    "vp",
    "av1",
];

/// What a decoder has said so far.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The last errors.
    kept: VecDeque<String>,
    /// How many errors there were.
    pub(crate) errors: u64,
    /// Whether the last error told the end of an answer without a length, and
    /// the end is yet to be told as an error of reading.
    has_met_end: bool,
    /// The format of the input, as `ffmpeg` calls it.
    pub(crate) format: Option<String>,
    /// Whether the input's length is known; told after its format.
    pub(crate) has_duration: Option<bool>,
}

impl Log {
    /// Takes note of a line, which starts with the name and the address of the
    /// part of the program that speaks, then with how grave it is.
    pub(crate) fn note(&mut self, line: &str) {
        let (speaker, line) = speaker_and_words(line);
        if let Some(message) = error_from_line(line) {
            if message.starts_with("Stream ends prematurely") && message.ends_with(NO_LENGTH) {
                self.has_met_end = true;
                return;
            }
            if std::mem::take(&mut self.has_met_end) && message.ends_with(": Input/output error") {
                return;
            }
            self.errors += 1;
            if DECODERS.iter().any(|decoder| speaker.starts_with(decoder)) {
                return;
            }
            let message = clean(message);
            if self.kept.back() == Some(&message) {
                return;
            }
            if self.kept.len() == KEPT_ERRORS {
                self.kept.pop_front();
            }
            self.kept.push_back(message);
        } else if let Some(input) = line.strip_prefix("[info] Input #0, ") {
            let end = input.find(", from ").unwrap_or(input.len());
            self.format.get_or_insert_with(|| input[..end].to_owned());
        } else if let Some(duration) = line.strip_prefix("[info]   Duration: ") {
            let is_known = duration.starts_with(|c: char| c.is_ascii_digit())
                && !duration.starts_with("00:00:00.00");
            self.has_duration.get_or_insert(is_known);
        }
    }

    /// Whether the input is a file, which has an end: one of known length, or an
    /// image, whose formats `ffmpeg` calls `jpeg_pipe` and the like. None where
    /// its size would tell.
    pub(crate) fn has_end(&self) -> Option<bool> {
        /// Formats of streams, and of lists of parts, whose size tells nothing.
        const ENDLESS: [&str; 3] = ["mpjpeg", "hls", "dash"];
        let format = self.format.as_deref().unwrap_or_default();
        if self.has_duration == Some(true) || format.ends_with("_pipe") || format == "image2" {
            return Some(true);
        }
        ENDLESS.contains(&format).then_some(false)
    }

    /// The last errors; empty if there was none.
    pub(crate) fn last_errors(&self) -> String {
        let kept: Vec<_> = self.kept.iter().map(String::as_str).collect();
        kept.join("; ")
    }
}

/// The next line, without what is too long of it; none after the end.
pub(crate) fn next_line(log: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    loop {
        let chunk = log.fill_buf().ok().filter(|chunk| !chunk.is_empty());
        let Some(chunk) = chunk else {
            // The last line may lack its end.
            return (!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned());
        };
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        let room = MAX_LINE - line.len();
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = end.map_or(chunk.len(), |end| end + 1);
        log.consume(used);
        if end.is_some() {
            return Some(String::from_utf8_lossy(&line).into_owned());
        }
    }
}

/// The name in front of `[h264 @ 0x55d4] [error] ...`, which may be missing, and
/// the line from its level on. A part of the program may have several names.
fn speaker_and_words(mut line: &str) -> (&str, &str) {
    let mut name = "";
    while let Some((speaker, rest)) = line.strip_prefix('[').and_then(|l| l.split_once("] "))
        && let Some((last, _)) = speaker.split_once(" @ ")
    {
        (name, line) = (last, rest);
    }
    (name, line)
}

fn error_from_line(line: &str) -> Option<&str> {
    ["[error] ", "[fatal] ", "[panic] "]
        .iter()
        .find_map(|level| line.strip_prefix(level))
}

/// A message without control characters and without addresses in memory.
pub(crate) fn clean(message: &str) -> String {
    let message = message.trim_end();
    let words = message.split(|c: char| c.is_control() || c == ' ');
    let words = words.filter(|word| !word.is_empty());
    let mut kept: Vec<&str> = Vec::new();
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let is_speaker = word.starts_with('[') && words.peek() == Some(&"@");
        if is_speaker {
            // Its `@` and its address.
            words.nth(1);
            continue;
        }
        kept.push(word);
    }
    kept.join(" ")
}

/// Why a video file can't be read, by what was said of it, if that tells.
pub(crate) fn reason_in_words(log: &str) -> Option<&'static str> {
    const WORDS: [(&[&str], &str); 5] = [
        (
            &["moov atom not found"],
            "it has the name of an MP4 video and none of its index, which stands at the end: it \
             is none, it is cut off, or its recording was never finished",
        ),
        (
            &["matches no streams", "does not contain any stream"],
            "it holds no images",
        ),
        (
            &[
                "ecoder not found",
                "no decoder found",
                "ecoding requested, but no decoder",
            ],
            "the installed `ffmpeg` has no decoder for its images",
        ),
        (
            &[
                "partial file",
                "ended prematurely",
                "runcat",
                "end mismatch",
            ],
            "it is cut off",
        ),
        (
            &["max_pixels", "Picture size", "Invalid image size"],
            "its frames are too large",
        ),
    ];
    let said = WORDS
        .iter()
        .find(|(signs, _)| signs.iter().any(|sign| log.contains(sign)));
    said.map(|(_, words)| *words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Log {
        let mut log = Log::default();
        let mut text = text;
        while let Some(line) = next_line(&mut text) {
            log.note(&line);
        }
        log
    }

    #[test]
    fn errors_are_told_without_who_speaks() {
        let log = read(
            b"[info] Input #0, matroska,webm, from 'a, from b':\n\
              [info]   Duration: 00:00:02.02, start: -0.023000, bitrate: 4 kb/s\n\
              [h264 @ 0x55d4] [error] concealing 3 errors\n\
              [vist#0:0/h264 @ 0x1] [dec:h264 @ 0x2] [error] no frame!\n\
              [in#0 @ 0x1] [http @ 0x2] [error] HTTP error 404 Not Found\n\
              [http @ 0x2] [error] HTTP error 404 Not Found\n\
              [warning] no error\n\
              [fatal] [mov @ 0x7f] end\x1b[2J it",
        );
        assert_eq!(log.last_errors(), "HTTP error 404 Not Found; end [2J it");
        assert_eq!(log.errors, 5);
        assert_eq!(log.format.as_deref(), Some("matroska,webm"));
        assert_eq!(log.has_end(), Some(true));
    }

    #[test]
    fn the_end_of_an_answer_without_a_length_is_no_error() {
        let end = "[http @ 0x1] [error] Stream ends prematurely at 892, should be";
        let text = format!(
            "{end} 18446744073709551615\n[error] http://host/a: Input/output error\n\
             {end} 900\n[error] http://host/a: Input/output error\n"
        );
        let log = read(text.as_bytes());
        assert_eq!(log.errors, 2);
        assert!(
            log.last_errors()
                .starts_with("Stream ends prematurely at 892, should be 900")
        );
    }

    #[test]
    fn a_line_that_is_too_long_says_nothing_further_on() {
        let long = format!("[info] title: {}[error] posed\n", "x".repeat(MAX_LINE - 14));
        let log = read(long.as_bytes());
        assert_eq!(log.errors, 0);
        let log = read(b"[info]     title : [error] posed\n    : [error] posed\n");
        assert_eq!((log.errors, log.last_errors().as_str()), (0, ""));
    }

    #[test]
    fn a_file_has_an_end() {
        for (format, duration, has_end) in [
            ("mpegts", "00:00:01.40, start: 0", Some(true)),
            ("mpegts", "N/A, bitrate: N/A", None),
            ("flv", "00:00:00.00, start: 0", None),
            ("jpeg_pipe", "N/A, bitrate: N/A", Some(true)),
            ("mpjpeg", "N/A, bitrate: N/A", Some(false)),
            ("hls", "N/A, start: 0", Some(false)),
            ("hls", "00:01:00.00, start: 0", Some(true)),
        ] {
            let text =
                format!("[info] Input #0, {format}, from 'a':\n[info]   Duration: {duration}\n");
            assert_eq!(read(text.as_bytes()).has_end(), has_end, "{text}");
        }
    }
}
