//! Between files and pixels: what people gave, and what they get.

use bytes::Bytes;
use image::{
    DynamicImage, ExtendedColorType, ImageEncoder, ImageResult, RgbImage,
    codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
    imageops::FilterType,
};

use super::super::{
    Failure, Work, WorkReference,
    pictures::{decode, repaint},
};
use crate::inference::model::{ReferenceRole, Size};

/// Quality of a JPEG that somebody keeps.
const KEPT: u8 = 92;
/// Quality of one that is looked at for a moment.
const PASSING: u8 = 70;
/// How much of a reference shows when nobody says.
const USUAL_STRENGTH: f32 = 0.6;

/// The references of a request, cut to the size of its pictures.
#[derive(Default)]
pub struct Materials {
    /// RGB8.
    pub photo: Option<Vec<u8>>,
    pub strength: f32,
    /// 255 where the photo is to be painted anew.
    pub mask: Option<Vec<u8>>,
}

impl Materials {
    pub fn from(work: &Work) -> Result<Self, Failure> {
        let find = |mask: bool| work.references.iter().find(|one| (one.role == ReferenceRole::Mask) == mask);
        let Some(reference) = find(false) else { return Ok(Self::default()) };
        let photo = cut(reference, work.size)?.into_rgb8().into_raw();
        let mask = find(true).map(|mask| Ok::<_, Failure>(repaint(&cut(mask, work.size)?))).transpose()?;
        Ok(Self { photo: Some(photo), strength: reference.strength.unwrap_or(USUAL_STRENGTH), mask })
    }
}

fn cut(reference: &WorkReference, size: Size) -> Result<DynamicImage, Failure> {
    let unreadable = |_| Failure::failed("provider.refused", "The demo painter could not read a reference.", false);
    let picture = decode(&reference.bytes).map_err(unreadable)?;
    if (picture.width(), picture.height()) == (size.width, size.height) {
        return Ok(picture);
    }
    Ok(picture.resize_to_fill(size.width, size.height, FilterType::Triangle))
}

/// In the format that was asked for.
pub fn encode(rgb: Vec<u8>, work: &Work) -> Result<Bytes, Failure> {
    let (width, height) = (work.size.width, work.size.height);
    let mut out = Vec::new();
    let written = match work.parameters.get("output_format").and_then(|value| value.as_str()) {
        Some("jpeg") => jpeg(&rgb, width, height, KEPT, &mut out),
        Some("webp") => WebPEncoder::new_lossless(&mut out).write_image(&rgb, width, height, ExtendedColorType::Rgb8),
        _ => PngEncoder::new(&mut out).write_image(&rgb, width, height, ExtendedColorType::Rgb8),
    };
    let failed = |_| Failure::failed("provider.failed", "The demo painter could not write the picture.", true);
    written.map(|()| out.into()).map_err(failed)
}

/// A small picture on the way, if it can be written.
pub fn preview(picture: &RgbImage) -> Option<Bytes> {
    let mut out = Vec::new();
    jpeg(picture, picture.width(), picture.height(), PASSING, &mut out).ok().map(|()| out.into())
}

fn jpeg(rgb: &[u8], width: u32, height: u32, quality: u8, out: &mut Vec<u8>) -> ImageResult<()> {
    JpegEncoder::new_with_quality(out, quality).write_image(rgb, width, height, ExtendedColorType::Rgb8)
}
