//! CPU kernels of MobileNetV3 and SSD-lite, forward and backward, channels-last.
//!
//! All tensors are `f32` slices in NHWC order, so a pixel's channels are
//! contiguous. Kernels allocate nothing that outlives a call: the caller
//! provides every output buffer. What a kernel needs besides its tensors is a
//! [`Context`]: the instruction set ([`Isa`]) and the threads ([`Pool`]).
//!
//! The kernels are written once over the vector type of [`isa::Simd`] and
//! instantiated for each instruction set. For a given instruction set and
//! number of threads every result is the same to the bit, whatever the timing.
//!
//! This crate alone may contain `unsafe`; it knows nothing of networks, files
//! or frameworks.

pub mod buffer;
mod error;
mod gemm;
pub mod infer;
pub mod isa;
mod memory;
pub mod pool;
pub mod reference;
#[cfg(test)]
mod testing;
pub mod train;
mod width;

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
