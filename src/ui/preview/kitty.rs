//! The graphics protocol of kitty, ghostty and others: <https://sw.kovidgoyal.net/kitty/graphics-protocol/>.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use image::RgbImage;

/// Bytes of base64 in one command, at most.
const CHUNK: usize = 4096;

/// The number of the picture that is being made; process numbers keep programs apart. Finished ones have none.
fn number() -> u32 {
    std::process::id().max(1)
}

/// Commands that show a picture in so many columns and rows from the cursor on, which stays.
pub(super) fn commands(picture: &RgbImage, (columns, rows): (u32, u32), stays: bool) -> Vec<String> {
    let data = STANDARD.encode(picture.as_raw());
    let (width, height) = picture.dimensions();
    let mut commands = Vec::new();
    if stays {
        // What was shown while it was made goes, with its data.
        commands.push(format!("\x1b_Ga=d,d=I,i={},q=2\x1b\\", number()));
    }
    let name = if stays { String::new() } else { format!("i={},p=1,", number()) };
    let first = format!("a=T,{name}f=24,s={width},v={height},c={columns},r={rows},C=1,q=2,");
    let last = data.len().div_ceil(CHUNK).saturating_sub(1);
    for (index, chunk) in data.as_bytes().chunks(CHUNK).enumerate() {
        let (keys, more) = (if index == 0 { first.as_str() } else { "" }, u8::from(index < last));
        commands.push(format!("\x1b_G{keys}m={more};{}\x1b\\", String::from_utf8_lossy(chunk)));
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pixels_arrive_in_chunks() {
        let picture = RgbImage::from_fn(64, 32, |x, y| image::Rgb([x as u8, y as u8, 7]));
        let commands = commands(&picture, (8, 2), false);
        assert_eq!(commands.len(), 2);
        assert!(commands[0].contains("f=24,s=64,v=32,c=8,r=2,C=1,q=2,m=1;") && commands[1].starts_with("\x1b_Gm=0;"));
        let data: String =
            commands.iter().map(|c| c.split_once(';').unwrap().1.strip_suffix("\x1b\\").unwrap()).collect();
        assert_eq!(STANDARD.decode(data).unwrap(), *picture.as_raw());
    }

    #[test]
    fn a_finished_picture_takes_the_place_of_the_unfinished() {
        let picture = RgbImage::new(2, 2);
        let (unfinished, finished) = (commands(&picture, (1, 1), false), commands(&picture, (1, 1), true));
        let number = format!("i={},", number());
        assert!(unfinished[0].contains(&number));
        assert!(finished[0].contains(&format!("a=d,d=I,{number}")) && !finished[1].contains("i="), "{finished:?}");
    }
}
