//! A picture in a grid: what its tile needs, wherever the grid is.

use super::format;
use super::thumb::{self, Rects};

/// A made or uploaded picture as a tile.
#[derive(Clone, Debug)]
pub struct Tile {
    /// `ast_...`
    pub asset: String,
    pub alt: String,
    pub width: u32,
    pub height: u32,
    /// Named ratio, see `format::ratio`.
    pub ratio: &'static str,
    pub thumb: Option<Rects>,
    /// "Upload", "Mask"; empty for renders.
    pub kind: String,
    /// File name for the download.
    pub name: String,
}

impl Tile {
    /// A tile for an asset; the ratio and the six colours follow from it.
    pub fn new(asset: String, alt: String, name: String, width: u32, height: u32, hash: &[u8]) -> Self {
        let ratio = format::ratio(width, height);
        Self { asset, alt, width, height, ratio, thumb: thumb::rects(hash), kind: String::new(), name }
    }

    /// The small picture.
    pub fn thumbnail(&self) -> String {
        format!("/api/v1/assets/{}/thumbnail?size=320", self.asset)
    }

    /// The picture itself, as a download.
    pub fn content(&self) -> String {
        format!("/api/v1/assets/{}/content", self.asset)
    }
}

#[cfg(test)]
pub mod samples {
    use super::*;

    /// File names and sizes of the sample pictures.
    pub const NAMES: [(&str, u32, u32); 48] = [
        ("bottle-clay", 820, 1024),
        ("winter-peaks", 1024, 683),
        ("arches", 768, 1024),
        ("spheres-studio", 1024, 768),
        ("portrait-dawn", 768, 1024),
        ("city-fog", 1024, 576),
        ("serum", 820, 1024),
        ("dunes", 1024, 683),
        ("paper-blue", 1024, 1024),
        ("gradient-coral", 820, 1024),
        ("aurora", 1024, 538),
        ("leaf-night", 768, 1024),
        ("sail-noon", 1024, 683),
        ("silk-teal", 768, 1024),
        ("planet", 1024, 683),
        ("vase-studio", 1024, 768),
        ("lagoon", 1024, 683),
        ("jungle", 1024, 683),
        ("carafe", 820, 1024),
        ("fjord", 1024, 683),
        ("lake-dawn-2", 1024, 683),
        ("lake-dawn-4", 1024, 683),
        ("lake-dawn", 1024, 683),
        ("lake-dawn-3", 1024, 683),
        ("city-night", 1024, 576),
        ("meadow", 1024, 683),
        ("moon-sea", 1024, 683),
        ("mountain-mono", 1024, 683),
        ("ocean-sunset", 1024, 683),
        ("paper-sunset", 1024, 768),
        ("tartan", 1024, 1024),
        ("tweed", 1024, 1024),
        ("linen", 1024, 1024),
        ("vineyard", 1024, 683),
        ("waves-sand", 1024, 1024),
        ("storm-coast", 1024, 683),
        ("shapes-sky", 1024, 768),
        ("shapes-coral", 1024, 768),
        ("portrait-night", 768, 1024),
        ("juice", 820, 1024),
        ("harbour-sunset", 1024, 683),
        ("gradient-teal", 1024, 1024),
        ("forest-morning", 1024, 683),
        ("forest-autumn", 1024, 683),
        ("courtyard", 768, 1024),
        ("bottle-clay-2", 820, 1024),
        ("bottle-clay-3", 820, 1024),
        ("alpine-sunset", 1024, 683),
    ];

    /// A tile whose id carries the picture's name, so that a viewer can find a stand-in.
    pub fn tile(at: usize) -> Tile {
        let (name, width, height) = NAMES.get(at).copied().unwrap_or(("dunes", 1024, 683));
        let words = name.replace('-', " ");
        // A hash with calm colours that differ from tile to tile.
        let part = |of: usize| u32::try_from(at * 37 % of).unwrap_or(0);
        let first = (26 + part(22)) | ((29 + part(6)) << 6) | ((29 + part(9)) << 12) | (9 << 18);
        let [low, middle, high, _] = first.to_le_bytes();
        let wave = 0x55u8.wrapping_add(first.to_le_bytes().into_iter().fold(0, u8::wrapping_add));
        let hash = [low, middle, high, 0x27, 0x08, wave, 0x97, 0x78, wave, 0x87, 0x88, 0x78, 0x87, 0x88];
        let mut tile = Tile::new(
            format!("ast_{name}"),
            format!("{words}, studio light"),
            format!("{name}.png"),
            width,
            height,
            &hash,
        );
        if at % 11 == 3 {
            tile.kind = "Upload".into();
        }
        tile
    }
}
