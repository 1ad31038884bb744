//! References and masks for providers: as a file that every reader understands alike, or as pixels of the size that is
//! painted.

use image::{DynamicImage, ExtendedColorType, ImageEncoder, codecs::png::PngEncoder, imageops::FilterType};

use super::{
    super::{
        model::Refusal,
        wire::{Made, Part},
    },
    Work,
    read::Decoded,
};

/// What is to be painted anew is white and transparent.
pub fn plain(decoded: Decoded) -> Result<Work, Refusal> {
    let mask = decoded.upright();
    let pixels: Vec<u8> = repaint(&mask).into_iter().flat_map(|anew| [anew, anew, anew, 255 - anew]).collect();
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(&pixels, mask.width(), mask.height(), ExtendedColorType::Rgba8)
        .map_err(|_| Refusal::Undecodable)?;
    Ok(one(mask.width(), mask.height(), file))
}

/// RGB, cut to the size.
pub fn pixels(decoded: Decoded, width: u32, height: u32) -> Result<Work, Refusal> {
    Ok(one(width, height, cut(decoded, width, height).into_rgb8().into_raw()))
}

/// A mask, cut to the size.
pub fn repainted(decoded: Decoded, width: u32, height: u32) -> Result<Work, Refusal> {
    Ok(one(width, height, repaint(&cut(decoded, width, height))))
}

fn one(width: u32, height: u32, bytes: Vec<u8>) -> Work {
    let parts = vec![Part { width, height, bytes: bytes.len() as u64 }];
    (Made { width, height, thumbhash: Vec::new(), parts }, vec![bytes])
}

fn cut(decoded: Decoded, width: u32, height: u32) -> DynamicImage {
    let picture = decoded.upright();
    if (picture.width(), picture.height()) == (width, height) {
        return picture;
    }
    picture.resize_to_fill(width, height, FilterType::Triangle)
}

/// 255 for each place of a mask that is to be painted anew: the transparent ones, or in a mask without transparency the
/// white ones.
fn repaint(mask: &DynamicImage) -> Vec<u8> {
    let pixels = mask.to_rgba8();
    if pixels.pixels().any(|pixel| pixel.0[3] < 255) {
        pixels.pixels().map(|pixel| 255 - pixel.0[3]).collect()
    } else {
        mask.to_luma8().into_raw()
    }
}
