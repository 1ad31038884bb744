//! The static files: built into the binary and addressed below one hash of all their contents.
//!
//! One hash for the whole set, not one per file: modules import each other by relative address, and
//! a strict policy allows no import map. Any change moves every address, so answers may be cached
//! for ever.

use std::{io::Write, sync::LazyLock};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

/// One static file.
pub struct StaticFile {
    /// Path below the hash, such as `modules/rk-frame.js`.
    pub path: &'static str,
    /// Media type for the answer.
    pub media_type: &'static str,
    /// Contents as they are sent.
    pub bytes: &'static [u8],
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const WEBP: &str = "image/webp";

macro_rules! files {
    ($($media:ident $path:literal),* $(,)?) => {
        &[$(StaticFile {
            path: $path,
            media_type: $media,
            bytes: include_bytes!(concat!("static/", $path)),
        }),*]
    };
}

/// Every file that may be fetched. A test compares it with the folder.
pub static FILES: &[StaticFile] = files![
    CSS "rk.css",
    SVG "icons.svg",
    SVG "favicon.svg",
    JS "modules/rk-ask.js",
    JS "modules/rk-copy.js",
    JS "modules/rk-secret.js",
    JS "modules/rk-strength.js",
    WEBP "art/fjord.webp",
    WEBP "art/bottle.webp",
    WEBP "art/silk.webp",
    WEBP "art/ocean.webp",
    JS "vendor/htmx.min.js",
    JS "modules/rk-activity.js",
    JS "modules/rk-acts.js",
    JS "modules/rk-draft.js",
    JS "modules/rk-events.js",
    JS "modules/rk-frame.js",
    JS "modules/rk-library.js",
    JS "modules/rk-net.js",
    JS "modules/rk-progress.js",
    JS "modules/rk-queue.js",
    JS "modules/rk-references.js",
    JS "modules/rk-results.js",
    JS "modules/rk-studio.js",
    JS "modules/rk-viewer.js",
];

static BASE: LazyLock<String> = LazyLock::new(|| format!("/static/{:016x}", hash_of_all()));

/// Address prefix of the current set, without a slash at the end.
pub fn base() -> &'static str {
    &BASE
}

/// Address of a file of the current set.
pub fn url(path: &str) -> String {
    format!("{}/{path}", base())
}

/// Finds a file by the hash and the path of its address; an old hash is not served under a new name.
pub fn find(hash: &str, path: &str) -> Option<&'static StaticFile> {
    let current = base().rsplit('/').next()?;
    if hash != current {
        return None;
    }
    FILES.iter().find(|file| file.path == path)
}

/// The file compressed, made once; none for what is compressed already.
pub fn zipped(file: &StaticFile) -> Option<Bytes> {
    static ZIPPED: LazyLock<Vec<(&'static str, Bytes)>> = LazyLock::new(|| FILES.iter().filter_map(zip).collect());
    ZIPPED.iter().find(|(path, _)| *path == file.path).map(|(_, bytes)| bytes.clone())
}

fn zip(file: &StaticFile) -> Option<(&'static str, Bytes)> {
    let text = file.media_type.starts_with("text/") || file.media_type == SVG;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory does not fail; if it did, the file goes out as it is.
    let bytes = encoder.write_all(file.bytes).and_then(|()| encoder.finish()).ok()?;
    text.then(|| (file.path, bytes.into()))
}

// FNV-1a: it only has to differ when a file differs, nobody attacks our own build.
fn hash_of_all() -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut mix = |byte: u8| {
        hash ^= u64::from(byte);
        hash = hash.wrapping_mul(0x0100_0000_01b3);
    };
    for file in FILES {
        file.path.bytes().for_each(&mut mix);
        file.bytes.iter().copied().for_each(&mut mix);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn walk(dir: &Path, below: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                walk(&entry.path(), &format!("{name}/"), found);
            } else if !name.ends_with(".md") && !name.ends_with(".d.ts") && !name.ends_with("jsconfig.json") {
                found.push(name);
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let mut found = Vec::new();
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/static"), "", &mut found);
        found.sort();
        let mut listed: Vec<_> = FILES.iter().map(|file| file.path.to_string()).collect();
        listed.sort();
        assert_eq!(found, listed, "add the file to FILES in web/statics.rs");
    }

    #[test]
    fn only_the_current_hash_is_found() {
        let address = url("rk.css");
        let hash = address.split('/').nth(2).unwrap();
        assert!(find(hash, "rk.css").is_some());
        assert!(find("0000000000000000", "rk.css").is_none());
        assert!(find(hash, "../statics.rs").is_none());
    }
}
