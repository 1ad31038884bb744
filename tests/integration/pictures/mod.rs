//! Decoding apart: every format through a real decoder, what strangers try with files, and what a decoder cannot do even
//! when it wants to.

use std::{io::Cursor, path::PathBuf, time::Duration};

use bytes::Bytes;
use futures::stream;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use renderkeep::platform::pictures::{
    PictureError, Pictures, Setup,
    inside::layers::Layer,
    model::{MediaType, Picture, Refusal},
};

use crate::support;

mod files;
mod layers;
mod pool;

fn setup() -> Setup {
    support::decoders(&support::config())
}

fn pictures() -> Pictures {
    Pictures::new(setup())
}

fn drawn(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 7) as u8, (y * 5) as u8, (x / 9 + y / 7) as u8])).into()
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

async fn examine(pictures: &Pictures, bytes: impl Into<Bytes>) -> Result<Picture, PictureError> {
    let bytes = bytes.into();
    pictures.examine(bytes.len() as u64, stream::iter([Ok::<_, PictureError>(bytes)])).await
}

async fn refusal(pictures: &Pictures, bytes: impl Into<Bytes>) -> Refusal {
    match examine(pictures, bytes).await {
        Err(PictureError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// The decoder still does its work.
async fn works(pictures: &Pictures) {
    let picture = examine(pictures, encoded(&drawn(40, 30), ImageFormat::Png)).await.unwrap();
    assert_eq!((picture.media_type, picture.width, picture.height), (MediaType::Png, 40, 30));
}
