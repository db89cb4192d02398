//! Matrix products for tall, narrow matrices: rows are pixels, columns channels.
//!
//! Two shapes of product, each made of register tiles:
//! - [`multiply`]: `C[rows, columns] = A[rows, depth] * B[depth, columns]` with
//!   `B` packed once ([`Packed`]) and `A` read in place by broadcast;
//! - [`multiply_transposed`]: `C[m, n] += A[rows, m]^T * B[rows, n]`, both read
//!   in place, for weight gradients.

use crate::Context;
use crate::isa::{Kernel, Simd};
use crate::memory::{Scratch, Shared};
use crate::tile::{self, for_tile};

/// A matrix `[depth, columns]` in panels of one to three vectors of columns;
/// a panel's rows are contiguous and padded with zeros to whole vectors.
pub(crate) struct Packed {
    data: Scratch,
    depth: usize,
    columns: usize,
    lanes: usize,
}

/// Where a matrix `[depth, columns]` is packed from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// `[depth, columns]`
    Rows(&'a [f32]),
    /// `[columns, depth]`
    Columns(&'a [f32]),
}

impl Packed {
    /// Packs `source`, `[depth, columns]`, for vectors of `cx.isa`.
    pub(crate) fn new(cx: Context<'_>, source: Source<'_>, depth: usize, columns: usize) -> Self {
        let lanes = cx.isa.lanes();
        let vectors = columns.div_ceil(lanes);
        let mut data = Scratch::take(vectors * lanes * depth);
        let mut panels = Vec::new();
        let mut first = 0;
        while first < vectors {
            let count = tile::vectors(vectors - first);
            panels.push(first * lanes..((first + count) * lanes));
            first += count;
        }
        let shared = Shared::new(&mut data);
        // Waking threads costs more than packing a small matrix.
        let parts = if depth * columns < 16 * 1024 {
            1
        } else {
            cx.pool.parts()
        };
        cx.pool.parallel_for(panels.len(), parts, |_, part| {
            for panel in &panels[part] {
                // SAFETY: panels are disjoint.
                let packed = unsafe { shared.part(panel.start * depth..panel.end * depth) };
                pack_panel(source, depth, columns, panel.clone(), packed);
            }
        });
        Self {
            data,
            depth,
            columns,
            lanes,
        }
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }
}

fn pack_panel(
    source: Source<'_>,
    depth: usize,
    columns: usize,
    panel: std::ops::Range<usize>,
    packed: &mut [f32],
) {
    let width = panel.len();
    let used = panel.end.min(columns) - panel.start;
    match source {
        Source::Rows(rows) => {
            for (row, packed) in rows
                .chunks_exact(columns)
                .zip(packed.chunks_exact_mut(width))
            {
                let (values, padding) = packed.split_at_mut(used);
                values.copy_from_slice(&row[panel.start..panel.start + used]);
                padding.fill(0.0);
            }
        }
        Source::Columns(source) => {
            if used < width {
                packed.fill(0.0);
            }
            // Square blocks keep both sides in the cache.
            for first in (0..depth).step_by(16) {
                let last = depth.min(first + 16);
                for column in 0..used {
                    let start = (panel.start + column) * depth;
                    let values = &source[start + first..start + last];
                    for (k, &value) in (first..last).zip(values) {
                        packed[k * width + column] = value;
                    }
                }
            }
        }
    }
}

/// A matrix of rows that a product reads: a pointer to row 0 and the distance
/// between rows.
#[derive(Clone, Copy)]
pub(crate) struct RowsPtr {
    pub(crate) ptr: *const f32,
    pub(crate) stride: usize,
}

/// What a product is added to.
#[derive(Clone, Copy)]
pub(crate) enum Addend<'a> {
    /// Nothing.
    None,
    /// A number per column.
    Bias(&'a [f32]),
    /// What C holds.
    Output,
}

/// `C[rows, columns] = A[rows, depth] * packed`, plus `addend`.
///
/// # Safety
/// `a` must be valid for reads of `rows` rows of `packed.depth()` numbers, `c`
/// for writes (and for reads if it is the addend) of `rows` rows of
/// `packed.columns()` numbers, `c_stride` apart; a bias holds `columns` numbers.
/// `packed` was made for `S`.
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd>(
    s: S,
    rows: usize,
    a: RowsPtr,
    packed: &Packed,
    addend: Addend<'_>,
    c: *mut f32,
    c_stride: usize,
) {
    assert_eq!(packed.lanes, S::LANES);
    s.run(Multiply {
        rows,
        a,
        packed,
        addend,
        c,
        c_stride,
    });
}

/// [`multiply`], whose conditions hold.
struct Multiply<'a> {
    rows: usize,
    a: RowsPtr,
    packed: &'a Packed,
    addend: Addend<'a>,
    c: *mut f32,
    c_stride: usize,
}

impl Kernel for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            rows,
            a,
            packed,
            addend,
            c,
            c_stride,
        } = self;
        let vectors = packed.columns.div_ceil(S::LANES);
        let mut first = 0;
        while first < vectors {
            let count = tile::vectors(vectors - first);
            let column = first * S::LANES;
            // Numbers of C in the panel; its last vector may be a part.
            let used = packed.columns.min(column + count * S::LANES) - column;
            // SAFETY: the panel begins after those before it, all of its length.
            unsafe {
                let tile = Tile {
                    depth: packed.depth,
                    b: packed.data.as_ptr().add(column * packed.depth),
                    addend: match addend {
                        Addend::Bias(bias) => Addend::Bias(&bias[column..column + used]),
                        other => other,
                    },
                    c_stride,
                    last: used - (count - 1) * S::LANES,
                };
                let c = c.add(column);
                for_tile!(S, tile::rows, count, [1 2 3], |MR, NV| {
                    panel::<S, MR, NV>(s, rows, a, tile, c)
                });
            }
            first += count;
        }
    }
}

/// What the tiles of a panel have in common.
#[derive(Clone, Copy)]
struct Tile<'a> {
    depth: usize,
    b: *const f32,
    /// A bias begins at the panel's first column.
    addend: Addend<'a>,
    c_stride: usize,
    /// Numbers in the last vector of a row of C.
    last: usize,
}

/// # Safety
/// As [`multiply`], for the columns of one panel of `NV` vectors.
#[inline(always)]
unsafe fn panel<S: Simd, const MR: usize, const NV: usize>(
    s: S,
    rows: usize,
    a: RowsPtr,
    tile: Tile<'_>,
    c: *mut f32,
) {
    let mut row = 0;
    while row < rows {
        // SAFETY: the tile reads and writes rows `row..row + valid` of both.
        unsafe {
            let a = RowsPtr {
                ptr: a.ptr.add(row * a.stride),
                stride: a.stride,
            };
            let c = c.add(row * tile.c_stride);
            multiply_tile::<S, MR, NV>(s, MR.min(rows - row), a, tile, c);
        }
        row += MR;
    }
}

/// # Safety
/// As [`panel`]'s tile of `valid` rows, at least 1 and at most `MR`.
#[inline(always)]
unsafe fn multiply_tile<S: Simd, const MR: usize, const NV: usize>(
    s: S,
    valid: usize,
    a: RowsPtr,
    tile: Tile<'_>,
    c: *mut f32,
) {
    let mut acc = [[s.zero(); NV]; MR];
    // Rows past the last are computed from the last and not stored.
    let mut row = [a.ptr; MR];
    for (r, row) in row.iter_mut().enumerate() {
        // SAFETY: row `valid - 1` at most.
        *row = unsafe { a.ptr.add(r.min(valid - 1) * a.stride) };
    }
    let mut b = tile.b;
    // SAFETY: `depth` numbers of each row, `depth * NV` vectors of the panel.
    unsafe {
        let mut k = 0;
        while k + 4 <= tile.depth {
            for j in 0..4 {
                step::<S, MR, NV>(s, &mut acc, &row, k + j, b.add(j * NV * S::LANES));
            }
            k += 4;
            b = b.add(4 * NV * S::LANES);
        }
        while k < tile.depth {
            step::<S, MR, NV>(s, &mut acc, &row, k, b);
            k += 1;
            b = b.add(NV * S::LANES);
        }
    }
    // SAFETY: bias and C as promised for the panel, `last` numbers in the last
    // vector.
    unsafe {
        match tile.addend {
            Addend::None => {}
            Addend::Bias(bias) => {
                let bias = load_row::<S, NV>(s, bias.as_ptr(), tile.last);
                for acc in &mut acc {
                    *acc = add(s, *acc, bias);
                }
            }
            Addend::Output => {
                for (r, acc) in acc.iter_mut().enumerate().take(valid) {
                    let c = c.add(r * tile.c_stride).cast_const();
                    *acc = add(s, *acc, load_row::<S, NV>(s, c, tile.last));
                }
            }
        }
        for (r, acc) in acc.iter().enumerate() {
            if r >= valid {
                break;
            }
            let c = c.add(r * tile.c_stride);
            for (v, &acc) in acc.iter().enumerate() {
                let c = c.add(v * S::LANES);
                if v + 1 < NV || tile.last == S::LANES {
                    s.store(c, acc);
                } else {
                    s.store_partial(c, acc, tile.last);
                }
            }
        }
    }
}

/// `NV` vectors, the last of them of `last` numbers.
///
/// # Safety
/// `ptr` must be valid for reads of them.
#[inline(always)]
unsafe fn load_row<S: Simd, const NV: usize>(s: S, ptr: *const f32, last: usize) -> [S::F32; NV] {
    let mut row = [s.zero(); NV];
    for (v, x) in row.iter_mut().enumerate() {
        // SAFETY: as promised by the caller.
        *x = unsafe {
            let ptr = ptr.add(v * S::LANES);
            if v + 1 == NV {
                s.load_partial(ptr, last)
            } else {
                s.load(ptr)
            }
        };
    }
    row
}

#[inline(always)]
fn add<S: Simd, const NV: usize>(s: S, mut a: [S::F32; NV], b: [S::F32; NV]) -> [S::F32; NV] {
    for (a, b) in a.iter_mut().zip(b) {
        *a = s.add(*a, b);
    }
    a
}

/// # Safety
/// `row` pointers valid at `k`, `b` for reads of `NV` vectors.
#[inline(always)]
unsafe fn step<S: Simd, const MR: usize, const NV: usize>(
    s: S,
    acc: &mut [[S::F32; NV]; MR],
    row: &[*const f32; MR],
    k: usize,
    b: *const f32,
) {
    let mut columns = [s.zero(); NV];
    for (v, column) in columns.iter_mut().enumerate() {
        // SAFETY: as promised by the caller.
        *column = unsafe { s.load(b.add(v * S::LANES)) };
    }
    for (acc, row) in acc.iter_mut().zip(row) {
        // SAFETY: as promised by the caller.
        let x = s.splat(unsafe { *row.add(k) });
        for (acc, &column) in acc.iter_mut().zip(&columns) {
            *acc = s.mul_add(x, column, *acc);
        }
    }
}

/// `C[m, n] += A[rows, m]^T * B[rows, n]`.
///
/// # Safety
/// `a` must be valid for reads of `rows` rows of `m` numbers, `b` of `n`
/// numbers, `c` for reads and writes of `m` rows of `n` numbers, `c_stride`
/// apart.
#[inline(always)]
pub(crate) unsafe fn multiply_transposed<S: Simd>(
    s: S,
    rows: usize,
    (m, a): (usize, RowsPtr),
    (n, b): (usize, RowsPtr),
    c: *mut f32,
    c_stride: usize,
) {
    s.run(MultiplyTransposed {
        rows,
        m,
        a,
        n,
        b,
        c,
        c_stride,
    });
}

/// [`multiply_transposed`], whose conditions hold.
struct MultiplyTransposed {
    rows: usize,
    m: usize,
    a: RowsPtr,
    n: usize,
    b: RowsPtr,
    c: *mut f32,
    c_stride: usize,
}

impl Kernel for MultiplyTransposed {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            rows,
            m,
            a,
            n,
            b,
            c,
            c_stride,
        } = self;
        let vectors = n.div_ceil(S::LANES);
        let mut first = 0;
        while first < vectors {
            let count = tile::vectors(vectors - first);
            let column = first * S::LANES;
            let used = n.min(column + count * S::LANES) - column;
            let last = used - (count - 1) * S::LANES;
            // SAFETY: columns `column..column + used` of B and C.
            unsafe {
                let b = RowsPtr {
                    ptr: b.ptr.add(column),
                    stride: b.stride,
                };
                let c = c.add(column);
                for_tile!(S, tile::transposed_rows, count, [1 2 3], |MR, NV| {
                    strips::<S, MR, NV>(s, rows, (m, a), b, last, c, c_stride)
                });
            }
            first += count;
        }
    }
}

/// # Safety
/// As [`multiply_transposed`], for `NV` vectors of columns of B, the last of
/// them with `last` numbers.
#[inline(always)]
unsafe fn strips<S: Simd, const MR: usize, const NV: usize>(
    s: S,
    rows: usize,
    (m, a): (usize, RowsPtr),
    b: RowsPtr,
    last: usize,
    c: *mut f32,
    c_stride: usize,
) {
    let mut row = 0;
    while row < m {
        let valid = MR.min(m - row);
        // SAFETY: columns `row..row + valid` of A, the same rows of C.
        unsafe {
            let a = RowsPtr {
                ptr: a.ptr.add(row),
                stride: a.stride,
            };
            let c = c.add(row * c_stride);
            match (valid == MR, last == S::LANES) {
                (true, true) => transposed_tile::<S, MR, NV, true, true>(
                    s,
                    rows,
                    a,
                    b,
                    (valid, last),
                    c,
                    c_stride,
                ),
                (true, false) => transposed_tile::<S, MR, NV, true, false>(
                    s,
                    rows,
                    a,
                    b,
                    (valid, last),
                    c,
                    c_stride,
                ),
                (false, _) => transposed_tile::<S, MR, NV, false, false>(
                    s,
                    rows,
                    a,
                    b,
                    (valid, last),
                    c,
                    c_stride,
                ),
            }
        }
        row += MR;
    }
}

/// # Safety
/// As [`strips`]; `ROWS` only if `valid` is `MR`, `COLUMNS` only if `last` is
/// `LANES`.
#[inline(always)]
unsafe fn transposed_tile<
    S: Simd,
    const MR: usize,
    const NV: usize,
    const ROWS: bool,
    const COLUMNS: bool,
>(
    s: S,
    rows: usize,
    a: RowsPtr,
    b: RowsPtr,
    (valid, last): (usize, usize),
    c: *mut f32,
    c_stride: usize,
) {
    let mut acc = [[s.zero(); NV]; MR];
    let (mut a_row, mut b_row) = (a.ptr, b.ptr);
    for _ in 0..rows {
        let mut columns = [s.zero(); NV];
        for (v, column) in columns.iter_mut().enumerate() {
            // SAFETY: the row of B is valid for these vectors.
            *column = unsafe {
                let ptr = b_row.add(v * S::LANES);
                if v + 1 < NV || COLUMNS {
                    s.load(ptr)
                } else {
                    s.load_partial(ptr, last)
                }
            };
        }
        for (r, acc) in acc.iter_mut().enumerate() {
            let r = if ROWS { r } else { r.min(valid - 1) };
            // SAFETY: one of the `valid` numbers of the row of A.
            let x = s.splat(unsafe { *a_row.add(r) });
            for (acc, &column) in acc.iter_mut().zip(&columns) {
                *acc = s.mul_add(x, column, *acc);
            }
        }
        a_row = a_row.wrapping_add(a.stride);
        b_row = b_row.wrapping_add(b.stride);
    }
    for (r, acc) in acc.iter().enumerate() {
        if r >= valid {
            break;
        }
        for (v, &acc) in acc.iter().enumerate() {
            // SAFETY: row `r` of C is valid for these vectors.
            unsafe {
                let c = c.add(r * c_stride + v * S::LANES);
                if v + 1 < NV || COLUMNS {
                    s.store(c, s.add(s.load(c), acc));
                } else {
                    s.store_partial(c, s.add(s.load_partial(c, last), acc), last);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
