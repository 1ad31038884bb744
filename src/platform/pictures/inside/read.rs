//! From bytes to pixels. Bounds are checked on the header, before memory for pixels is taken.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, metadata::Orientation};

use super::{
    super::{
        model::{Header, LONGEST_SIDE, MediaType, Refusal},
        stated,
    },
    whole,
};

/// For one decoder: 64 megapixels of 8 bytes, and what the decoder needs besides.
const MOST_MEMORY: u64 = 768 * 1024 * 1024;

/// A picture as its file has it.
pub struct Decoded {
    pub pixels: DynamicImage,
    /// How the camera was held.
    pub orientation: Orientation,
    /// What the numbers of the pixels mean.
    pub profile: Option<Vec<u8>>,
}

impl Decoded {
    /// As people see it.
    pub fn upright(self) -> DynamicImage {
        let Self { mut pixels, orientation, .. } = self;
        pixels.apply_orientation(orientation);
        pixels
    }

    /// Width and height as people see it.
    pub fn shown(&self) -> (u32, u32) {
        let (width, height) = (self.pixels.width(), self.pixels.height());
        match self.orientation {
            Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH => (height, width),
            _ => (width, height),
        }
    }
}

/// Type and size, from the first bytes, within the bounds.
pub fn header(bytes: &[u8]) -> Result<Header, Refusal> {
    if bytes.is_empty() {
        return Err(Refusal::Undecodable);
    }
    let media_type = MediaType::of(bytes).ok_or(Refusal::Unsupported)?;
    let (width, height) = match media_type {
        // They stand at a fixed place; a decoder would read on first.
        MediaType::Png | MediaType::Gif => stated::size(bytes).ok_or(Refusal::Undecodable)?,
        MediaType::Jpeg | MediaType::WebP => reader(media_type, bytes).into_dimensions().map_err(refused)?,
    };
    Header { media_type, width, height }.bounded()
}

/// Decodes a picture whose header is within the bounds.
pub fn decoded(bytes: &[u8], header: Header) -> Result<Decoded, Refusal> {
    if !whole::is_whole(header.media_type, bytes) {
        return Err(Refusal::Undecodable);
    }
    let mut decoder = reader(header.media_type, bytes).into_decoder().map_err(refused)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    let pixels = DynamicImage::from_decoder(decoder).map_err(refused)?;
    if (pixels.width(), pixels.height()) != (header.width, header.height) {
        return Err(Refusal::Undecodable);
    }
    Ok(Decoded { pixels, orientation, profile })
}

fn reader(media_type: MediaType, bytes: &[u8]) -> ImageReader<Cursor<&[u8]>> {
    let format = match media_type {
        MediaType::Png => ImageFormat::Png,
        MediaType::Jpeg => ImageFormat::Jpeg,
        MediaType::WebP => ImageFormat::WebP,
        MediaType::Gif => ImageFormat::Gif,
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST_SIDE);
    limits.max_image_height = Some(LONGEST_SIDE);
    limits.max_alloc = Some(MOST_MEMORY);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    reader
}

fn refused(error: ImageError) -> Refusal {
    match error {
        ImageError::Limits(_) => Refusal::TooManyPixels,
        _ => Refusal::Undecodable,
    }
}
