//! What the library's templates show: the grid, the trash, one picture.

use askama::Template;

use crate::web::format::{self, Chip, Pager, When};
use crate::web::frame::Frame;
use crate::web::picture::Tile;
use crate::web::thumb::Rects;

/// `GET /library`, with `?kind=`, `?trashed=true` and `?cursor=`.
#[derive(Template)]
#[template(path = "library/templates/library.html")]
pub struct LibraryPage {
    pub frame: Frame,
    /// The trash is the same page with other acts.
    pub trash: bool,
    /// "4,218 pictures, 38.6 GB"
    pub summary: String,
    pub filters: Vec<Chip>,
    /// What is searched for.
    pub search: String,
    /// The kind that the search stays within; empty for all.
    pub kind: &'static str,
    pub days: Vec<Day>,
    pub pager: Pager,
    /// Whether a filter is active; an empty page then says so.
    pub filtered: bool,
    /// "PNG, JPEG or WebP, up to 64 MB each"
    pub accepts: String,
}

/// The pictures of one day.
#[derive(Clone, Debug)]
pub struct Day {
    /// "2026-11-20"; a later page that goes on with the same day joins it.
    pub key: String,
    /// "Today"
    pub title: String,
    pub tiles: Vec<Tile>,
}

impl Day {
    /// "12 pictures"
    pub fn note(&self) -> String {
        format::plural(self.tiles.len() as u64, "picture")
    }
}

/// `GET /library/{id}`.
#[derive(Template)]
#[template(path = "library/templates/asset.html")]
pub struct AssetPage {
    pub frame: Frame,
    pub id: String,
    pub name: String,
    pub alt: String,
    pub width: u32,
    pub height: u32,
    pub thumb: Option<Rects>,
    /// Where the arrow at the top leads: the library as it was, or the trash.
    pub back: String,
    pub prev: Option<String>,
    pub next: Option<String>,
    /// Neighbours, the shown one among them.
    pub strip: Vec<Neighbour>,
    /// `None` for uploads.
    pub made: Option<Made>,
    /// Label and value: file, size, who.
    pub facts: Vec<(String, String)>,
    pub when: When,
    /// "2.4 MB"
    pub bytes: String,
    pub trashed: bool,
}

/// How a render was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// `gen_...`
    pub generation: String,
    pub prompt: String,
    pub has_seed: bool,
    /// Model, size, seed, cost, its own parameters, whether it left the house.
    pub parameters: Vec<(String, String)>,
    pub references: Vec<Source>,
}

/// A picture that a render was made from.
#[derive(Clone, Debug)]
pub struct Source {
    pub asset: String,
    pub name: String,
    /// "Reference, strength 0.6"
    pub role: String,
}

/// A thumbnail in the strip below the viewer.
#[derive(Clone, Debug)]
pub struct Neighbour {
    pub asset: String,
    pub alt: String,
    pub width: u32,
    pub height: u32,
    pub current: bool,
}

impl Neighbour {
    /// Width at the strip's height of 52 pixels, so that nothing moves while it loads.
    pub fn strip_width(&self) -> u32 {
        let exact = u64::from(self.width) * 52 / u64::from(self.height.max(1));
        u32::try_from(exact.clamp(26, 120)).unwrap_or(52)
    }
}

#[cfg(test)]
pub mod samples {
    use super::*;
    use crate::web::frame::samples::frame;
    use crate::web::frame::{Flash, Place, Tone, Undo};
    use crate::web::picture::samples::{NAMES, tile};

    /// Two days of pictures, the second day on its way to older pages.
    pub fn library() -> LibraryPage {
        let tiles = |range: std::ops::Range<usize>| range.map(tile).collect();
        LibraryPage {
            frame: frame("Library", Place::Library),
            trash: false,
            summary: "4,218 pictures, 38 GB".into(),
            filters: filters(false),
            search: String::new(),
            kind: "",
            days: vec![
                Day { key: "2026-11-20".into(), title: "Today".into(), tiles: tiles(0..14) },
                Day { key: "2026-11-19".into(), title: "Yesterday".into(), tiles: tiles(14..NAMES.len()) },
            ],
            pager: Pager { range: "60 of 4,218".into(), newer: None, older: Some("/library?cursor=b2xkZXI".into()) },
            filtered: false,
            accepts: "PNG, JPEG or WebP, up to 64 MB each".into(),
        }
    }

    fn filters(trash: bool) -> Vec<Chip> {
        let chip = |label: &str, href: &str, on| Chip { label: label.into(), href: href.into(), on, removes: false };
        vec![
            chip("All", "/library", !trash),
            chip("Made here", "/library?kind=render", false),
            chip("Uploads", "/library?kind=upload", false),
            chip("Masks", "/library?kind=mask", false),
        ]
    }

    /// The trash, with a toast.
    pub fn trash() -> LibraryPage {
        let mut frame = frame("Trash", Place::Library);
        frame.flash = Some(Flash {
            tone: Tone::Ok,
            text: "Moved to trash".into(),
            undo: Some(Undo { action: "/library/ast_01/restore".into(), label: "Undo".into() }),
        });
        LibraryPage {
            frame,
            trash: true,
            summary: "5 pictures, 9.1 MB".into(),
            filters: Vec::new(),
            days: vec![Day {
                key: "2026-11-18".into(),
                title: "18 November".into(),
                tiles: (30..35).map(tile).collect(),
            }],
            pager: Pager::default(),
            ..library()
        }
    }

    /// Nothing yet.
    pub fn empty() -> LibraryPage {
        LibraryPage { days: Vec::new(), summary: String::new(), pager: Pager::default(), ..library() }
    }

    /// Nothing under a filter.
    pub fn empty_filtered() -> LibraryPage {
        LibraryPage { filtered: true, ..empty() }
    }

    /// An empty trash.
    pub fn empty_trash() -> LibraryPage {
        LibraryPage { trash: true, filters: Vec::new(), ..empty() }
    }

    /// A render with everything known about it.
    pub fn asset() -> AssetPage {
        let at = 21;
        let shown = tile(at);
        let strip = (at - 3..at + 4).map(|other| neighbour(other, other == at)).collect();
        let row = |label: &str, value: &str| (label.to_string(), value.to_string());
        AssetPage {
            frame: frame("mountain-lake-at-dawn.png", Place::Library),
            id: shown.asset.clone(),
            name: "mountain-lake-at-dawn.png".into(),
            alt: shown.alt.clone(),
            width: shown.width,
            height: shown.height,
            thumb: shown.thumb,
            back: "/library".into(),
            prev: Some(format!("/library/{}", tile(at - 1).asset)),
            next: Some(format!("/library/{}", tile(at + 1).asset)),
            strip,
            made: Some(Made {
                generation: "gen_01k9x7v3q8e5h9m2t4c6w1z0ab".into(),
                prompt: "Mountain lake at dawn, low mist, first light on the peaks, wide landscape".into(),
                has_seed: true,
                parameters: vec![
                    row("Model", "Demo painter, built in, no model"),
                    row("Size", "1536 × 1024 px, 3:2"),
                    row("Seed", "4"),
                    row("Cost", "€0.04 of €0.16 for four"),
                    row("Took", "52 s for four"),
                    row("Left the house", "No, made on this server"),
                ],
                references: vec![Source {
                    asset: tile(3).asset,
                    name: "lake.jpg".into(),
                    role: "Reference, strength 0.6".into(),
                }],
            }),
            facts: vec![
                row("Who", "Mara Lindqvist"),
                row("File", "PNG, 2.4 MB"),
                row("Picture", "1536 × 1024 px"),
                row("Id", &shown.asset),
            ],
            when: When {
                iso: "2026-11-20T13:08:00.000Z".into(),
                exact: "20 November 2026, 13:08:00 UTC".into(),
                text: "1 h ago".into(),
            },
            bytes: "2.4 MB".into(),
            trashed: false,
        }
    }

    fn neighbour(at: usize, current: bool) -> Neighbour {
        let tile = tile(at);
        Neighbour { asset: tile.asset, alt: tile.alt, width: tile.width, height: tile.height, current }
    }

    /// An upload in the trash.
    pub fn asset_trashed() -> AssetPage {
        AssetPage {
            made: None,
            trashed: true,
            back: "/library?trashed=true".into(),
            prev: None,
            strip: Vec::new(),
            ..asset()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_renders() {
        for page in
            [samples::library(), samples::trash(), samples::empty(), samples::empty_filtered(), samples::empty_trash()]
        {
            let html = page.render().unwrap();
            assert!(!html.contains(" style=") && !html.contains("onclick"));
            assert_eq!(page.trash, html.contains("<h1>Trash</h1>"));
        }
        assert!(samples::asset().render().unwrap().contains("part=seed"));
        let trashed = samples::asset_trashed().render().unwrap();
        assert!(trashed.contains("/restore") && !trashed.contains("/trash\""));
    }
}
