use image::{ImageEncoder, Rgba, RgbaImage};

use super::*;

/// A picture that is red in its upper left quarter, so that turns show.
fn pixels(width: u32, height: u32) -> DynamicImage {
    RgbaImage::from_fn(width, height, |x, y| {
        if x < width / 2 && y < height / 2 { Rgba([250, 10, 10, 255]) } else { Rgba([10, 10, (x % 200) as u8, 255]) }
    })
    .into()
}

fn encoded(pixels: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let pixels = if format == ImageFormat::Jpeg { pixels.to_rgb8().into() } else { pixels.clone() };
    pixels.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn read_all(bytes: &[u8]) -> Result<Picture, Refused> {
    read(bytes, header(bytes)?)
}

const FORMATS: [(ImageFormat, MediaType); 4] = [
    (ImageFormat::Png, MediaType::Png),
    (ImageFormat::Jpeg, MediaType::Jpeg),
    (ImageFormat::WebP, MediaType::WebP),
    (ImageFormat::Gif, MediaType::Gif),
];

#[test]
fn every_format_is_read() {
    for (format, media_type) in FORMATS {
        let picture = read_all(&encoded(&pixels(40, 30), format)).unwrap();
        assert_eq!((picture.media_type, picture.width, picture.height), (media_type, 40, 30));
        assert!((5..=25).contains(&picture.thumbhash.len()));
    }
}

#[test]
fn every_cut_is_noticed() {
    for (format, media_type) in FORMATS {
        let bytes = encoded(&pixels(64, 48), format);
        for end in 1..bytes.len() {
            let read = read_all(&bytes[..end]);
            assert!(read.is_err(), "{media_type} cut at {end} of {}", bytes.len());
        }
    }
}

#[test]
fn no_flipped_byte_makes_a_decoder_panic() {
    for (format, _) in FORMATS {
        let bytes = encoded(&pixels(24, 16), format);
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x55;
            let _ = read_all(&flipped);
        }
    }
}

fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encoded(&pixels(1, 1), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    bytes
}

#[test]
fn bounds_are_checked_on_the_header() {
    for (width, height) in [(60_000, 60_000), (16_385, 1), (1, 16_385), (8_001, 8_000), (u32::MAX, u32::MAX)] {
        assert!(matches!(header(&png_header(width, height)), Err(Refused::TooManyPixels)), "{width} x {height}");
    }
    assert!(header(&png_header(8_000, 8_000)).is_ok());
    assert!(matches!(header(&png_header(0, 5)), Err(Refused::Undecodable(_))));
    let mut gif = encoded(&pixels(1, 1), ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[0xff; 4]);
    assert!(matches!(header(&gif), Err(Refused::TooManyPixels)));
}

#[test]
fn what_is_no_picture_is_unsupported() {
    for bytes in [&b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..], b"<html>", b"%PDF-1.7", b"II*\0"] {
        assert!(matches!(header(bytes), Err(Refused::Unsupported)));
    }
}

fn sizes(picture: &Picture) -> Vec<(Size, MediaType, u32, u32)> {
    picture.small.iter().map(|small| (small.size, small.media_type, small.width, small.height)).collect()
}

#[test]
fn small_pictures_fit_and_are_never_enlarged() {
    let wide = read_all(&encoded(&pixels(2000, 1000), ImageFormat::Jpeg)).unwrap();
    assert!(sizes(&wide).contains(&(Size::Small, MediaType::Jpeg, 320, 160)));
    assert!(sizes(&wide).contains(&(Size::Large, MediaType::Jpeg, 1440, 720)));
    let little = read_all(&encoded(&pixels(50, 70), ImageFormat::Png)).unwrap();
    assert!(sizes(&little).iter().all(|(_, _, width, height)| (*width, *height) == (50, 70)));
    let thread = read_all(&encoded(&pixels(4000, 1), ImageFormat::Png)).unwrap();
    assert!(sizes(&thread).contains(&(Size::Small, MediaType::Jpeg, 320, 1)));
    for small in wide.small.iter().chain(&little.small) {
        assert_eq!(MediaType::of(&small.bytes), Some(small.media_type));
    }
}

#[test]
fn transparency_is_kept_in_webp_and_white_in_jpeg() {
    let mut clear = pixels(100, 100).into_rgba8();
    for pixel in clear.pixels_mut().take(50) {
        pixel.0[3] = 0;
    }
    for pixel in clear.pixels_mut().skip(100 * 60) {
        pixel.0[3] = 0;
    }
    let picture = read_all(&encoded(&clear.into(), ImageFormat::Png)).unwrap();
    let corner = |media_type| {
        let small = picture.small.iter().find(|small| small.media_type == media_type).unwrap();
        image::load_from_memory(&small.bytes).unwrap().into_rgba8().get_pixel(50, 90).0
    };
    assert_eq!(corner(MediaType::WebP)[3], 0);
    assert!(corner(MediaType::Jpeg)[..3].iter().all(|channel| *channel > 240));
}

/// Exif that says: the camera was held upright, turn the picture clockwise.
fn exif_turned() -> Vec<u8> {
    let mut exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    exif.extend([0, 6, 0, 0, 0, 0, 0, 0]);
    exif
}

#[test]
fn small_pictures_are_turned_as_the_camera_was_held() {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95);
    encoder.set_exif_metadata(exif_turned()).unwrap();
    let source = pixels(800, 400).into_rgb8();
    encoder.write_image(source.as_raw(), 800, 400, image::ExtendedColorType::Rgb8).unwrap();
    let picture = read_all(&bytes).unwrap();
    assert_eq!((picture.width, picture.height), (400, 800));
    let small = picture.small.iter().find(|small| small.size == Size::Small).unwrap();
    assert_eq!((small.width, small.height), (160, 320));
    let shown = image::load_from_memory(&small.bytes).unwrap().into_rgb8();
    // The red quarter went from the upper left to the upper right.
    assert!(shown.get_pixel(150, 10).0[0] > 200 && shown.get_pixel(10, 10).0[0] < 60);
}

#[test]
fn a_profile_of_the_same_colour_space_is_passed_on() {
    let mut profile = vec![0; 200];
    for (kept, space) in [(true, b"RGB "), (false, b"CMYK")] {
        profile[16..20].copy_from_slice(space);
        let (small, _) = small::all(pixels(20, 20), Orientation::NoTransforms, Some(profile.clone())).unwrap();
        for one in small {
            let mut decoder = reader(one.media_type, &one.bytes).into_decoder().unwrap();
            assert_eq!(decoder.icc_profile().unwrap().is_some(), kept);
        }
    }
}

#[test]
fn a_stored_jpeg_can_become_webp() {
    let webp = transcoded(&encoded(&pixels(30, 20), ImageFormat::Jpeg)).unwrap();
    assert_eq!(MediaType::of(&webp), Some(MediaType::WebP));
}
