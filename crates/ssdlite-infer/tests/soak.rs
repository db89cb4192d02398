//! A short soak, alone in its process so that memory is its own.

#[path = "../examples/soak/run.rs"]
mod run;

use std::sync::atomic::{AtomicUsize, Ordering};

use run::Soak;

#[test]
fn memory_stays_flat_and_results_the_same() {
    let soak = Soak {
        detections: 600,
        callers: 3,
        side: 96,
        ..Soak::default()
    };
    let readings = AtomicUsize::new(0);
    let count = |_, _| {
        readings.fetch_add(1, Ordering::Relaxed);
    };
    soak.run(count).expect("flat memory and equal results");
    assert_eq!(readings.into_inner(), 20);
}
