//! Inline images of iTerm2, which WezTerm and mintty understand too: <https://iterm2.com/documentation-images.html>.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use image::RgbImage;

use crate::image::encode;

/// The command that shows a picture in so many columns and rows; none if it cannot be encoded.
pub(super) fn commands(picture: &RgbImage, (columns, rows): (u32, u32)) -> Vec<String> {
    let Ok(png) = encode(picture, &[]) else { return Vec::new() };
    let data = STANDARD.encode(&png);
    let size = png.len();
    vec![format!("\x1b]1337;File=inline=1;size={size};width={columns};height={rows};preserveAspectRatio=1:{data}\x07")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_a_png() {
        let picture = RgbImage::from_pixel(3, 2, image::Rgb([9, 8, 7]));
        let commands = commands(&picture, (4, 2));
        let (head, data) = commands[0].split_once(':').unwrap();
        assert!(head.ends_with("width=4;height=2;preserveAspectRatio=1"), "{head}");
        let png = STANDARD.decode(data.strip_suffix('\x07').unwrap()).unwrap();
        assert_eq!(image::load_from_memory(&png).unwrap().into_rgb8(), picture);
    }
}
