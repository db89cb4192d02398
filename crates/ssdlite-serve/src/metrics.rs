//! Counts and times for Prometheus, in its text format 0.0.4.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Upper bounds of the histograms' buckets, in seconds.
const BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// How long the stages of finding objects in an image took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) waited: Duration,
    pub(crate) decoded: Duration,
    pub(crate) detected: Duration,
}

/// Everything that is counted.
pub(crate) struct Metrics {
    started: Instant,
    requests: Mutex<BTreeMap<(String, u16), u64>>,
    answering: Histogram,
    waiting: Histogram,
    decoding: Histogram,
    detecting: Histogram,
    /// Frames of live sources that were detected in.
    pub(crate) frames: AtomicU64,
    /// Frames of live sources that were skipped.
    pub(crate) skipped: AtomicU64,
    /// How often a live source was lost.
    pub(crate) losses: AtomicU64,
    /// Pages that watch a source or send frames of their own.
    pub(crate) viewers: AtomicU64,
    /// Frames that were kept as training data.
    pub(crate) kept: AtomicU64,
}

#[derive(Default)]
struct Histogram {
    buckets: [AtomicU64; BUCKETS.len()],
    nanoseconds: AtomicU64,
    count: AtomicU64,
}

impl Histogram {
    fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        for (bucket, bound) in self.buckets.iter().zip(BUCKETS) {
            if seconds <= bound {
                bucket.fetch_add(1, Relaxed);
            }
        }
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
        self.count.fetch_add(1, Relaxed);
    }

    fn write(&self, text: &mut String, name: &str, help: &str) {
        head(text, name, help, "histogram");
        let count = self.count.load(Relaxed);
        for (bucket, bound) in self.buckets.iter().zip(BUCKETS) {
            line(
                text,
                format_args!("{name}_bucket{{le=\"{bound}\"}} {}", bucket.load(Relaxed)),
            );
        }
        line(text, format_args!("{name}_bucket{{le=\"+Inf\"}} {count}"));
        let sum = Duration::from_nanos(self.nanoseconds.load(Relaxed)).as_secs_f64();
        line(text, format_args!("{name}_sum {sum}"));
        line(text, format_args!("{name}_count {count}"));
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            requests: Mutex::default(),
            answering: Histogram::default(),
            waiting: Histogram::default(),
            decoding: Histogram::default(),
            detecting: Histogram::default(),
            frames: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            losses: AtomicU64::new(0),
            viewers: AtomicU64::new(0),
            kept: AtomicU64::new(0),
        }
    }

    /// Counts an answered request. `path` is a route, not what a client asked
    /// for, so that the counters stay few.
    pub(crate) fn count_request(&self, path: &str, status: u16, took: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((path.to_owned(), status)).or_default() += 1;
        self.answering.observe(took);
    }

    /// Counts an image that was detected in.
    pub(crate) fn observe(&self, times: &Times) {
        self.waiting.observe(times.waited);
        self.decoding.observe(times.decoded);
        self.detecting.observe(times.detected);
    }

    /// All of it, with the number of images that wait now.
    pub(crate) fn text(&self, waiting: usize) -> String {
        let mut text = String::new();
        let name = "ssdlite_requests_total";
        head(&mut text, name, "Requests that were answered.", "counter");
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        for ((path, status), count) in requests.iter() {
            line(
                &mut text,
                format_args!("{name}{{path=\"{path}\",status=\"{status}\"}} {count}"),
            );
        }
        drop(requests);
        for (histogram, name, help) in [
            (
                &self.answering,
                "ssdlite_request_seconds",
                "From a request's head to its answer.",
            ),
            (
                &self.waiting,
                "ssdlite_wait_seconds",
                "Images in the queue.",
            ),
            (
                &self.decoding,
                "ssdlite_decode_seconds",
                "Decoding of an image.",
            ),
            (
                &self.detecting,
                "ssdlite_detect_seconds",
                "Detection in an image.",
            ),
        ] {
            histogram.write(&mut text, name, help);
        }
        for (counter, name, help) in [
            (
                &self.frames,
                "ssdlite_live_frames_total",
                "Live frames that were detected in.",
            ),
            (
                &self.skipped,
                "ssdlite_live_skipped_total",
                "Live frames that were skipped.",
            ),
            (
                &self.losses,
                "ssdlite_live_losses_total",
                "How often a live source was lost.",
            ),
            (
                &self.kept,
                "ssdlite_kept_total",
                "Frames kept as training data.",
            ),
        ] {
            head(&mut text, name, help, "counter");
            line(&mut text, format_args!("{name} {}", counter.load(Relaxed)));
        }
        let uptime = self.started.elapsed().as_secs_f64();
        let viewers = self.viewers.load(Relaxed) as f64;
        for (value, name, help) in [
            (
                waiting as f64,
                "ssdlite_queue_length",
                "Images that wait now.",
            ),
            (viewers, "ssdlite_viewers", "Pages that are connected now."),
            (
                uptime,
                "ssdlite_uptime_seconds",
                "Since the server started.",
            ),
        ] {
            head(&mut text, name, help, "gauge");
            line(&mut text, format_args!("{name} {value}"));
        }
        text
    }
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    line(text, format_args!("# HELP {name} {help}"));
    line(text, format_args!("# TYPE {name} {kind}"));
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("writing to a string can't fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let metrics = Metrics::new();
        for milliseconds in [0, 2, 30, 20_000] {
            metrics.count_request("/a", 200, Duration::from_millis(milliseconds));
        }
        let text = metrics.text(3);
        for expected in [
            "ssdlite_requests_total{path=\"/a\",status=\"200\"} 4",
            "ssdlite_request_seconds_bucket{le=\"0.001\"} 1",
            "ssdlite_request_seconds_bucket{le=\"0.0025\"} 2",
            "ssdlite_request_seconds_bucket{le=\"10\"} 3",
            "ssdlite_request_seconds_bucket{le=\"+Inf\"} 4",
            "ssdlite_request_seconds_count 4",
            "ssdlite_queue_length 3",
        ] {
            assert!(text.lines().any(|line| line == expected), "{expected}");
        }
    }
}
