//! Nothing but arithmetic, to measure the machine's limit.

use crate::Context;
use crate::isa::{Kernel, Simd};

/// Chains of additions: more than the latency of one times the units.
const CHAINS: usize = 10;

/// Steps of each chain in one call of the kernel.
const STEPS: usize = 20_000;

/// Does multiplications with addition on registers, on all threads; returns
/// how many.
pub fn multiply_adds(context: Context<'_>) -> u64 {
    context.pool.run(context.pool.threads(), |part| {
        let start = part.index as f32;
        std::hint::black_box(context.isa.run(Chains { start }));
    });
    (context.pool.threads() * context.isa.lanes() * CHAINS * STEPS) as u64
}

struct Chains {
    start: f32,
}

impl Kernel for Chains {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let mut sums = [s.splat(self.start); CHAINS];
        let (factor, term) = (s.splat(0.5), s.splat(1.0));
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = s.mul_add(*sum, factor, term);
            }
        }
        let mut total = s.zero();
        for sum in sums {
            total = s.add(total, sum);
        }
        s.sum(total)
    }
}
