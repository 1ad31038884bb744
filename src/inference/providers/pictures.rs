//! Reading references, which the library has checked before.

use std::io::Cursor;

use bytes::Bytes;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageReader, ImageResult, Limits,
    codecs::png::PngEncoder,
};

/// The picture as people see it. The limits only say again what the library has checked.
pub fn decode(bytes: &[u8]) -> ImageResult<DynamicImage> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(16_384), Some(16_384));
    limits.max_alloc = Some(1 << 30);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// 255 for each place of a mask that is to be painted anew: the transparent ones, or in a mask without transparency the
/// white ones.
pub fn repaint(mask: &DynamicImage) -> Vec<u8> {
    let pixels = mask.to_rgba8();
    if pixels.pixels().any(|pixel| pixel.0[3] < 255) {
        pixels.pixels().map(|pixel| 255 - pixel.0[3]).collect()
    } else {
        mask.to_luma8().into_raw()
    }
}

/// The mask in a form that every reader understands alike: what is to be painted anew is white and transparent.
pub fn plain_mask(bytes: &[u8]) -> ImageResult<Bytes> {
    let mask = decode(bytes)?;
    let pixels: Vec<u8> = repaint(&mask).into_iter().flat_map(|anew| [anew, anew, anew, 255 - anew]).collect();
    let mut out = Vec::new();
    PngEncoder::new(&mut out).write_image(&pixels, mask.width(), mask.height(), ExtendedColorType::Rgba8)?;
    Ok(out.into())
}

/// Whether these are the bytes of a picture from its first to its last, as far as that shows without decoding it.
pub fn is_whole(bytes: &[u8]) -> bool {
    let tail = bytes.get(bytes.len().saturating_sub(4096)..).unwrap_or_default();
    let ends = |mark: &[u8]| tail.windows(mark.len()).any(|window| window == mark);
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => ends(b"IEND\xae\x42\x60\x82"),
        [0xff, 0xd8, 0xff, ..] => ends(&[0xff, 0xd9]),
        [b'R', b'I', b'F', b'F', a, b, c, d, b'W', b'E', b'B', b'P', ..] => {
            bytes.len() as u64 >= u64::from(u32::from_le_bytes([*a, *b, *c, *d])) + 8
        }
        [b'G', b'I', b'F', b'8', ..] => bytes.last() == Some(&0x3b),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use image::{ImageFormat, Rgba, RgbaImage};

    use super::*;

    fn mask(pixels: [[u8; 4]; 2]) -> Vec<u8> {
        let mut image = RgbaImage::new(2, 1);
        image.put_pixel(0, 0, Rgba(pixels[0]));
        image.put_pixel(1, 0, Rgba(pixels[1]));
        let mut out = Cursor::new(Vec::new());
        image.write_to(&mut out, ImageFormat::Png).unwrap();
        out.into_inner()
    }

    #[test]
    fn transparent_or_else_white_is_painted_anew() {
        let by_alpha = mask([[9, 9, 9, 0], [255, 255, 255, 255]]);
        let by_white = mask([[255, 255, 255, 255], [0, 0, 0, 255]]);
        for bytes in [by_alpha, by_white] {
            assert_eq!(repaint(&decode(&bytes).unwrap()), [255, 0]);
            let plain = decode(&plain_mask(&bytes).unwrap()).unwrap().to_rgba8();
            assert_eq!(plain.into_raw(), [255, 255, 255, 0, 0, 0, 0, 255]);
        }
    }

    #[test]
    fn a_cut_picture_is_seen() {
        let picture = DynamicImage::new_rgb8(40, 30);
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif] {
            let mut out = Cursor::new(Vec::new());
            picture.write_to(&mut out, format).unwrap();
            let bytes = out.into_inner();
            assert!(is_whole(&bytes), "{format:?}");
            assert!(!is_whole(&bytes[..bytes.len() * 2 / 3]), "{format:?}");
        }
        assert!(!is_whole(b"<svg/>") && !is_whole(b""));
    }
}
