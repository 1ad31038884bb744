//! Between files and pixels: what people gave, and what they get.

use bytes::Bytes;
use image::{
    ExtendedColorType, ImageEncoder, ImageResult, RgbImage,
    codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
};

use super::super::{Failure, Work};
use crate::{
    inference::model::ReferenceRole,
    platform::pictures::{PictureError, Pictures},
};

/// Quality of a JPEG that somebody keeps.
const KEPT: u8 = 92;
/// Quality of one that is looked at for a moment.
const PASSING: u8 = 70;
/// How much of a reference shows when nobody says.
const USUAL_STRENGTH: f32 = 0.6;

/// The references of a request, cut to the size of its pictures. They came from outside, so they are decoded apart.
#[derive(Default)]
pub struct Materials {
    /// RGB8.
    pub photo: Option<Bytes>,
    pub strength: f32,
    /// 255 where the photo is to be painted anew.
    pub mask: Option<Bytes>,
}

impl Materials {
    pub async fn of(work: &Work, pictures: &Pictures) -> Result<Self, Failure> {
        let find = |mask: bool| work.references.iter().find(|one| (one.role == ReferenceRole::Mask) == mask);
        let Some(reference) = find(false) else { return Ok(Self::default()) };
        let (width, height) = (work.size.width, work.size.height);
        let photo = pictures.pixels(reference.bytes.clone(), width, height).await.map_err(unreadable)?;
        let mask = match find(true) {
            Some(mask) => Some(pictures.mask_pixels(mask.bytes.clone(), width, height).await.map_err(unreadable)?),
            None => None,
        };
        Ok(Self { photo: Some(photo), strength: reference.strength.unwrap_or(USUAL_STRENGTH), mask })
    }
}

fn unreadable(error: PictureError) -> Failure {
    match error {
        PictureError::Refused(_) => {
            Failure::failed("provider.refused", "The demo painter could not read a reference.", false)
        }
        _ => Failure::failed("service.unavailable", "Pictures cannot be read at the moment. Try again.", true),
    }
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
