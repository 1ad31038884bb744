//! Assets and their names.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    base::{
        access::UnknownWord,
        ids::{AssetId, GenerationId, ObjectId, PersonId, WorkspaceId},
    },
    platform::storage::Stored,
};

pub use crate::platform::pictures::model::{MOST_BYTES, MediaType, Size};

/// Longest name, in bytes of UTF-8.
pub const LONGEST_NAME: usize = 255;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssetKind {
    Upload,
    Render,
    Mask,
}

impl AssetKind {
    pub const ALL: [Self; 3] = [Self::Upload, Self::Render, Self::Mask];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Render => "render",
            Self::Mask => "mask",
        }
    }
}

impl FromStr for AssetKind {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownWord)
    }
}

/// A stored picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Asset {
    pub id: AssetId,
    pub workspace: WorkspaceId,
    pub person: PersonId,
    pub kind: AssetKind,
    pub object: ObjectId,
    pub media_type: MediaType,
    pub bytes: u64,
    /// As shown: turned the way that the camera was held.
    pub width: u32,
    pub height: u32,
    pub sha256: [u8; 32],
    pub thumbhash: Vec<u8>,
    pub name: String,
    pub generation: Option<GenerationId>,
    pub labels: Vec<String>,
    pub rating: Option<u8>,
    pub created_at: DateTime<Utc>,
    pub trashed_at: Option<DateTime<Utc>>,
}

/// A small picture of an asset, as WebP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    pub size: Size,
    pub media_type: MediaType,
    pub object: ObjectId,
    pub bytes: u64,
    pub width: u32,
    pub height: u32,
}

/// A picture that was checked and stored with its small pictures. Unless `ops::add` makes an asset of it, it is swept.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub original: Stored,
    pub media_type: MediaType,
    pub width: u32,
    pub height: u32,
    pub thumbhash: Vec<u8>,
    pub thumbnails: Vec<Thumbnail>,
}

impl Prepared {
    pub fn objects(&self) -> Vec<ObjectId> {
        std::iter::once(self.original.id).chain(self.thumbnails.iter().map(|thumbnail| thumbnail.object)).collect()
    }
}

/// What a new asset is, beside its picture.
#[derive(Clone, Debug)]
pub struct NewAsset {
    pub kind: AssetKind,
    pub name: String,
    /// What it can be found by beside its name: the prompt of a render.
    pub found_by: String,
    pub generation: Option<GenerationId>,
}

/// Whose a new asset is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub workspace: WorkspaceId,
    pub person: PersonId,
}

/// Which assets are asked for; everything given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub kind: Option<AssetKind>,
    pub generation: Option<GenerationId>,
    pub trashed: bool,
    /// Words of the name or of the prompt, or how they begin.
    pub search: Option<String>,
}

/// A name that can be shown and saved under, from whatever a client called its file.
pub fn clean_name(given: Option<&str>, media_type: MediaType) -> String {
    // Some clients send a whole path.
    let last = given.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    let visible: String = last.chars().filter(|letter| !is_hidden(*letter)).collect();
    let name = shortened(
        visible.trim_start_matches(|letter: char| letter == '.' || letter.is_whitespace()).trim_end(),
        media_type.extension(),
    );
    if name.is_empty() { format!("image.{}", media_type.extension()) } else { name }
}

/// Control characters, and those that change how the text around them reads.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Cut to the longest length that is allowed, and still with its ending.
fn shortened(name: &str, extension: &str) -> String {
    if name.len() <= LONGEST_NAME {
        return name.to_owned();
    }
    let ending = format!(".{extension}");
    let mut end = LONGEST_NAME - ending.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{ending}", name.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_lose_paths_and_what_cannot_be_seen() {
        let clean = |name| clean_name(Some(name), MediaType::Png);
        assert_eq!(clean("photo.png"), "photo.png");
        assert_eq!(clean("../../etc/passwd"), "passwd");
        assert_eq!(clean("C:\\Users\\me\\photo.png"), "photo.png");
        assert_eq!(clean("a\r\nSet-Cookie: x.png"), "aSet-Cookie: x.png");
        assert_eq!(clean("photo\u{202e}gnp.exe"), "photognp.exe");
        assert_eq!(clean("  .hidden "), "hidden");
        assert_eq!(clean("Blick auf den See (2).png"), "Blick auf den See (2).png");
        assert_eq!(clean("\"quoted\".png"), "\"quoted\".png");
    }

    #[test]
    fn a_name_that_says_nothing_becomes_one() {
        for name in [None, Some(""), Some("///"), Some("..."), Some("\u{0}\u{7f}")] {
            assert_eq!(clean_name(name, MediaType::Jpeg), "image.jpg");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_short_and_visible(name in any::<String>()) {
            let clean = clean_name(Some(&name), MediaType::WebP);
            prop_assert!((1..=LONGEST_NAME).contains(&clean.len()));
            prop_assert!(!clean.contains(['/', '\\', '\r', '\n', '\0']));
            prop_assert_eq!(clean_name(Some(&clean), MediaType::WebP), clean);
        }

        #[test]
        fn a_long_name_keeps_its_ending(length in 255..2000usize) {
            let clean = clean_name(Some(&"ü".repeat(length)), MediaType::Png);
            prop_assert!(clean.len() <= LONGEST_NAME && clean.ends_with(".png"));
        }
    }
}
