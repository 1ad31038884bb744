//! Width and height as a file states them: a look at fixed places, without a decoder.
//!
//! The server asks this of what comes back from a decoder, so it knows of JPEG and WebP only what our own encoders write.

use super::model::MediaType;

pub fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    match MediaType::of(bytes)? {
        MediaType::Png => {
            let [w0, w1, w2, w3, h0, h1, h2, h3] = *bytes.get(16..)?.first_chunk()?;
            Some((u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3])))
        }
        MediaType::Gif => {
            let [w0, w1, h0, h1] = *bytes.get(6..)?.first_chunk()?;
            Some((u32::from(u16::from_le_bytes([w0, w1])), u32::from(u16::from_le_bytes([h0, h1]))))
        }
        MediaType::WebP => webp(bytes),
        MediaType::Jpeg => jpeg(bytes.get(2..)?),
    }
}

/// A lossy picture: by itself, or with transparency in the extended form.
fn webp(bytes: &[u8]) -> Option<(u32, u32)> {
    match bytes.get(12..16)? {
        b"VP8 " => {
            let [0x9d, 0x01, 0x2a, w0, w1, h0, h1] = *bytes.get(23..)?.first_chunk()? else { return None };
            let side = |bytes| u32::from(u16::from_le_bytes(bytes) & 0x3fff);
            Some((side([w0, w1]), side([h0, h1])))
        }
        b"VP8X" => {
            let [w0, w1, w2, h0, h1, h2] = *bytes.get(24..)?.first_chunk()?;
            Some((u32::from_le_bytes([w0, w1, w2, 0]) + 1, u32::from_le_bytes([h0, h1, h2, 0]) + 1))
        }
        _ => None,
    }
}

/// Segments up to the frame's own.
fn jpeg(mut rest: &[u8]) -> Option<(u32, u32)> {
    loop {
        let [0xff, marker, l0, l1] = *rest.first_chunk()? else { return None };
        if let 0xc0..=0xc2 = marker {
            let [h0, h1, w0, w1] = *rest.get(5..)?.first_chunk()?;
            return Some((u32::from(u16::from_be_bytes([w0, w1])), u32::from(u16::from_be_bytes([h0, h1]))));
        }
        rest = rest.get(2 + usize::from(u16::from_be_bytes([l0, l1]))..)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(kind in 0..4usize, rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let starts: [&[u8]; 4] = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8X", b"GIF89a"];
            let _ = super::size(&[starts[kind], &rest].concat());
        }
    }
}
