//! Multipart bodies, part by part: fields as text, files as streams, nothing collected that may be large.

use actix_multipart::{Field, Multipart, MultipartError};
use futures::StreamExt;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    extract::{too_large, unsupported},
    problem::Problem,
};
use crate::{
    base::error::{Invalid, Kind},
    platform::storage::{ByteStream, StorageError},
};

/// Longest text field.
const TEXT_LIMIT: usize = 256 * 1024;
/// The most parts of one body.
const PARTS_LIMIT: usize = 100;
/// Pieces of a file that wait for whoever stores it.
const AHEAD: usize = 4;

pub enum Part {
    Text {
        name: String,
        value: String,
    },
    /// Read the stream before asking for the next part; dropping it skips the file.
    File {
        name: String,
        file_name: String,
        media_type: String,
        stream: ByteStream,
    },
}

pub struct Parts {
    body: Multipart,
    seen: usize,
    /// Passes the current file on. A part belongs to the thread that reads the body; what it is stored by does not.
    pump: Option<JoinHandle<()>>,
}

impl Parts {
    pub fn new(body: Multipart) -> Self {
        Self { body, seen: 0, pump: None }
    }

    pub async fn next(&mut self) -> Result<Option<Part>, Problem> {
        if let Some(pump) = self.pump.take() {
            // It ends with its file, or as soon as nobody reads the file any more.
            let _ = pump.await;
        }
        let Some(field) = self.body.next().await else { return Ok(None) };
        let field = field.map_err(|error| broken(&error))?;
        self.seen += 1;
        if self.seen > PARTS_LIMIT {
            return Err(too_large("There are more than 100 parts in this body."));
        }
        let disposition = field.content_disposition().cloned();
        let name = field.name().unwrap_or_default().to_owned();
        let file_name = disposition.as_ref().and_then(|disposition| disposition.get_filename()).map(str::to_owned);
        match file_name {
            Some(file_name) => Ok(Some(self.file(name, file_name, field))),
            None => Ok(Some(Part::Text { value: text(&name, field).await?, name })),
        }
    }

    fn file(&mut self, name: String, file_name: String, mut field: Field) -> Part {
        let media_type = field.content_type().map(ToString::to_string).unwrap_or_default();
        let (sender, receiver) = mpsc::channel(AHEAD);
        self.pump = Some(actix_web::rt::spawn(async move {
            while let Some(piece) = field.next().await {
                let piece = piece.map_err(|error| StorageError::Interrupted(error.to_string().into()));
                let end = piece.is_err();
                if sender.send(piece).await.is_err() || end {
                    break;
                }
            }
        }));
        Part::File { name, file_name, media_type, stream: Box::pin(ReceiverStream::new(receiver)) }
    }
}

async fn text(name: &str, mut field: Field) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.next().await {
        let piece = piece.map_err(|error| broken(&error))?;
        if bytes.len() + piece.len() > TEXT_LIMIT {
            return Err(too_large("A field of this body is longer than 256 KiB."));
        }
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes)
        .map_err(|_| Invalid::field(name, "malformed", format!("The field {name} is not valid UTF-8.")).into())
}

fn broken(error: &MultipartError) -> Problem {
    match error {
        MultipartError::ContentTypeMissing
        | MultipartError::ContentTypeParse
        | MultipartError::ContentTypeIncompatible => unsupported("This takes a body of type multipart/form-data."),
        _ => Problem::new(Kind::Malformed, "request.malformed", "The multipart body could not be read to its end."),
    }
}
