//! Both products against their definitions.

use super::*;
use crate::testing::{Numbers, assert_close};
use crate::{Isa, Pool};

struct Whole<'a> {
    rows: usize,
    a: &'a [f32],
    packed: &'a Packed,
    addend: Addend<'a>,
    c: &'a mut [f32],
}

impl Kernel for Whole<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let a = RowsPtr {
            ptr: self.a.as_ptr(),
            stride: self.packed.depth(),
        };
        let columns = self.packed.columns();
        // SAFETY: the slices have these shapes.
        unsafe {
            multiply(
                s,
                self.rows,
                a,
                self.packed,
                self.addend,
                self.c.as_mut_ptr(),
                columns,
            );
        }
    }
}

struct WholeTransposed<'a> {
    rows: usize,
    m: usize,
    n: usize,
    a: &'a [f32],
    b: &'a [f32],
    c: &'a mut [f32],
}

impl Kernel for WholeTransposed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let a = RowsPtr {
            ptr: self.a.as_ptr(),
            stride: self.m,
        };
        let b = RowsPtr {
            ptr: self.b.as_ptr(),
            stride: self.n,
        };
        // SAFETY: the slices have these shapes.
        unsafe {
            multiply_transposed(
                s,
                self.rows,
                (self.m, a),
                (self.n, b),
                self.c.as_mut_ptr(),
                self.n,
            );
        }
    }
}

const SIZES: [(usize, usize, usize); 10] = [
    (1, 1, 1),
    (3, 5, 2),
    (17, 3, 16),
    (29, 16, 24),
    (14, 27, 32),
    (31, 40, 47),
    (2, 9, 48),
    (15, 72, 49),
    (9, 88, 80),
    (100, 13, 101),
];

#[test]
fn products_agree_with_their_definition() {
    let pool = Pool::single();
    let mut numbers = Numbers::new(1);
    for isa in Isa::available() {
        let cx = Context { isa, pool: &pool };
        for (rows, depth, columns) in SIZES {
            let a = numbers.take(rows * depth);
            let b = numbers.take(depth * columns);
            let bias = numbers.take(columns);
            let transposed: Vec<f32> = (0..columns * depth)
                .map(|i| b[i % depth * columns + i / depth])
                .collect();
            let product: Vec<f32> = (0..rows * columns)
                .map(|i| {
                    let (row, column) = (i / columns, i % columns);
                    (0..depth)
                        .map(|k| a[row * depth + k] * b[k * columns + column])
                        .sum()
                })
                .collect();
            let with_bias: Vec<f32> = product
                .iter()
                .enumerate()
                .map(|(i, x)| x + bias[i % columns])
                .collect();
            let before = numbers.take(rows * columns);
            let with_before: Vec<f32> = product.iter().zip(&before).map(|(x, y)| x + y).collect();
            for source in [Source::Rows(&b), Source::Columns(&transposed)] {
                let packed = Packed::new(cx, source, depth, columns);
                for (addend, want) in [
                    (Addend::None, &product),
                    (Addend::Bias(&bias), &with_bias),
                    (Addend::Output, &with_before),
                ] {
                    let mut c = match addend {
                        Addend::Output => before.clone(),
                        _ => vec![f32::NAN; rows * columns],
                    };
                    isa.run(Whole {
                        rows,
                        a: &a,
                        packed: &packed,
                        addend,
                        c: &mut c,
                    });
                    assert_close(&c, want, 1e-5, &format!("{isa} {rows}x{depth}x{columns}"));
                }
            }
        }
    }
}

#[test]
fn transposed_products_agree_with_their_definition_and_accumulate() {
    let mut numbers = Numbers::new(2);
    for isa in Isa::available() {
        for (m, rows, n) in SIZES {
            let a = numbers.take(rows * m);
            let b = numbers.take(rows * n);
            let before = numbers.take(m * n);
            let want: Vec<f32> = (0..m * n)
                .map(|i| {
                    let sum: f32 = (0..rows).map(|k| a[k * m + i / n] * b[k * n + i % n]).sum();
                    before[i] + sum
                })
                .collect();
            let mut c = before.clone();
            isa.run(WholeTransposed {
                rows,
                m,
                n,
                a: &a,
                b: &b,
                c: &mut c,
            });
            assert_close(&c, &want, 1e-5, &format!("{isa} {m}x{rows}x{n}"));
        }
    }
}
