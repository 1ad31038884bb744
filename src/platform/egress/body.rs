//! What is sent: made whole before the call, so that its length is known, and counted while it leaves.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use futures::stream;
use serde_json::Value;

use crate::base::random::{self, NoRandomness};

/// Bytes counted as they are handed to the connection, in pieces of this size.
const PIECE: usize = 64 * 1024;

#[derive(Clone, Debug, Default)]
pub struct Body {
    pub(super) content_type: Option<String>,
    chunks: Vec<Bytes>,
}

/// One part of a multipart body.
#[derive(Clone, Debug)]
pub enum Part {
    Text {
        name: String,
        value: String,
    },
    /// `file` is what the receiver sees as the file's name; it says nothing about the original.
    File {
        name: &'static str,
        file: String,
        media_type: &'static str,
        bytes: Bytes,
    },
}

impl Body {
    pub fn none() -> Self {
        Self::default()
    }

    pub fn json(value: &Value) -> Self {
        Self { content_type: Some("application/json".to_owned()), chunks: vec![value.to_string().into()] }
    }

    pub fn multipart(parts: Vec<Part>) -> Result<Self, NoRandomness> {
        let boundary = format!("renderkeep-{}", random::token()?);
        let mut chunks = Vec::new();
        for part in parts {
            let (head, body) = part.encode(&boundary);
            chunks.extend([Bytes::from(head), body, Bytes::from_static(b"\r\n")]);
        }
        chunks.push(format!("--{boundary}--\r\n").into());
        Ok(Self { content_type: Some(format!("multipart/form-data; boundary={boundary}")), chunks })
    }

    pub fn length(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.len() as u64).sum()
    }

    /// The body for the client; `counter` rises with what has been handed over.
    pub(super) fn counted(self, counter: Arc<AtomicU64>) -> reqwest::Body {
        let pieces = self.chunks.into_iter().flat_map(pieces).map(move |piece| {
            counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
            Ok::<_, std::convert::Infallible>(piece)
        });
        reqwest::Body::wrap_stream(stream::iter(pieces))
    }
}

fn pieces(mut chunk: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let most = chunk.len().min(PIECE);
        (most > 0).then(|| chunk.split_to(most))
    })
}

impl Part {
    fn encode(self, boundary: &str) -> (String, Bytes) {
        let disposition = format!("--{boundary}\r\nContent-Disposition: form-data; name=");
        match self {
            Self::Text { name, value } => (format!("{disposition}\"{}\"\r\n\r\n", quoted(&name)), value.into()),
            Self::File { name, file, media_type, bytes } => (
                format!(
                    "{disposition}\"{name}\"; filename=\"{}\"\r\nContent-Type: {media_type}\r\n\r\n",
                    quoted(&file)
                ),
                bytes,
            ),
        }
    }
}

/// Inside quotes, as browsers write it.
fn quoted(text: &str) -> String {
    text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        let part = Part::Text { name: "a\"\r\nX: y".into(), value: "v".into() };
        let (head, body) = part.encode("b");
        assert_eq!(head, "--b\r\nContent-Disposition: form-data; name=\"a%22%0D%0AX: y\"\r\n\r\n");
        assert_eq!(body, "v");
    }

    #[test]
    fn a_large_chunk_leaves_in_pieces() {
        let sizes: Vec<_> = pieces(Bytes::from(vec![0; PIECE * 2 + 1])).map(|piece| piece.len()).collect();
        assert_eq!(sizes, [PIECE, PIECE, 1]);
    }
}
