//! Small pictures: two sizes for pages, and the 25 bytes that stand in until those have come.
//!
//! They are all that a browser ever shows. Nothing of the file is in them but its colours, in sRGB: no profile, no text.

use fast_image_resize::{ResizeOptions, Resizer};
use image::{
    DynamicImage, ExtendedColorType, ImageEncoder, Rgb, RgbImage, codecs::jpeg::JpegEncoder, metadata::Orientation,
};
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};
use webp::{Encoder, WebPConfig};

use super::{
    super::{
        model::{Refusal, Size},
        wire::{Made, Part},
    },
    Work,
    read::Decoded,
};

/// libwebp's effort. 2 costs as much time as a JPEG; 4 costs more than twice that for 4 % (docs/performance.md).
const EFFORT: i32 = 2;
/// Of the JPEG for callers that take no WebP: where artefacts begin to show.
const JPEG_QUALITY: u8 = 82;
/// thumbhash takes no more.
const HASHED_SIDE: u32 = 100;

/// A tile is looked at beside many others, the large one alone and in place of the picture.
fn quality(size: Size) -> f32 {
    match size {
        Size::Small => 80.0,
        Size::Large => 88.0,
    }
}

/// Both small pictures, and the thumbhash.
pub fn both(decoded: Decoded) -> Result<Work, Refusal> {
    let (width, height) = decoded.shown();
    let Decoded { pixels, orientation, profile } = decoded;
    // Turned and converted when small: the same picture for a fraction of the work.
    let large = plain(fitted(pixels, Size::Large.pixels())?, orientation, profile.as_deref());
    let tile = fitted(large.clone(), Size::Small.pixels())?;
    let hashed = fitted(tile.clone(), HASHED_SIDE)?.into_rgba8();
    let thumbhash = thumbhash::rgba_to_thumb_hash(side(hashed.width()), side(hashed.height()), hashed.as_raw());
    let files = vec![webp(&tile, quality(Size::Small))?, webp(&large, quality(Size::Large))?];
    let parts = [&tile, &large].into_iter().zip(&files).map(|(pixels, file)| part(pixels, file)).collect();
    Ok((Made { width, height, thumbhash, parts }, files))
}

/// A stored small picture as JPEG, for callers that take no WebP.
pub fn jpeg(decoded: Decoded) -> Result<Work, Refusal> {
    let flat = flattened(&decoded.pixels);
    let (width, height) = flat.dimensions();
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, JPEG_QUALITY)
        .write_image(flat.as_raw(), width, height, ExtendedColorType::Rgb8)
        .map_err(|_| Refusal::Undecodable)?;
    let parts = vec![part(&decoded.pixels, &file)];
    Ok((Made { width, height, thumbhash: Vec::new(), parts }, vec![file]))
}

fn part(pixels: &DynamicImage, file: &[u8]) -> Part {
    Part { width: pixels.width(), height: pixels.height(), bytes: file.len() as u64 }
}

fn side(pixels: u32) -> usize {
    usize::try_from(pixels).unwrap_or(0)
}

/// Never enlarged.
fn fitted(pixels: DynamicImage, longest: u32) -> Result<DynamicImage, Refusal> {
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
    Resizer::new().resize(&pixels, &mut smaller, &options).map_err(|_| Refusal::Undecodable)?;
    Ok(smaller)
}

/// Upright, in sRGB, 8 bits for each colour, and with transparency only where there is some.
fn plain(mut pixels: DynamicImage, orientation: Orientation, profile: Option<&[u8]>) -> DynamicImage {
    pixels.apply_orientation(orientation);
    let mut plain = if is_transparent(&pixels) {
        DynamicImage::ImageRgba8(pixels.into_rgba8())
    } else {
        DynamicImage::ImageRgb8(pixels.into_rgb8())
    };
    // Without a profile that can be read the numbers are taken for sRGB, as browsers do.
    let _ = profile.and_then(|profile| into_srgb(&mut plain, profile));
    plain
}

/// Profiles of other kinds of colour would be wrong on pixels that are RGB by now.
fn into_srgb(pixels: &mut DynamicImage, profile: &[u8]) -> Option<()> {
    let source = ColorProfile::new_from_slice(profile).ok()?;
    if source.color_space != DataColorSpace::Rgb {
        return None;
    }
    let (layout, numbers): (_, &mut [u8]) = match pixels {
        DynamicImage::ImageRgb8(pixels) => (Layout::Rgb, pixels),
        DynamicImage::ImageRgba8(pixels) => (Layout::Rgba, pixels),
        _ => return None,
    };
    let (srgb, options) = (ColorProfile::new_srgb(), TransformOptions::default());
    let transform = source.create_transform_8bit(layout, &srgb, layout, options).ok()?;
    let before = numbers.to_vec();
    transform.transform(&before, numbers).ok()
}

fn webp(pixels: &DynamicImage, quality: f32) -> Result<Vec<u8>, Refusal> {
    let mut config = WebPConfig::new().map_err(|()| Refusal::Undecodable)?;
    (config.quality, config.method) = (quality, EFFORT);
    let (width, height) = (pixels.width(), pixels.height());
    let encoder = match pixels {
        DynamicImage::ImageRgba8(pixels) => Encoder::from_rgba(pixels, width, height),
        DynamicImage::ImageRgb8(pixels) => Encoder::from_rgb(pixels, width, height),
        _ => return Err(Refusal::Undecodable),
    };
    encoder.encode_advanced(&config).map(|file| file.to_vec()).map_err(|_| Refusal::Undecodable)
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
