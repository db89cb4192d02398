//! Times as people and programs read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time as RFC 3339 writes it, in UTC: `2026-01-31T12:34:56.789Z`; one before 1970 as
/// the start of that.
pub(crate) fn utc(time: SystemTime) -> String {
    date_and_time(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The same of the time since the start of 1970.
///
/// The date is counted in years that start in March, so that a leap day is a
/// year's last; 400 of them have 146,097 days.
fn date_and_time(since_1970: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let (days, second) = (since_1970.as_secs() / DAY, since_1970.as_secs() % DAY);
    // 0000-03-01 is 719,468 days before 1970.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    // A day less for each leap day before it.
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months from March on have 31, 30, 31, 30, 31 days, and so again.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = 400 * era + year + next_year;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let milliseconds = since_1970.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_dates() {
        for (seconds, written) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (951_868_799, "2000-02-29T23:59:59.007Z"),
            (951_868_800, "2000-03-01T00:00:00.007Z"),
            (1_735_689_599, "2024-12-31T23:59:59.007Z"),
            (1_735_689_600, "2025-01-01T00:00:00.007Z"),
            (4_107_542_399, "2100-02-28T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            assert_eq!(
                date_and_time(Duration::from_millis(seconds * 1000 + 7)),
                written
            );
        }
    }
}
