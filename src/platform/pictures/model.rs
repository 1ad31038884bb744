//! What is known of pictures on both sides of the wall: formats, bounds, small pictures, refusals.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::base::access::UnknownWord;

/// Largest picture, in bytes.
pub const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// Most pixels of a picture.
pub const MOST_PIXELS: u64 = 64_000_000;
/// Longest side of a picture, in pixels.
pub const LONGEST_SIDE: u32 = 16_384;

/// Formats that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaType {
    Png,
    Jpeg,
    WebP,
    Gif,
}

impl MediaType {
    pub const ALL: [Self; 4] = [Self::Png, Self::Jpeg, Self::WebP, Self::Gif];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
            Self::Gif => "image/gif",
        }
    }

    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::WebP => "webp",
            Self::Gif => "gif",
        }
    }

    /// From what the bytes begin with; names and declared types are not asked.
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            _ => None,
        }
    }
}

impl FromStr for MediaType {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|media_type| media_type.as_str() == text).ok_or(UnknownWord)
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The long side of a small picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    Small,
    Large,
}

impl Size {
    pub const ALL: [Self; 2] = [Self::Small, Self::Large];

    pub fn pixels(self) -> u32 {
        match self {
            Self::Small => 320,
            Self::Large => 1440,
        }
    }

    pub fn of(pixels: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.pixels() == pixels)
    }
}

/// What a picture's first bytes say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub media_type: MediaType,
    pub width: u32,
    pub height: u32,
}

impl Header {
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Within the bounds; asked inside before memory is taken, and outside again.
    pub fn bounded(self) -> Result<Self, Refusal> {
        if self.pixels() == 0 {
            return Err(Refusal::Undecodable);
        }
        if self.pixels() > MOST_PIXELS || self.width.max(self.height) > LONGEST_SIDE {
            return Err(Refusal::TooManyPixels);
        }
        Ok(self)
    }
}

/// Why a picture is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    #[error("not one of the formats that are taken")]
    Unsupported,
    #[error("too many pixels")]
    TooManyPixels,
    #[error("damaged or cut")]
    Undecodable,
}

/// What is known of a picture after it was decoded.
#[derive(Clone, Debug)]
pub struct Picture {
    pub media_type: MediaType,
    /// As shown: turned the way that the camera was held.
    pub width: u32,
    pub height: u32,
    pub thumbhash: Vec<u8>,
    /// One of each size, smallest first.
    pub small: Vec<Small>,
}

/// A small picture, encoded as WebP.
#[derive(Clone, Debug)]
pub struct Small {
    pub size: Size,
    pub width: u32,
    pub height: u32,
    pub bytes: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_their_first_bytes() {
        assert_eq!(MediaType::of(b"\x89PNG\r\n\x1a\n...."), Some(MediaType::Png));
        assert_eq!(MediaType::of(b"RIFF....WEBPVP8 "), Some(MediaType::WebP));
        assert_eq!(MediaType::of(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), None);
        assert_eq!(MediaType::of(b"%PDF-1.7"), None);
        assert_eq!(MediaType::of(b""), None);
    }
}
