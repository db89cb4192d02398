//! A classifier's random transforms.

use ssdlite_core::preprocessing::Fit;
use ssdlite_core::{ImageSize, PixelBox, Preprocessing};

use super::check_within;
use super::reduced::{LEAST_SCALE, kept_size};
use super::view::View;
use crate::error::Result;
use ssdlite_core::random::Rng;

/// How images are changed while a classifier is trained.
///
/// The image is brought to the scale that evaluation sees it at (its shorter
/// side to [`Fit::CenterCrop`]'s), gets a border of the mean colour, is cut to
/// the input size anywhere, and mirrored: torchvision's `Resize`,
/// `RandomCrop` with padding and `RandomHorizontalFlip`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifierAugment {
    /// Width of the border in shares of the input's sides; 1/14, 16 pixels at
    /// 224: as much as evaluation cuts off.
    pub padding: f32,
    /// How often left and right are swapped; 0.5.
    pub mirror: f32,
}

impl Default for ClassifierAugment {
    fn default() -> Self {
        Self {
            padding: 1.0 / 14.0,
            mirror: 0.5,
        }
    }
}

impl ClassifierAugment {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`](crate::Error::InvalidRequest) for a
    /// probability outside 0 to 1, or a border outside 0 to 1/2.
    pub fn check(&self) -> Result<()> {
        check_within("padding", self.padding, 0.0..=0.5)?;
        check_within("mirror", self.mirror, 0.0..=1.0)
    }

    /// The size in which an image is kept: its own, or a smaller one that holds
    /// all that views show of it.
    pub(crate) fn kept_size(image: ImageSize, preprocessing: &Preprocessing) -> ImageSize {
        let window = scaled_window(image, preprocessing);
        let side = |image: u32, input: u32, window: f32| {
            let scaled = image as f32 * input as f32 / window;
            (LEAST_SCALE * scaled).ceil() as u32
        };
        let input = preprocessing.size;
        let useful = ImageSize::new(
            side(image.width, input.width, window.width()),
            side(image.height, input.height, window.height()),
        );
        kept_size(image, useful)
    }

    /// A random view of an image.
    pub fn draw_view(
        &self,
        image: ImageSize,
        preprocessing: &Preprocessing,
        rng: &mut Rng,
    ) -> View {
        let window = scaled_window(image, preprocessing);
        let mut offset = |image: u32, window: f32| {
            let border = self.padding * window;
            let slack = image as f32 - window + 2.0 * border;
            rng.unit() * slack.max(0.0) - border
        };
        let x1 = offset(image.width, window.width());
        let y1 = offset(image.height, window.height());
        View {
            window: window.translated(x1, y1),
            mirrored: rng.chance(self.mirror),
        }
    }
}

/// A window at the top left with the size in the image that the input has
/// when the image is scaled as for evaluation.
fn scaled_window(image: ImageSize, preprocessing: &Preprocessing) -> PixelBox {
    let input = preprocessing.size;
    let (width, height) = match preprocessing.fit {
        Fit::Stretch => (image.width as f32, image.height as f32),
        Fit::CenterCrop { shorter_side } => {
            let per_pixel = image.width.min(image.height) as f32 / shorter_side as f32;
            (
                input.width as f32 * per_pixel,
                input.height as f32 * per_pixel,
            )
        }
    };
    PixelBox::new(0.0, 0.0, width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_keep_the_scale_and_stay_within_the_border() {
        let image = ImageSize::new(401, 307);
        let preprocessing = Preprocessing::classifier(112);
        let augment = ClassifierAugment::default();
        let side = 112.0 * 307.0 / 128.0;
        let border = side / 14.0 + 1e-3;
        let (mut mirrored, mut leftmost) = (0, f32::INFINITY);
        for seed in 0..1000 {
            let view = augment.draw_view(image, &preprocessing, &mut Rng::from_keys(&[seed]));
            let window = view.window;
            assert!((window.width() - side).abs() < 1e-3);
            assert!((window.height() - side).abs() < 1e-3);
            assert!(window.x1 >= -border && window.x2 <= 401.0 + border);
            assert!(window.y1 >= -border && window.y2 <= 307.0 + border);
            mirrored += u32::from(view.mirrored);
            leftmost = leftmost.min(window.x1);
        }
        assert!((400..600).contains(&mirrored));
        assert!(leftmost < -0.9 * side / 14.0);
    }

    #[test]
    fn without_border_a_stretched_image_is_whole() {
        let image = ImageSize::new(401, 307);
        let augment = ClassifierAugment {
            padding: 0.0,
            mirror: 0.0,
        };
        let preprocessing = Preprocessing::detector(ImageSize::new(96, 64));
        let view = augment.draw_view(image, &preprocessing, &mut Rng::from_keys(&[1]));
        assert_eq!(view, View::whole(image));
    }

    #[test]
    fn of_a_large_photo_twice_the_scaled_size_is_kept() {
        let kept = |width, height, preprocessing| {
            ClassifierAugment::kept_size(ImageSize::new(width, height), &preprocessing)
        };
        let cut = Preprocessing::classifier(224);
        assert_eq!(kept(4096, 3072, cut), ImageSize::new(683, 512));
        assert_eq!(kept(640, 480, cut), ImageSize::new(640, 480));
        let stretched = Preprocessing::detector(ImageSize::new(96, 64));
        assert_eq!(kept(4096, 3072, stretched), ImageSize::new(192, 128));
    }

    #[test]
    fn bad_numbers_are_refused() {
        for padding in [-0.1, 0.6, f32::NAN] {
            let augment = ClassifierAugment {
                padding,
                ..ClassifierAugment::default()
            };
            assert!(augment.check().is_err());
        }
        assert!(ClassifierAugment::default().check().is_ok());
    }
}
