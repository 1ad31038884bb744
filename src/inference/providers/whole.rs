//! A first look at an answer: whether its picture is one and came to its end. It is decoded later, apart from everything.

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
    use std::io::Cursor;

    use image::{DynamicImage, ImageFormat};

    use super::*;

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
