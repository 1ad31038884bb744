//! Files: good ones of every format, and those that are made to do harm.

use std::time::Instant;

use image::{
    Delay, ExtendedColorType, Frame, ImageEncoder, RgbaImage,
    codecs::{gif::GifEncoder, png::PngEncoder},
};

use super::*;

const FORMATS: [(ImageFormat, MediaType); 4] = [
    (ImageFormat::Png, MediaType::Png),
    (ImageFormat::Jpeg, MediaType::Jpeg),
    (ImageFormat::WebP, MediaType::WebP),
    (ImageFormat::Gif, MediaType::Gif),
];

#[tokio::test]
async fn every_format_comes_in_and_goes_out() {
    let pictures = pictures();
    for (format, media_type) in FORMATS {
        let bytes = encoded(&drawn(2000, 1000), format);
        let picture = examine(&pictures, bytes).await.unwrap();
        assert_eq!((picture.media_type, picture.width, picture.height), (media_type, 2000, 1000));
        assert!((5..=25).contains(&picture.thumbhash.len()));
        let sizes: Vec<_> = picture.small.iter().map(|small| (small.width, small.height)).collect();
        assert_eq!(sizes, [(320, 160), (1440, 720)]);
        for small in picture.small {
            let shown = image::load_from_memory_with_format(&small.bytes, ImageFormat::WebP).unwrap();
            assert_eq!((shown.width(), shown.height()), (small.width, small.height));
            let jpeg = pictures.jpeg(small.bytes).await.unwrap();
            let shown = image::load_from_memory_with_format(&jpeg, ImageFormat::Jpeg).unwrap();
            assert_eq!((shown.width(), shown.height()), (small.width, small.height));
        }
    }
}

#[tokio::test]
async fn references_and_masks_come_back_as_pixels() {
    let pictures = pictures();
    let drawn = drawn(60, 40);
    let bytes = Bytes::from(encoded(&drawn, ImageFormat::Png));
    assert_eq!(pictures.pixels(bytes.clone(), 60, 40).await.unwrap(), drawn.to_rgb8().into_raw());
    assert_eq!(pictures.pixels(bytes.clone(), 30, 30).await.unwrap().len(), 30 * 30 * 3);
    assert_eq!(pictures.mask_pixels(bytes.clone(), 60, 40).await.unwrap(), drawn.to_luma8().into_raw());
    let plain = image::load_from_memory_with_format(&pictures.plain_mask(bytes).await.unwrap(), ImageFormat::Png);
    assert_eq!((plain.as_ref().unwrap().width(), plain.unwrap().height()), (60, 40));
    assert!(pictures.plain_mask(Bytes::from_static(b"no mask")).await.is_err());
}

#[tokio::test]
async fn damaged_files_are_refused_one_by_one() {
    let pictures = pictures();
    for (format, media_type) in FORMATS {
        let bytes = encoded(&drawn(64, 48), format);
        for part in [0, 1, 12, 40, bytes.len() / 2, bytes.len() - 1] {
            let refusal = refusal(&pictures, bytes[..part].to_vec()).await;
            assert!(matches!(refusal, Refusal::Undecodable | Refusal::Unsupported), "{media_type} cut at {part}");
        }
    }
    for foreign in [&b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..], b"%PDF-1.7", b"MZ\x90\0", b"\0\0\0\0"] {
        assert_eq!(refusal(&pictures, foreign).await, Refusal::Unsupported);
    }
    // The first bytes of one format before the rest of another.
    let mut chimera = encoded(&drawn(64, 48), ImageFormat::Jpeg);
    chimera[..8].copy_from_slice(b"\x89PNG\r\n\x1a\n");
    assert!(matches!(refusal(&pictures, chimera).await, Refusal::Undecodable | Refusal::TooManyPixels));
    works(&pictures).await;
}

/// Bytes from a fixed seed behind the first bytes of a format, and changed files: each is a picture or refused, and the
/// decoder after it works.
#[tokio::test]
async fn random_and_changed_files_end_as_pictures_or_refusals() {
    let pictures = pictures();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..120usize {
        let (format, _) = FORMATS[round % 4];
        let mut bytes = encoded(&drawn(48, 32), format);
        if round % 3 == 0 {
            bytes.iter_mut().skip(16).for_each(|byte| *byte = random() as u8);
        } else {
            for _ in 0..=round % 11 {
                let at = random() as usize % bytes.len();
                bytes[at] = random() as u8;
            }
        }
        match examine(&pictures, bytes).await {
            Ok(_) | Err(PictureError::Refused(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    works(&pictures).await;
}

fn claims_to_be(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encoded(&drawn(1, 1), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    bytes
}

#[tokio::test]
async fn asvs_v5_2_6_bombs_are_refused() {
    let pictures = pictures();
    for (width, height) in [(60_000, 60_000), (65_535, 65_535), (16_385, 1), (8_001, 8_000), (u32::MAX, u32::MAX)] {
        assert_eq!(refusal(&pictures, claims_to_be(width, height)).await, Refusal::TooManyPixels, "{width} x {height}");
    }
    // Within the bounds by its header, and nothing behind it.
    assert_eq!(refusal(&pictures, claims_to_be(8_000, 8_000)).await, Refusal::Undecodable);
    works(&pictures).await;
}

/// A few kilobytes that unfold to as many pixels as are allowed: it is a picture, and fits. One byte for each, since a
/// debug build is slow; docs/performance.md has the figures of eight.
#[tokio::test]
async fn the_largest_picture_fits_into_its_limits() {
    let pictures = pictures();
    let mut bytes = Vec::new();
    let flat = vec![200u8; 8_000 * 8_000];
    PngEncoder::new(&mut bytes).write_image(&flat, 8_000, 8_000, ExtendedColorType::L8).unwrap();
    assert!(bytes.len() < flat.len() / 100, "{} bytes", bytes.len());
    drop(flat);
    let picture = examine(&pictures, bytes).await.unwrap();
    assert_eq!((picture.width, picture.height, picture.small[1].width), (8_000, 8_000, 1440));
}

#[tokio::test]
async fn a_gif_of_thousands_of_frames_is_its_first() {
    let pictures = pictures();
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, 30);
    for frame in 0..4000u32 {
        let pixels = RgbaImage::from_pixel(64, 64, image::Rgba([frame as u8, 0, 0, 255]));
        let frame = Frame::from_parts(pixels, 0, 0, Delay::from_numer_denom_ms(10, 1));
        encoder.encode_frame(frame).unwrap();
    }
    drop(encoder);
    let since = Instant::now();
    let picture = examine(&pictures, bytes).await.unwrap();
    assert_eq!((picture.media_type, picture.width), (MediaType::Gif, 64));
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
}
