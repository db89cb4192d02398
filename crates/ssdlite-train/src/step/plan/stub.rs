//! TEMPORARY
use ssdlite_kernels::Context;
use ssdlite_kernels::train::operand::Input;
#[derive(Clone, Copy, Debug)]
pub(super) struct UpsampleShape;
impl UpsampleShape {
    pub(super) fn new(_: usize, _: usize, _: usize, _: usize) -> Result<Self, ssdlite_kernels::Error> { Ok(Self) }
    pub(super) fn cut_to(self, _: usize, _: usize) -> Result<Self, ssdlite_kernels::Error> { Ok(Self) }
}
pub(super) fn upsample_forward(_: Context<'_>, _: UpsampleShape, _: Input<'_>, _: &mut [f32]) -> Result<(), ssdlite_kernels::Error> { Ok(()) }
pub(super) fn upsample_backward(_: Context<'_>, _: UpsampleShape, _: &[f32], _: &mut [f32]) -> Result<(), ssdlite_kernels::Error> { Ok(()) }
pub(super) fn add(_: Context<'_>, y: &mut [f32], x: &[f32]) -> Result<(), ssdlite_kernels::Error> { for (y,x) in y.iter_mut().zip(x) { *y += x; } Ok(()) }
