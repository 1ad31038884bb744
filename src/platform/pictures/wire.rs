//! What the server and a decoder say to each other over two pipes.
//!
//! A message is its length in four bytes and then JSON; raw bytes follow where the message says how many. Both sides bound
//! the length before they take memory for it. The order is always the same:
//!
//! ```text
//! decoder  Held      what confines it, before it has read anything
//! server   Request   what is wanted, then the bytes of the picture
//! decoder  Header    type and size by its first bytes, or a refusal
//! server   Go        when there is room for so many pixels in memory
//! decoder  Made      what was made of it, then its bytes; or a refusal
//! ```

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::model::{Header, Refusal};

/// Bytes of the longest message; the longest of ours has a few hundred.
pub const LONGEST: usize = 4096;

#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    #[error("a message cannot be understood")]
    Unclear(#[from] serde_json::Error),
    #[error("the pipe broke off")]
    Broken(#[from] io::Error),
}

/// What confines the decoder, as its kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The version of Landlock's interface that is in force; 0 when it is not.
    pub landlock: u8,
    pub seccomp: bool,
    pub limits: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub task: Task,
    /// Length of the picture that follows.
    pub bytes: u64,
}

/// What is to be made of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Both small pictures as WebP, and the thumbhash.
    Examine,
    /// The picture, which is a small one, as JPEG.
    Jpeg,
    /// A mask in the form that every reader understands alike, as PNG.
    PlainMask,
    /// Cut to a size: RGB, three bytes for each pixel.
    Pixels { width: u32, height: u32 },
    /// A mask, cut to a size: one byte for each pixel, 255 where it is to be painted anew.
    MaskPixels { width: u32, height: u32 },
    #[cfg(debug_assertions)]
    Attempt(super::inside::attempts::Attempt),
}

/// The answer to a request, and the one to `Go`.
pub type Answer<T> = Result<T, Refusal>;
pub type Headed = Answer<Header>;
pub type Finished = Answer<Made>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Go {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// Of the whole picture, as shown.
    pub width: u32,
    pub height: u32,
    /// Empty where none was wanted.
    pub thumbhash: Vec<u8>,
    /// Their bytes follow in this order.
    pub parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    pub width: u32,
    pub height: u32,
    pub bytes: u64,
}

/// A message with its length before it.
pub fn framed(message: &impl Serialize) -> Result<Vec<u8>, WireError> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= LONGEST);
    let mut frame = length.ok_or(WireError::TooLong(body.len()))?.to_be_bytes().to_vec();
    frame.extend(body);
    Ok(frame)
}

fn length(prefix: [u8; 4]) -> Result<usize, WireError> {
    let length = usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
    if length > LONGEST { Err(WireError::TooLong(length)) } else { Ok(length) }
}

/// The decoder's side, which has one thread and waits.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, WireError> {
    let mut prefix = [0; 4];
    from.read_exact(&mut prefix)?;
    let mut body = vec![0; length(prefix)?];
    from.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

pub fn write(to: &mut impl Write, message: &impl Serialize) -> Result<(), WireError> {
    to.write_all(&framed(message)?)?;
    Ok(to.flush()?)
}

/// The server's side.
pub async fn receive<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> Result<T, WireError> {
    let mut prefix = [0; 4];
    from.read_exact(&mut prefix).await?;
    let mut body = vec![0; length(prefix)?];
    from.read_exact(&mut body).await?;
    Ok(serde_json::from_slice(&body)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::platform::pictures::model::MediaType;

    fn made() -> impl Strategy<Value = Made> {
        let part = (any::<u32>(), any::<u32>(), any::<u64>());
        let part = part.prop_map(|(width, height, bytes)| Part { width, height, bytes });
        let parts = prop::collection::vec(part, 0..4);
        (any::<u32>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..32), parts)
            .prop_map(|(width, height, thumbhash, parts)| Made { width, height, thumbhash, parts })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(made in made(), width in any::<u32>(), height in any::<u32>(), rest in any::<Vec<u8>>()) {
            let header: Headed = Ok(Header { media_type: MediaType::Gif, width, height });
            let mut bytes = framed(&header).unwrap();
            bytes.extend(framed(&Finished::Ok(made.clone())).unwrap());
            bytes.extend(&rest);
            let mut from = &bytes[..];
            prop_assert_eq!(read::<Headed>(&mut from).unwrap(), header);
            prop_assert_eq!(read::<Finished>(&mut from).unwrap(), Ok(made));
            prop_assert_eq!(from, &rest[..], "not a byte more is taken");
        }

        /// Whatever a decoder that was taken over sends: a message or an error, never a panic, and never more memory
        /// than the longest message has.
        #[test]
        fn no_bytes_confuse_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..6000)) {
            let _ = read::<Held>(&mut &bytes[..]);
            let _ = read::<Headed>(&mut &bytes[..]);
            let _ = read::<Finished>(&mut &bytes[..]);
            if let Ok(prefix) = <[u8; 4]>::try_from(&bytes[..bytes.len().min(4)]) {
                let said = u32::from_be_bytes(prefix) as usize;
                prop_assert_eq!(matches!(length(prefix), Err(WireError::TooLong(_))), said > LONGEST);
            }
        }

        /// One changed or missing byte of a good message.
        #[test]
        fn damaged_messages_are_read_or_refused(made in made(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
            let mut bytes = framed(&Finished::Ok(made)).unwrap();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            let both = (read::<Finished>(&mut &bytes[..]), futures::executor::block_on(receive::<Finished>(&mut &bytes[..])));
            prop_assert_eq!(both.0.ok(), both.1.ok(), "both sides read alike");
            if cut {
                prop_assert!(read::<Finished>(&mut &bytes[..]).is_err());
            }
        }
    }

    #[test]
    fn a_length_beyond_the_longest_takes_no_memory() {
        let said = read::<Held>(&mut &[0xff, 0xff, 0xff, 0xff, 1][..]);
        assert!(matches!(said, Err(WireError::TooLong(_))), "{said:?}");
        assert!(matches!(framed(&"x".repeat(LONGEST)), Err(WireError::TooLong(_))));
    }
}
