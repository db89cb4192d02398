//! The kernels of training.
//!
//! A network is a chain of convolutions with a batch norm and an activation
//! between each two. A forward pass keeps every convolution's raw output `z`
//! and its moments, and nothing else: the next convolution computes the
//! normalised, activated values while it reads `z` ([`operand::Input`]), and
//! the backward pass computes batch norm's gradient while it reads
//! ([`operand::OutputGradient`]).

pub mod accumulate;
pub mod depthwise;
mod gemm;
pub mod gradient;
pub mod map;
pub mod norm;
pub mod operand;
pub mod optimizer;
pub mod pointwise;
pub mod squeeze_excite;
mod statistics;
pub mod stem;
mod sums;
pub mod upsample;

#[cfg(test)]
mod tests;
