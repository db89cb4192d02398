//! The types of numbers that files of others hold, and what becomes of them.

use crate::state_dict::Values;

/// The type of a tensor's numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

/// What stands for the numbers of a type that is none of [`Element`]'s.
pub(crate) const ANOTHER_TYPE: &str = "numbers of another type";

/// The order of a number's bytes in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteOrder {
    Little,
    Big,
}

impl Element {
    /// By the name that the safetensors format has for it.
    pub(crate) fn from_safetensors(name: &str) -> Option<Self> {
        Some(match name {
            "F64" => Self::F64,
            "F32" => Self::F32,
            "F16" => Self::F16,
            "BF16" => Self::Bf16,
            "I64" => Self::I64,
            "I32" => Self::I32,
            "I16" => Self::I16,
            "I8" => Self::I8,
            "U8" => Self::U8,
            "BOOL" => Self::Bool,
            _ => return None,
        })
    }

    /// Bytes of a number.
    pub(crate) const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Bytes of a number that was read.
    pub(crate) const fn read_size(self) -> usize {
        match self {
            Self::F64 | Self::F32 | Self::F16 | Self::Bf16 => size_of::<f32>(),
            Self::I64 | Self::I32 | Self::I16 | Self::I8 | Self::U8 | Self::Bool => {
                size_of::<i64>()
            }
        }
    }

    /// The numbers that begin at `places` in `bytes`: floats as `f32`, all others as
    /// `i64`.
    pub(crate) fn values(
        self,
        bytes: &[u8],
        order: ByteOrder,
        places: impl Iterator<Item = usize>,
    ) -> Values {
        match self {
            Self::F64 => floats(bytes, order, places, |x| f64::from_le_bytes(x) as f32),
            Self::F32 => floats(bytes, order, places, f32::from_le_bytes),
            Self::F16 => floats(bytes, order, places, |x| {
                f32_from_f16(u16::from_le_bytes(x))
            }),
            // The upper half of an `f32`.
            Self::Bf16 => floats(bytes, order, places, |x| {
                f32::from_bits(u32::from(u16::from_le_bytes(x)) << 16)
            }),
            Self::I64 => integers(bytes, order, places, i64::from_le_bytes),
            Self::I32 => integers(bytes, order, places, |x| i32::from_le_bytes(x).into()),
            Self::I16 => integers(bytes, order, places, |x| i16::from_le_bytes(x).into()),
            Self::I8 => integers(bytes, order, places, |x| i8::from_le_bytes(x).into()),
            Self::U8 | Self::Bool => {
                integers(bytes, order, places, |x| u8::from_le_bytes(x).into())
            }
        }
    }
}

fn floats<const N: usize>(
    bytes: &[u8],
    order: ByteOrder,
    places: impl Iterator<Item = usize>,
    float: impl Fn([u8; N]) -> f32,
) -> Values {
    Values::F32(places.map(|at| float(number(bytes, order, at))).collect())
}

fn integers<const N: usize>(
    bytes: &[u8],
    order: ByteOrder,
    places: impl Iterator<Item = usize>,
    integer: impl Fn([u8; N]) -> i64,
) -> Values {
    Values::I64(places.map(|at| integer(number(bytes, order, at))).collect())
}

/// A number's bytes, the least first.
fn number<const N: usize>(bytes: &[u8], order: ByteOrder, at: usize) -> [u8; N] {
    let mut number = [0; N];
    number.copy_from_slice(&bytes[at..at + N]);
    if order == ByteOrder::Big {
        number.reverse();
    }
    number
}

/// IEEE 754 binary16: a sign, 5 bits of exponent, 10 of fraction. Every one of them
/// is an `f32`.
fn f32_from_f16(bits: u16) -> f32 {
    let fraction = f32::from(bits & 0x3ff);
    let size = match bits >> 10 & 0x1f {
        0 => fraction * 2_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        exponent => (1.0 + fraction / 1024.0) * 2_f32.powi(i32::from(exponent) - 15),
    };
    if bits >> 15 == 0 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_floats_are_widened_exactly() {
        for (bits, expected) in [
            (0x0000, 0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x3c00, 1.0),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xc000, -2.0),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(f32_from_f16(bits), expected, "{bits:#06x}");
        }
        assert!(f32_from_f16(0x7e00).is_nan());
    }

    #[test]
    fn every_type_is_read_in_both_orders() {
        for (element, little, expected) in [
            (
                Element::F64,
                &(-1.5_f64).to_le_bytes()[..],
                Values::F32(vec![-1.5]),
            ),
            (
                Element::F32,
                &(-1.5_f32).to_le_bytes(),
                Values::F32(vec![-1.5]),
            ),
            (
                Element::F16,
                &0x3e00_u16.to_le_bytes(),
                Values::F32(vec![1.5]),
            ),
            (
                Element::Bf16,
                &0xbfc0_u16.to_le_bytes(),
                Values::F32(vec![-1.5]),
            ),
            (Element::I64, &(-2_i64).to_le_bytes(), Values::I64(vec![-2])),
            (Element::I32, &(-3_i32).to_le_bytes(), Values::I64(vec![-3])),
            (Element::I16, &(-4_i16).to_le_bytes(), Values::I64(vec![-4])),
            (Element::I8, &(-5_i8).to_le_bytes(), Values::I64(vec![-5])),
            (Element::U8, &[250], Values::I64(vec![250])),
            (Element::Bool, &[1], Values::I64(vec![1])),
        ] {
            assert_eq!(little.len(), element.size());
            let mut big = little.to_vec();
            big.reverse();
            for (order, bytes) in [(ByteOrder::Little, little), (ByteOrder::Big, &big)] {
                let values = element.values(bytes, order, [0].into_iter());
                assert_eq!(values, expected, "{element:?}");
            }
        }
    }
}
