//! Many images, as many at once as there are threads.

use std::panic::resume_unwind;
use std::thread;

use pyo3::prelude::*;
use ssdlite::ImageSize;

use crate::error::{Fault, detached};
use crate::image::{ImageArg, Pixels, Source};

/// What `run` makes of images, decoded so that `least` is enough and given as many as
/// `threads` at a time, so that no more than these are in memory.
///
/// # Errors
/// Of the first image that can't be read, with its number; what `run` says; and
/// `KeyboardInterrupt`.
pub(crate) fn for_each_batch<T: Send>(
    py: Python<'_>,
    images: &[ImageArg<'_>],
    threads: usize,
    least: ImageSize,
    run: impl Fn(&[Pixels<'_>]) -> ssdlite::Result<Vec<T>> + Sync,
) -> PyResult<Vec<T>> {
    let sources = images.iter().map(ImageArg::source);
    let sources: Vec<Source<'_>> = sources.collect::<PyResult<_>>()?;
    let mut all = Vec::with_capacity(sources.len());
    for sources in sources.chunks(threads) {
        let first = all.len();
        all.extend(detached(py, || Ok(run(&pixels(sources, least, first)?)?))?);
        py.check_signals()?;
    }
    Ok(all)
}

/// The pixels of images, each decoded by a thread; `first` is the number of the first.
fn pixels<'a>(
    sources: &[Source<'a>],
    least: ImageSize,
    first: usize,
) -> Result<Vec<Pixels<'a>>, Fault> {
    thread::scope(|scope| {
        let decode = |&source: &Source<'a>| scope.spawn(move || source.pixels(least));
        let threads: Vec<_> = sources.iter().map(decode).collect();
        let decoded = threads.into_iter().zip(first..).map(|(thread, number)| {
            let pixels = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            pixels.map_err(|fault| fault.of_image(number))
        });
        decoded.collect()
    })
}
