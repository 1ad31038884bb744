//! Pictures themselves: from bytes of strangers to facts and small pictures.
//!
//! `examine` is the one place where foreign bytes meet a decoder, and `read` the one function that would move into a
//! process of its own. Bounds are checked on the header, before memory for pixels is taken, and only a few pictures are
//! in memory at the same time.

use std::{error::Error, io::Cursor};

use bytes::Bytes;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, metadata::Orientation};
use tokio::sync::Semaphore;

use super::model::{MediaType, Size};

mod small;
mod whole;

pub use small::transcoded;

/// Most pixels of a picture.
pub const MOST_PIXELS: u64 = 64_000_000;
/// Longest side of a picture, in pixels.
pub const LONGEST_SIDE: u32 = 16_384;
/// For one decoder: 64 megapixels of 8 bytes, and what the decoder needs besides.
const MOST_MEMORY: u64 = 768 * 1024 * 1024;
/// A picture with more pixels than this is not decoded beside another such one.
const LARGE: u64 = 16_000_000;

/// Pictures in memory at the same time, and large ones among them.
static DECODERS: Semaphore = Semaphore::const_new(2);
static LARGE_DECODERS: Semaphore = Semaphore::const_new(1);

/// Why a picture is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("not one of the formats that are taken")]
    Unsupported,
    #[error("too many pixels")]
    TooManyPixels,
    #[error("damaged or cut")]
    Undecodable(#[source] Option<Box<dyn Error + Send + Sync>>),
}

/// What is known of a picture after it was decoded.
#[derive(Clone, Debug)]
pub struct Picture {
    pub media_type: MediaType,
    /// As shown: turned the way that the camera was held.
    pub width: u32,
    pub height: u32,
    pub thumbhash: Vec<u8>,
    pub small: Vec<Small>,
}

/// A small picture, encoded.
#[derive(Clone, Debug)]
pub struct Small {
    pub size: Size,
    pub media_type: MediaType,
    pub width: u32,
    pub height: u32,
    pub bytes: Bytes,
}

/// Brings the bytes and decodes them, when there is room for another picture in memory.
pub async fn examine<E: From<Refused>>(bring: impl AsyncFnOnce() -> Result<Bytes, E>) -> Result<Picture, E> {
    let _room = DECODERS.acquire().await;
    let bytes = bring().await?;
    let header = header(&bytes)?;
    let _large = if header.pixels() > LARGE { Some(LARGE_DECODERS.acquire().await) } else { None };
    let read = tokio::task::spawn_blocking(move || read(&bytes, header)).await;
    Ok(read.unwrap_or_else(|panicked| Err(Refused::Undecodable(Some(Box::new(panicked)))))?)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    media_type: MediaType,
    width: u32,
    height: u32,
}

impl Header {
    fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// Type and size, from the first bytes, within the bounds.
fn header(bytes: &[u8]) -> Result<Header, Refused> {
    let media_type = MediaType::of(bytes).ok_or(Refused::Unsupported)?;
    let (width, height) = match whole::stated_size(media_type, bytes) {
        Some(size) => size,
        None => reader(media_type, bytes).into_dimensions().map_err(refused)?,
    };
    let header = Header { media_type, width, height };
    if header.pixels() == 0 {
        return Err(Refused::Undecodable(None));
    }
    if header.pixels() > MOST_PIXELS || width.max(height) > LONGEST_SIDE {
        return Err(Refused::TooManyPixels);
    }
    Ok(header)
}

/// Decodes a picture whose header is within the bounds.
fn read(bytes: &[u8], header: Header) -> Result<Picture, Refused> {
    if !whole::is_whole(header.media_type, bytes) {
        return Err(Refused::Undecodable(None));
    }
    let mut decoder = reader(header.media_type, bytes).into_decoder().map_err(refused)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    let pixels = DynamicImage::from_decoder(decoder).map_err(refused)?;
    let (width, height) = turned(orientation, pixels.width(), pixels.height());
    let (small, thumbhash) = small::all(pixels, orientation, profile).map_err(refused)?;
    Ok(Picture { media_type: header.media_type, width, height, thumbhash, small })
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

fn turned(orientation: Orientation, width: u32, height: u32) -> (u32, u32) {
    match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            (height, width)
        }
        _ => (width, height),
    }
}

fn refused(error: ImageError) -> Refused {
    match error {
        ImageError::Limits(_) => Refused::TooManyPixels,
        other => Refused::Undecodable(Some(Box::new(other))),
    }
}

#[cfg(test)]
mod tests;
