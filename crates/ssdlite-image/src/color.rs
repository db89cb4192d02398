//! Colours that tell classes apart, on any image.

use ssdlite_core::ClassId;

use crate::rgb::Rgb;

/// Black.
pub const BLACK: Rgb = [0, 0, 0];
/// White.
pub const WHITE: Rgb = [255, 255, 255];

/// Colours that stay apart on photos and on white paper, the most different
/// ones first.
const PALETTE: [Rgb; 16] = [
    [25, 105, 215],
    [245, 130, 20],
    [40, 160, 60],
    [220, 40, 60],
    [145, 85, 200],
    [0, 180, 190],
    [230, 80, 170],
    [150, 110, 40],
    [140, 190, 30],
    [60, 70, 160],
    [250, 190, 20],
    [0, 120, 110],
    [170, 40, 110],
    [120, 120, 120],
    [100, 180, 250],
    [120, 60, 30],
];

/// The golden angle, by which neighbouring classes beyond the palette differ
/// in hue.
const GOLDEN_ANGLE: f32 = 137.507_77;

/// The colour of a class, the same in each image and each run.
pub fn color_of_class(class: ClassId) -> Rgb {
    series_color(class.index())
}

/// The colour of the `index`-th line or bar of a chart.
pub fn series_color(index: usize) -> Rgb {
    match PALETTE.get(index) {
        Some(color) => *color,
        None => {
            // A period that no whole number of turns meets.
            let step = (index - PALETTE.len()) % 4096;
            color_of_hue((step as f32 * GOLDEN_ANGLE) % 360.0)
        }
    }
}

/// Black or white, whichever reads better on `background`.
pub fn text_color_on(background: Rgb) -> Rgb {
    // Where black and white have the same contrast by WCAG 2.1:
    // (L + 0.05) / 0.05 = 1.05 / (L + 0.05).
    const EVEN_CONTRAST: f32 = 0.179;
    if relative_luminance(background) > EVEN_CONTRAST {
        BLACK
    } else {
        WHITE
    }
}

/// The colour at `share` of the way from `from` (0) to `to` (1).
pub fn mix(from: Rgb, to: Rgb, share: f32) -> Rgb {
    let share = share.clamp(0.0, 1.0);
    std::array::from_fn(|channel| {
        let (from, to) = (f32::from(from[channel]), f32::from(to[channel]));
        (from + (to - from) * share).round() as u8
    })
}

/// WCAG 2.1, relative luminance of an sRGB colour.
fn relative_luminance(color: Rgb) -> f32 {
    let [red, green, blue] = color.map(|value| {
        let value = f32::from(value) / 255.0;
        if value <= 0.03928 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/// HSV to RGB at saturation 0.75 and value 0.85, hue in degrees.
fn color_of_hue(hue: f32) -> Rgb {
    const SATURATION: f32 = 0.75;
    const VALUE: f32 = 0.85;
    // f(n) = V - V S max(0, min(k, 4 - k, 1)), k = (n + H / 60) mod 6.
    [5.0, 3.0, 1.0].map(|n| {
        let k: f32 = (n + hue / 60.0) % 6.0;
        let falling = k.min(4.0 - k).clamp(0.0, 1.0);
        ((VALUE - VALUE * SATURATION * falling) * 255.0).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(a: Rgb, b: Rgb) -> u32 {
        (0..3)
            .map(|i| u32::from(a[i].abs_diff(b[i])).pow(2))
            .sum::<u32>()
            .isqrt()
    }

    #[test]
    fn neighbouring_classes_have_different_colours() {
        for index in 0..200 {
            let (a, b) = (series_color(index), series_color(index + 1));
            assert!(distance(a, b) > 40, "{index}: {a:?} {b:?}");
            assert_eq!(color_of_class(ClassId::from_index(index)), a);
        }
        for (index, color) in PALETTE.iter().enumerate() {
            for other in &PALETTE[..index] {
                assert!(distance(*color, *other) > 40, "{color:?} {other:?}");
            }
        }
    }

    #[test]
    fn text_has_a_contrast_of_at_least_four_and_a_half() {
        for red in (0..=255).step_by(15) {
            for green in (0..=255).step_by(15) {
                for blue in (0..=255).step_by(15) {
                    let background = [red, green, blue].map(|value: u16| value as u8);
                    let text = relative_luminance(text_color_on(background)) + 0.05;
                    let ground = relative_luminance(background) + 0.05;
                    assert!(text.max(ground) / text.min(ground) >= 4.5);
                }
            }
        }
    }

    #[test]
    fn mixing_ends_at_both_colours() {
        let (a, b) = ([10, 200, 30], [110, 100, 31]);
        assert_eq!(mix(a, b, 0.0), a);
        assert_eq!(mix(a, b, 1.0), b);
        assert_eq!(mix(a, b, 0.5), [60, 150, 31]);
    }
}
