//! Whether a file is complete, by its container alone: decoders fill what was cut off with grey and say nothing.

use super::super::model::MediaType;

/// What follows the end is not looked at.
pub fn is_whole(media_type: MediaType, bytes: &[u8]) -> bool {
    let ended = match media_type {
        MediaType::Png => png(bytes),
        MediaType::Jpeg => jpeg(bytes),
        MediaType::WebP => webp(bytes),
        MediaType::Gif => gif(bytes),
    };
    ended.is_some()
}

/// Chunks up to `IEND`.
fn png(bytes: &[u8]) -> Option<()> {
    let mut rest = bytes.get(8..)?;
    loop {
        let length = u32::from_be_bytes(*rest.first_chunk()?);
        let name = rest.get(4..8)?;
        let end = usize::try_from(length).ok()?.checked_add(12)?;
        let after = rest.get(end..)?;
        if name == b"IEND" {
            return Some(());
        }
        rest = after;
    }
}

/// Segments up to the first scan, then the end marker. Segments are skipped whole, since a small picture in one of them
/// has an end marker of its own.
fn jpeg(bytes: &[u8]) -> Option<()> {
    let mut rest = bytes.get(2..)?;
    loop {
        let [0xff, marker] = *rest.first_chunk()? else { return None };
        match marker {
            0xff => rest = rest.get(1..)?,
            0x01 | 0xd0..=0xd7 => rest = rest.get(2..)?,
            _ => {
                let length = u16::from_be_bytes(*rest.get(2..)?.first_chunk()?);
                rest = rest.get(2 + usize::from(length)..)?;
                if marker == 0xda {
                    return rest.windows(2).any(|pair| pair == [0xff, 0xd9]).then_some(());
                }
            }
        }
    }
}

/// The length that the file states for itself.
fn webp(bytes: &[u8]) -> Option<()> {
    let stated = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    (u64::from(stated) + 8 <= bytes.len() as u64).then_some(())
}

/// Blocks up to the trailer.
fn gif(bytes: &[u8]) -> Option<()> {
    let mut rest = bytes.get(13 + colours(*bytes.get(10)?)..)?;
    loop {
        rest = match *rest.first()? {
            0x3b => return Some(()),
            0x21 => data_blocks(rest.get(2..)?)?,
            0x2c => data_blocks(rest.get(11 + colours(*rest.get(9)?)..)?)?,
            _ => return None,
        };
    }
}

/// Length of the colour table that these flags announce.
fn colours(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

fn data_blocks(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let length = usize::from(*rest.first()?);
        rest = rest.get(1 + length..)?;
        if length == 0 {
            return Some(rest);
        }
    }
}
