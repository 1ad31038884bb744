//! Small pictures: two sizes for pages, and the 25 bytes that stand in until those have come.

use std::io::Cursor;

use bytes::Bytes;
use fast_image_resize::{ResizeOptions, Resizer};
use image::{
    DynamicImage, ExtendedColorType, ImageEncoder, ImageError, ImageFormat, ImageReader, Rgb, RgbImage,
    codecs::{jpeg::JpegEncoder, webp::WebPEncoder},
    error::{EncodingError, ImageFormatHint},
    metadata::Orientation,
};

use super::{MediaType, Size, Small};

/// Where artefacts begin to show.
const QUALITY: u8 = 82;
/// thumbhash takes no more.
const HASHED_SIDE: u32 = 100;
/// A larger colour profile would weigh more than it is worth.
const LARGEST_PROFILE: usize = 8 * 1024;

/// All small pictures, and the thumbhash.
pub fn all(
    pixels: DynamicImage,
    orientation: Orientation,
    profile: Option<Vec<u8>>,
) -> Result<(Vec<Small>, Vec<u8>), ImageError> {
    // Turned when small: the same picture for a fraction of the work.
    let mut large = fitted(pixels, Size::Large.pixels())?;
    large.apply_orientation(orientation);
    let profile = profile.filter(|profile| is_rgb(profile) && profile.len() <= LARGEST_PROFILE);
    let tile = fitted(large.clone(), Size::Small.pixels())?;
    let hashed = fitted(tile.clone(), HASHED_SIDE)?.into_rgba8();
    let thumbhash = thumbhash::rgba_to_thumb_hash(side(hashed.width()), side(hashed.height()), hashed.as_raw());
    let mut small = encoded(Size::Small, &tile, profile.as_deref())?;
    small.extend(encoded(Size::Large, &large, profile.as_deref())?);
    Ok((small, thumbhash))
}

/// A stored JPEG as WebP, for the rare caller that takes nothing else.
pub fn transcoded(jpeg: &[u8]) -> Result<Bytes, ImageError> {
    let pixels = ImageReader::with_format(Cursor::new(jpeg), ImageFormat::Jpeg).decode()?;
    webp(&pixels, None)
}

fn side(pixels: u32) -> usize {
    usize::try_from(pixels).unwrap_or(0)
}

/// Never enlarged.
fn fitted(pixels: DynamicImage, longest: u32) -> Result<DynamicImage, ImageError> {
    let (width, height) = (pixels.width(), pixels.height());
    if width.max(height) <= longest {
        return Ok(pixels);
    }
    let scaled = |side: u32| {
        let exact = (u64::from(side) * u64::from(longest)).div_ceil(u64::from(width.max(height)));
        u32::try_from(exact).unwrap_or(longest)
    };
    let mut smaller = DynamicImage::new(scaled(width), scaled(height), pixels.color());
    let options = ResizeOptions::new().use_alpha(pixels.color().has_alpha());
    let resized = Resizer::new().resize(&pixels, &mut smaller, &options);
    resized.map_err(|error| ImageError::Encoding(EncodingError::new(ImageFormatHint::Unknown, error)))?;
    Ok(smaller)
}

/// JPEG always. WebP besides where it shows more (transparency) or weighs less (flat colours): there is only a lossless
/// encoder, and that loses against JPEG on photographs.
fn encoded(size: Size, pixels: &DynamicImage, profile: Option<&[u8]>) -> Result<Vec<Small>, ImageError> {
    let jpeg = jpeg(pixels, profile)?;
    let webp = webp(pixels, profile)?;
    let keep_webp = is_transparent(pixels) || webp.len() < jpeg.len();
    let small = |media_type, bytes| Small { size, media_type, width: pixels.width(), height: pixels.height(), bytes };
    let mut all = vec![small(MediaType::Jpeg, jpeg)];
    if keep_webp {
        all.push(small(MediaType::WebP, webp));
    }
    Ok(all)
}

fn jpeg(pixels: &DynamicImage, profile: Option<&[u8]>) -> Result<Bytes, ImageError> {
    let flat = flattened(pixels);
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    if let Some(profile) = profile {
        // An encoder that cannot carry it still makes a picture.
        let _ = encoder.set_icc_profile(profile.to_vec());
    }
    encoder.write_image(flat.as_raw(), flat.width(), flat.height(), ExtendedColorType::Rgb8)?;
    Ok(bytes.into())
}

fn webp(pixels: &DynamicImage, profile: Option<&[u8]>) -> Result<Bytes, ImageError> {
    let mut bytes = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut bytes);
    if let Some(profile) = profile {
        let _ = encoder.set_icc_profile(profile.to_vec());
    }
    if is_transparent(pixels) {
        let rgba = pixels.to_rgba8();
        encoder.write_image(rgba.as_raw(), rgba.width(), rgba.height(), ExtendedColorType::Rgba8)?;
    } else {
        let rgb = pixels.to_rgb8();
        encoder.write_image(rgb.as_raw(), rgb.width(), rgb.height(), ExtendedColorType::Rgb8)?;
    }
    Ok(bytes.into())
}

fn is_transparent(pixels: &DynamicImage) -> bool {
    pixels.color().has_alpha() && pixels.to_rgba8().pixels().any(|pixel| pixel.0[3] < 255)
}

/// On white, as on paper.
fn flattened(pixels: &DynamicImage) -> RgbImage {
    if !is_transparent(pixels) {
        return pixels.to_rgb8();
    }
    let source = pixels.to_rgba8();
    let mut flat = RgbImage::new(source.width(), source.height());
    for (over, under) in source.pixels().zip(flat.pixels_mut()) {
        let [red, green, blue, alpha] = over.0;
        let mixed = |channel: u8| {
            let sum = u32::from(channel) * u32::from(alpha) + 255 * (255 - u32::from(alpha));
            u8::try_from(sum / 255).unwrap_or(u8::MAX)
        };
        *under = Rgb([mixed(red), mixed(green), mixed(blue)]);
    }
    flat
}

/// Profiles of other colour spaces would be wrong on pixels that were converted.
fn is_rgb(profile: &[u8]) -> bool {
    profile.get(16..20) == Some(b"RGB ".as_slice())
}
