//! Bodies that may be large: multipart, part by part, and raw. Fields come as text, files as streams, and nothing is
//! collected.

use std::time::Duration;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::web::Bytes;
use futures::{Stream, StreamExt};
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
/// A caller that sends nothing for so long has gone.
const STANDSTILL: Duration = Duration::from_secs(30);

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
    /// It must not be asked again after its end or its first error.
    ended: bool,
    /// Passes the current file on.
    pump: Option<Pump<Field>>,
}

impl Parts {
    pub fn new(body: Multipart) -> Self {
        Self { body, seen: 0, ended: false, pump: None }
    }

    pub async fn next(&mut self) -> Result<Option<Part>, Problem> {
        if let Some(pump) = self.pump.take() {
            // It ends with its file, or as soon as nobody reads the file any more.
            drop(pump.0.await);
        }
        let Some(field) = self.field().await else { return Ok(None) };
        let field = field.map_err(|error| broken(&error))?;
        self.seen += 1;
        if self.seen > PARTS_LIMIT {
            return Err(too_large("There are more than 100 parts in this body."));
        }
        let name = field.name().unwrap_or_default().to_owned();
        match file_name(&field) {
            Some(file_name) => Ok(Some(self.file(name, file_name, field))),
            None => Ok(Some(Part::Text { value: text(&name, field).await?, name })),
        }
    }

    async fn field(&mut self) -> Option<Result<Field, MultipartError>> {
        if self.ended {
            return None;
        }
        let field = self.body.next().await;
        self.ended = !matches!(field, Some(Ok(_)));
        field
    }

    fn file(&mut self, name: String, file_name: String, field: Field) -> Part {
        let media_type = field.content_type().map(ToString::to_string).unwrap_or_default();
        let (stream, pump) = pumped(field);
        self.pump = Some(pump);
        Part::File { name, file_name, media_type, stream }
    }

    /// Reads and drops the rest of a body that was refused: a caller that is still sending would not see the answer.
    pub async fn finish(mut self, patience: Duration) {
        let rest = async {
            if let Some(pump) = self.pump.take() {
                drop(pump.0.await);
            }
            while let Some(Ok(mut field)) = self.field().await {
                while let Some(Ok(_)) = field.next().await {}
            }
        };
        // Whoever takes longer loses the connection.
        let _ = tokio::time::timeout(patience, rest).await;
    }
}

/// A body belongs to the thread that reads it; what it is stored by does not.
pub struct Pump<S>(JoinHandle<S>);

/// The pieces of a body as a stream for whoever stores it, and what passes them on.
pub fn pumped<S, E>(mut body: S) -> (ByteStream, Pump<S>)
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + 'static,
    E: std::fmt::Display,
{
    let (sender, receiver) = mpsc::channel(AHEAD);
    let pump = actix_web::rt::spawn(async move {
        while let Some(piece) = piece(&mut body).await {
            let end = piece.is_err();
            if sender.send(piece).await.is_err() || end {
                break;
            }
        }
        body
    });
    (Box::pin(ReceiverStream::new(receiver)), Pump(pump))
}

impl<S, E> Pump<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    /// Like `Parts::finish`, for a raw body.
    pub async fn finish(self, patience: Duration) {
        let rest = async {
            let Ok(mut body) = self.0.await else { return };
            while let Some(Ok(_)) = body.next().await {}
        };
        let _ = tokio::time::timeout(patience, rest).await;
    }
}

async fn piece<E: std::fmt::Display>(
    body: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
) -> Option<Result<Bytes, StorageError>> {
    match tokio::time::timeout(STANDSTILL, body.next()).await {
        Ok(piece) => piece.map(|piece| piece.map_err(|error| StorageError::Interrupted(error.to_string().into()))),
        Err(_) => Some(Err(StorageError::Interrupted("nothing came for half a minute".into()))),
    }
}

/// What makes a part a file: a file's name, or a type that is no text.
fn file_name(field: &Field) -> Option<String> {
    let told = field.content_disposition().and_then(|disposition| {
        let extended = disposition.get_filename_ext().and_then(|name| String::from_utf8(name.value.clone()).ok());
        extended.or_else(|| disposition.get_filename().map(str::to_owned))
    });
    let binary = field.content_type().is_some_and(|kind| !matches!(kind.type_().as_str(), "text" | "multipart"));
    told.or_else(|| binary.then(String::new))
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
