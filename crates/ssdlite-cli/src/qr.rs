//! Links as QR codes made of half blocks, two modules a character.

use qrcodegen::{QrCode, QrCodeEcc};

/// Light modules around the code. Source: ISO/IEC 18004, section 6.3.8.
const QUIET_ZONE: i32 = 4;

/// The columns of a terminal; a code that is wider would be broken into pieces.
const MOST_COLUMNS: i32 = 80;

/// The rows of a code, in which a set pixel is dark; none if it is too wide.
/// They are of [`half_block`]s.
pub(crate) fn qr_rows(text: &str) -> Option<Vec<String>> {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let size = code.size();
    if size + 2 * QUIET_ZONE > MOST_COLUMNS {
        return None;
    }
    let all = -QUIET_ZONE..size + QUIET_ZONE;
    let row = |y: i32| {
        let columns = all.clone();
        columns
            .map(|x| half_block(code.get_module(x, y), code.get_module(x, y + 1)))
            .collect()
    };
    Some(all.clone().step_by(2).map(row).collect())
}

/// A character with a dark upper or lower half, or both, or none.
fn half_block(upper: bool, lower: bool) -> char {
    match (upper, lower) {
        (true, true) => '\u{2588}',
        (true, false) => '\u{2580}',
        (false, true) => '\u{2584}',
        (false, false) => ' ',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a module of the rows is dark.
    fn module(rows: &[String], x: i32, y: i32) -> bool {
        let row = usize::try_from(y + QUIET_ZONE).unwrap();
        let column = usize::try_from(x + QUIET_ZONE).unwrap();
        match rows[row / 2].chars().nth(column).unwrap() {
            '\u{2588}' => true,
            '\u{2580}' => row % 2 == 0,
            '\u{2584}' => row % 2 == 1,
            _ => false,
        }
    }

    #[test]
    fn rows_are_the_code_in_its_quiet_zone() {
        let link = "http://192.168.178.45:8765/?token=correct-horse-battery";
        let rows = qr_rows(link).unwrap();
        let code = QrCode::encode_text(link, QrCodeEcc::Low).unwrap();
        let (least, end) = (-QUIET_ZONE, code.size() + QUIET_ZONE);
        assert_eq!(rows.len(), (end - least + 1) as usize / 2);
        for y in least..end {
            for x in least..end {
                assert_eq!(module(&rows, x, y), code.get_module(x, y), "{x}, {y}");
            }
        }
        let width = (end - least) as usize;
        assert!(rows.iter().all(|row| row.chars().count() == width));
    }

    #[test]
    fn what_is_too_wide_is_left_out() {
        assert!(qr_rows(&"x".repeat(700)).is_none());
        assert!(qr_rows(&"x".repeat(10_000)).is_none());
    }
}
