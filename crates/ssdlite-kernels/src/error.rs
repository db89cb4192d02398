//! The error of this crate.

/// A slice that doesn't fit the shape it was passed with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A slice has the wrong length.
    #[error("{what}: expected {expected} numbers, found {found}")]
    Length {
        /// Which argument.
        what: &'static str,
        /// The length that the shape asks for.
        expected: usize,
        /// The length that was passed.
        found: usize,
    },
    /// A shape that no kernel is made for, or whose size overflows.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// Which field of the shape.
        what: &'static str,
        /// The values that are possible.
        expected: &'static str,
        /// The value that was passed.
        found: usize,
    },
}

/// Checks the length of an argument.
pub(crate) fn check_len(what: &'static str, slice: &[f32], expected: usize) -> Result<(), Error> {
    if slice.len() == expected {
        Ok(())
    } else {
        Err(Error::Length {
            what,
            expected,
            found: slice.len(),
        })
    }
}

/// The product of a shape's dimensions, none of them zero.
pub(crate) fn checked_size(what: &'static str, dimensions: &[usize]) -> Result<usize, Error> {
    let mut size = 1_usize;
    for &dimension in dimensions {
        if dimension == 0 {
            return Err(Error::Shape {
                what,
                expected: "dimensions of at least 1",
                found: 0,
            });
        }
        size = size.checked_mul(dimension).ok_or(Error::Shape {
            what,
            expected: "a size that fits the address space",
            found: dimension,
        })?;
    }
    // Kernels form byte offsets as `isize`.
    if size > isize::MAX as usize / size_of::<f32>() {
        return Err(Error::Shape {
            what,
            expected: "a size that fits the address space",
            found: size,
        });
    }
    Ok(size)
}
