use std::io::Cursor;

use image::{DynamicImage, ImageEncoder, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage, codecs::jpeg::JpegEncoder};
use moxcms::ColorProfile;
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::{super::model::MediaType, *};

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

fn done(task: Task, bytes: &[u8]) -> Result<Work, Refusal> {
    make(task, bytes.to_vec(), read::header(bytes)?)
}

fn examined(bytes: &[u8]) -> Result<Work, Refusal> {
    done(Task::Examine, bytes)
}

fn shown(file: &[u8]) -> DynamicImage {
    image::load_from_memory(file).unwrap()
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
        let bytes = encoded(&pixels(40, 30), format);
        assert_eq!(read::header(&bytes).unwrap(), Header { media_type, width: 40, height: 30 });
        let (made, files) = examined(&bytes).unwrap();
        assert_eq!((made.width, made.height, made.parts.len()), (40, 30, 2));
        assert!((5..=25).contains(&made.thumbhash.len()));
        for (part, file) in made.parts.iter().zip(&files) {
            assert_eq!((MediaType::of(file), part.bytes), (Some(MediaType::WebP), file.len() as u64));
            assert_eq!(super::super::stated::size(file), Some((part.width, part.height)));
        }
    }
}

#[test]
fn every_cut_is_noticed() {
    for (format, media_type) in FORMATS {
        let bytes = encoded(&pixels(64, 48), format);
        for end in 0..bytes.len() {
            assert!(examined(&bytes[..end]).is_err(), "{media_type} cut at {end} of {}", bytes.len());
        }
    }
}

/// Every byte once, then many at random from a fixed seed: changed, cut, joined with another format. A picture or a
/// refusal, and no panic: those are caught in the process, and would be a fault of ours or of a decoder's nevertheless.
#[test]
fn no_damage_makes_a_decoder_panic() {
    for (format, _) in FORMATS {
        let bytes = encoded(&pixels(24, 16), format);
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x55;
            let _ = examined(&flipped);
        }
    }
    let config = Config { cases: 1500, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let whole: Vec<Vec<u8>> = FORMATS.iter().map(|(format, _)| encoded(&pixels(33, 21), *format)).collect();
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let damage =
        (0..4usize, 0..4usize, prop::collection::vec(change, 1..24), any::<prop::sample::Index>(), any::<bool>());
    let tried = runner.run(&damage, |(one, other, changes, end, joined)| {
        let mut bytes = whole[one].clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if joined {
            bytes.truncate(end.index(bytes.len()));
            bytes.extend(&whole[other]);
        }
        let _ = examined(&bytes);
        Ok(())
    });
    tried.unwrap();
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
        assert_eq!(read::header(&png_header(width, height)), Err(Refusal::TooManyPixels), "{width} x {height}");
    }
    assert!(read::header(&png_header(8_000, 8_000)).is_ok());
    assert_eq!(read::header(&png_header(0, 5)), Err(Refusal::Undecodable));
    let mut gif = encoded(&pixels(1, 1), ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[0xff; 4]);
    assert_eq!(read::header(&gif), Err(Refusal::TooManyPixels));
    // A JPEG's size stands in its frame.
    let mut jpeg = encoded(&pixels(8, 8), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    assert_eq!(read::header(&jpeg), Err(Refusal::TooManyPixels));
}

#[test]
fn what_is_no_picture_is_unsupported() {
    for bytes in [&b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..], b"<html>", b"%PDF-1.7", b"II*\0"] {
        assert_eq!(read::header(bytes), Err(Refusal::Unsupported));
    }
}

#[test]
fn small_pictures_fit_and_are_never_enlarged() {
    let sizes = |bytes: &[u8]| {
        let (made, files) = examined(bytes).unwrap();
        let stated: Vec<_> = made.parts.iter().map(|part| (part.width, part.height)).collect();
        assert_eq!(stated, files.iter().map(|file| (shown(file).width(), shown(file).height())).collect::<Vec<_>>());
        stated
    };
    assert_eq!(sizes(&encoded(&pixels(2000, 1000), ImageFormat::Jpeg)), [(320, 160), (1440, 720)]);
    assert_eq!(sizes(&encoded(&pixels(50, 70), ImageFormat::Png)), [(50, 70), (50, 70)]);
    assert_eq!(sizes(&encoded(&pixels(4000, 1), ImageFormat::Png)), [(320, 1), (1440, 1)]);
}

#[test]
fn transparency_is_kept_in_webp_and_white_in_jpeg() {
    let mut clear = pixels(100, 100).into_rgba8();
    for pixel in clear.pixels_mut().skip(100 * 60) {
        pixel.0[3] = 0;
    }
    let (_, files) = examined(&encoded(&clear.into(), ImageFormat::Png)).unwrap();
    assert_eq!(shown(&files[0]).into_rgba8().get_pixel(50, 90).0[3], 0);
    assert_eq!(shown(&files[0]).into_rgba8().get_pixel(50, 10).0[3], 255);
    let (made, jpeg) = done(Task::Jpeg, &files[0]).unwrap();
    assert_eq!((made.width, made.height, MediaType::of(&jpeg[0])), (100, 100, Some(MediaType::Jpeg)));
    assert_eq!(super::super::stated::size(&jpeg[0]), Some((100, 100)));
    assert!(shown(&jpeg[0]).into_rgba8().get_pixel(50, 90).0[..3].iter().all(|channel| *channel > 240));
}

/// Exif that says: the camera was held upright, turn the picture clockwise.
fn exif_turned() -> Vec<u8> {
    let mut exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    exif.extend([0, 6, 0, 0, 0, 0, 0, 0]);
    exif
}

fn jpeg_with(change: impl FnOnce(&mut JpegEncoder<&mut Vec<u8>>), pixels: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
    change(&mut encoder);
    encoder.write_image(pixels.as_raw(), pixels.width(), pixels.height(), image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

#[test]
fn small_pictures_are_turned_as_the_camera_was_held() {
    let source = pixels(800, 400).into_rgb8();
    let bytes = jpeg_with(|encoder| encoder.set_exif_metadata(exif_turned()).unwrap(), &source);
    let (made, files) = examined(&bytes).unwrap();
    assert_eq!((made.width, made.height), (400, 800));
    let small = shown(&files[0]).into_rgb8();
    assert_eq!(small.dimensions(), (160, 320));
    // The red quarter went from the upper left to the upper right.
    assert!(small.get_pixel(150, 10).0[0] > 200 && small.get_pixel(10, 10).0[0] < 60);
}

/// Foreign profiles never reach a browser: the colours are converted instead.
#[test]
fn colours_are_converted_and_nothing_of_the_file_is_passed_on() {
    let green = RgbImage::from_pixel(64, 64, Rgb([80, 200, 80]));
    let with = |profile: Vec<u8>| jpeg_with(|encoder| encoder.set_icc_profile(profile).unwrap(), &green);
    let colour = |bytes: &[u8]| {
        let (_, files) = examined(bytes).unwrap();
        for file in &files {
            assert!(!file.windows(4).any(|four| [&b"ICCP"[..], b"EXIF", b"XMP "].contains(&four)));
        }
        shown(&files[0]).into_rgb8().get_pixel(32, 32).0
    };
    let near = |one: [u8; 3], other: [u8; 3]| one.iter().zip(other).all(|(a, b)| a.abs_diff(b) <= 8);
    let plain = colour(&jpeg_with(|_| {}, &green));
    assert!(near(plain, [80, 200, 80]), "{plain:?}");
    let wide = colour(&with(ColorProfile::new_display_p3().encode().unwrap()));
    assert!(wide[0] < 60 && wide[1] > 195, "the same numbers are a stronger green in P3: {wide:?}");
    assert!(near(colour(&with(ColorProfile::new_srgb().encode().unwrap())), plain));
    assert!(near(colour(&with(vec![0x41; 400])), plain), "a broken profile counts as none");
}

#[test]
fn transparent_or_else_white_is_painted_anew() {
    let mask = |pixels: [[u8; 4]; 2]| {
        let mut image = RgbaImage::new(2, 1);
        image.put_pixel(0, 0, Rgba(pixels[0]));
        image.put_pixel(1, 0, Rgba(pixels[1]));
        encoded(&image.into(), ImageFormat::Png)
    };
    let by_alpha = mask([[9, 9, 9, 0], [255, 255, 255, 255]]);
    let by_white = mask([[255, 255, 255, 255], [0, 0, 0, 255]]);
    for bytes in [by_alpha, by_white] {
        assert_eq!(done(Task::MaskPixels { width: 2, height: 1 }, &bytes).unwrap().1, [vec![255, 0]]);
        let (_, plain) = done(Task::PlainMask, &bytes).unwrap();
        assert_eq!(shown(&plain[0]).to_rgba8().into_raw(), [255, 255, 255, 0, 0, 0, 0, 255]);
    }
}

#[test]
fn pixels_are_cut_to_the_size_that_is_painted() {
    let bytes = encoded(&pixels(80, 40), ImageFormat::WebP);
    let same = done(Task::Pixels { width: 80, height: 40 }, &bytes).unwrap().1;
    assert_eq!(same[0], pixels(80, 40).into_rgb8().into_raw());
    assert_eq!(done(Task::Pixels { width: 30, height: 30 }, &bytes).unwrap().1[0].len(), 30 * 30 * 3);
}
