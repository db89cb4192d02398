//! CPU kernels of MobileNetV3 and SSD-lite in `f32`, in two families:
//!
//! - [`train`]: forward and backward. Maps are `[images, pixels, channels]`
//!   (NHWC) rows, and what a kernel reads may be computed on reading: batch norm
//!   and activation, or their derivatives, are applied to a row when it enters
//!   the cache, so neither result goes through memory.
//! - [`infer`]: forward alone, batch norm folded into the weights. Maps are
//!   blocks of 16 channels with the zero padding of the convolutions that read
//!   them, and chains of layers run in bands that stay in the cache.
//!
//! Why two: a training step reads each map through several functions and sums
//! channels over all pixels, for which plain rows are best; an inference step
//! reads a map as it is, again and again, so whole aligned vectors and padding
//! that needs no branch pay for their layout. One matrix product for both would
//! be slower in both. What the families share is
//! here: instruction sets ([`isa`]), threads ([`pool`]), [`Activation`], the
//! [`Buffer`], and the [`arena`] in which a plan places its tensors.
//!
//! Kernels allocate nothing that outlives a call: the caller provides every
//! map. What a kernel needs besides its tensors is a [`Context`]: the
//! instruction set ([`Isa`]) and the threads ([`Pool`]). For a given instruction
//! set and number of threads every result is the same to the bit, whatever the
//! timing.
//!
//! A slice of the wrong length is an [`Error`] of the training kernels, whose
//! shapes come from data and options; inference kernels, which run plans that
//! were built and checked once, panic.
//!
//! This crate alone may contain `unsafe`; it knows nothing of networks, files
//! or frameworks.

mod activation;
pub mod arena;
mod buffer;
mod cache;
mod error;
pub mod infer;
pub mod isa;
mod memory;
pub mod pool;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod testing;
mod tile;
pub mod train;
mod width;

pub use activation::Activation;
pub use buffer::Buffer;
pub use error::Error;
pub use isa::Isa;
pub use pool::Pool;

/// What a kernel runs on: an instruction set and a pool of threads.
#[derive(Clone, Copy, Debug)]
pub struct Context<'p> {
    /// Instruction set of the vector code.
    pub isa: Isa,
    /// Threads that share the work.
    pub pool: &'p Pool,
}

impl<'p> Context<'p> {
    /// The best instruction set of this machine on the threads of `pool`.
    pub fn detect(pool: &'p Pool) -> Self {
        Self {
            isa: Isa::detect(),
            pool,
        }
    }
}
