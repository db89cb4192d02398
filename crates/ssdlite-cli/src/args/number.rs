//! Numbers as values of options: whatever is outside of an option's range is told
//! with the range.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Reads a whole number within a range.
pub(crate) fn whole<T>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            format!("expected a whole number of {least} to {most}")
        })
    }
}

/// Reads a number of 0 to 1.
pub(crate) fn probability(text: &str) -> Result<f32, String> {
    let number = text.parse().ok();
    let number = number.filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "expected a number of 0 to 1".into())
}

/// Reads a finite number above 0.
pub(crate) fn positive(text: &str) -> Result<f32, String> {
    let number = text.parse().ok();
    let number = number.filter(|number: &f32| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "expected a number above 0".into())
}

/// Reads the part of a whole that leaves something: a number above 0 and below 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok();
    let number = number.filter(|number| *number > 0.0 && *number < 1.0);
    number.ok_or_else(|| "expected a number above 0 and below 1".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_is_told_with_the_range() {
        assert_eq!(whole(3..=9)("9"), Ok(9));
        for text in ["2", "10", "-1", "1e9", "nan", "", "many", "3.0"] {
            let told = "expected a whole number of 3 to 9".to_owned();
            assert_eq!(whole(3_u8..=9)(text), Err(told));
        }
        assert_eq!(probability("1"), Ok(1.0));
        assert_eq!(probability("0"), Ok(0.0));
        assert_eq!(positive("0.5"), Ok(0.5));
        assert_eq!(share("0.5"), Ok(0.5));
        for text in ["-1", "1.5", "nan", "inf", "", "many"] {
            assert!(probability(text).is_err() && share(text).is_err());
        }
        for text in ["-1", "0", "nan", "inf", "", "many"] {
            assert!(positive(text).is_err(), "{text}");
        }
        assert!(share("0").is_err() && share("1").is_err());
    }
}
