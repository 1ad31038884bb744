//! MinIO, versitygw, or any server that speaks S3, through the `minio` crate.
//!
//! The crate has no timeouts and no retries, and stores a stream that was cut as if it were whole. So everything it does
//! is wrapped here: each request has a time limit and is repeated when that is safe, streams are cut into parts by us and
//! their length is checked before the store is asked to keep them, and an upload that is given up is aborted.

use std::{future::Future, ops::Range, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures::{StreamExt, future::try_join};
use minio::s3::{
    MinioClient, MinioClientBuilder,
    builders::ObjectToDelete,
    creds::StaticProvider,
    error::{Error, NetworkError, S3ServerError, ValidationErr},
    http::BaseUrl,
    minio_error_response::MinioErrorCode,
    response_traits::{HasEtagFromHeaders, HasS3Fields},
    segmented_bytes::SegmentedBytes,
    types::{BucketName, ETag, ObjectKey, PartInfo, Region, S3Api, ToStream, UploadId},
};
use secrecy::ExposeSecret;
use tokio::{sync::Mutex, time::timeout};

use super::{ByteStream, ObjectStore, StorageError, durable::Disk};
use crate::{
    base::{error::chain, ids::ObjectId, random},
    config,
};

/// The smallest part that S3 allows. A put holds one part in memory, and a second while it fills.
const PART: usize = 5 * 1024 * 1024;
/// S3 numbers parts up to here.
const MOST_PARTS: u16 = 10_000;
/// For a request with up to a part of 5 MiB in it.
const PATIENCE: Duration = Duration::from_secs(30);
/// For the answer to a question, and for the next bytes of an object.
const SOON: Duration = Duration::from_secs(10);
/// Waits before the second, third and fourth try; each is lengthened by chance.
const RETRIES: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(250), Duration::from_millis(1000)];

#[derive(Clone)]
pub struct Minio {
    client: MinioClient,
    bucket: BucketName,
    disk: Option<Disk>,
    patience: Duration,
}

/// What a store says of itself.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its time of day, in whole seconds.
    pub time: Option<DateTime<Utc>>,
    /// Its program.
    pub server: Option<String>,
    /// Whether the bucket is there.
    pub bucket: bool,
}

/// The configured store cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("storage.endpoint is not an address such as http://127.0.0.1:9000")]
    Endpoint(#[source] ValidationErr),
    #[error("storage.bucket or storage.region is not a name that S3 allows")]
    Name(#[source] ValidationErr),
    #[error("the client of the store could not be made")]
    Client(#[source] Box<Error>),
    #[error("the directory of the store cannot be opened")]
    Directory(#[source] std::io::Error),
    #[error("the store cannot be reached, or refuses storage.access_key")]
    Store(#[from] StorageError),
}

impl Minio {
    /// `directory` is where a store on this machine keeps its data; what is put is flushed there before it counts.
    pub fn new(config: &config::Storage, directory: Option<PathBuf>) -> Result<Self, SetupError> {
        let mut url: BaseUrl = config.endpoint.parse().map_err(SetupError::Endpoint)?;
        let region = if config.region.is_empty() { "us-east-1" } else { &config.region };
        // Known beforehand: the crate asks for the region of each bucket otherwise.
        url.region = Region::new(region).map_err(SetupError::Name)?;
        let keys = StaticProvider::new(config.access_key.expose_secret(), config.secret_key.expose_secret(), None);
        let client = MinioClientBuilder::new(url).provider(Some(keys)).build();
        Ok(Self {
            client: client.map_err(|error| SetupError::Client(Box::new(error)))?,
            bucket: BucketName::try_from(config.bucket.as_str()).map_err(SetupError::Name)?,
            disk: directory.map(|path| Disk::of(&path)).transpose().map_err(SetupError::Directory)?,
            patience: PATIENCE,
        })
    }

    /// Waits this long for an answer, or for the next bytes of one, instead of the usual time.
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    async fn once<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        match timeout(self.patience, call).await {
            Ok(answer) => answer.map_err(Failure::from),
            Err(_) => Err(Failure::Silence),
        }
    }

    /// For calls that may be done twice: a network error, an overloaded or starting store are worth another try. One that
    /// says nothing was given its time.
    async fn retried<T>(&self, call: impl AsyncFn() -> Result<T, Error>) -> Result<T, Failure> {
        for wait in RETRIES {
            match self.once(call()).await {
                Err(Failure::Store(error)) if is_passing(&error) => tokio::time::sleep(jittered(wait)).await,
                done => return done,
            }
        }
        self.once(call()).await
    }

    fn impatient(&self) -> Self {
        Self { patience: self.patience.min(SOON), ..self.clone() }
    }

    /// Whether the bucket is there.
    pub async fn exists(&self) -> Result<bool, StorageError> {
        let exists =
            self.impatient().retried(async || self.client.bucket_exists(&self.bucket)?.build().send().await).await;
        match exists {
            Ok(answer) => Ok(answer.exists()),
            // The answer has no body; another request says why.
            Err(failure) => Err(self.list(None, 1).await.err().unwrap_or_else(|| unreachable(failure))),
        }
    }

    /// Makes the bucket unless it is there.
    pub async fn prepare(&self) -> Result<(), StorageError> {
        if self.exists().await? {
            return Ok(());
        }
        match self.retried(async || self.client.create_bucket(&self.bucket)?.build().send().await).await {
            // Another server of ours was faster, or the answer to the first try was lost.
            Err(Failure::Store(error)) if code_is(&error, &MinioErrorCode::BucketAlreadyOwnedByYou) => Ok(()),
            made => made.map(drop).map_err(unreachable),
        }
    }

    /// What the store says of itself beside an answer. Asked once: who asks wants to know how it is now.
    pub async fn told(&self) -> Result<Told, StorageError> {
        let answer = self.once(async { self.client.bucket_exists(&self.bucket)?.build().send().await });
        let answer = answer.await.map_err(unreachable)?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let time = header("date").and_then(|date| DateTime::parse_from_rfc2822(&date).ok());
        Ok(Told { time: time.map(|time| time.to_utc()), server: header("server"), bucket: answer.exists() })
    }

    async fn put_one(&self, key: &ObjectKey, bytes: Bytes) -> Result<(), StorageError> {
        let put = async || self.client.put_object(&self.bucket, key, segments(&bytes))?.build().send().await;
        self.retried(put).await.map(drop).map_err(unreachable)
    }

    async fn put_parts(&self, key: &ObjectKey, first: Bytes, parts: &mut Parts) -> Result<(), StorageError> {
        let upload = self.impatient().retried(async || self.begin(key).await).await.map_err(unreachable)?;
        match self.send_parts(&upload, first, parts).await {
            Ok(()) => {
                upload.finished();
                Ok(())
            }
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    /// In a task of its own: who goes away before the store has answered would leave an upload behind that nobody knows.
    /// Like this it begins, is dropped, and so aborted.
    async fn begin(&self, key: &ObjectKey) -> Result<Upload, Error> {
        let request = self.client.create_multipart_upload(&self.bucket, key)?.build();
        let (minio, key) = (self.clone(), key.clone());
        let begun = tokio::spawn(async move {
            let id = request.send().await?.upload_id().await?;
            Ok(Upload { minio, key, id: Some(id), sending: Arc::default() })
        });
        begun.await.map_err(broken_off)?
    }

    /// In a task of its own too: a part that arrives after its upload was aborted may stay in the store for good, so who
    /// aborts waits for it.
    async fn send_part(&self, upload: &Upload, id: &UploadId, number: u16, part: &Bytes) -> Result<ETag, Error> {
        let request = self.client.upload_part(&self.bucket, &upload.key, id, number, segments(part))?.build();
        let sending = upload.sending.clone().lock_owned().await;
        // Who waits for the answer gives up first.
        let patience = self.patience + RETRIES[0];
        let sent = tokio::spawn(async move {
            let answer = timeout(patience, request.send()).await;
            drop(sending);
            answer.map_err(broken_off)?
        });
        Ok(sent.await.map_err(broken_off)??.etag()?)
    }

    async fn send_parts(&self, upload: &Upload, first: Bytes, parts: &mut Parts) -> Result<(), StorageError> {
        let id = upload.id.as_ref().ok_or_else(StorageError::wrong_length)?;
        let mut sent = Vec::new();
        let mut next = Some(first);
        while let Some(part) = next {
            let number = u16::try_from(sent.len() + 1).unwrap_or(u16::MAX);
            if number > MOST_PARTS {
                return Err(StorageError::TooLarge(u64::from(MOST_PARTS) * PART as u64));
            }
            let send = async || self.send_part(upload, id, number, &part).await;
            let sending = async { self.retried(send).await.map_err(unreachable) };
            // A source that fails waits until the part has arrived: nothing is under way when the upload is aborted.
            let following = async { Ok(parts.next().await) };
            let (etag, following) = try_join(sending, following).await?;
            sent.push(PartInfo::new(number, etag, part.len() as u64, None));
            next = following?;
        }
        parts.check_length()?;
        let complete = async || {
            let parts = sent.clone();
            self.client.complete_multipart_upload(&self.bucket, &upload.key, id, parts)?.build().send().await
        };
        // Not repeated: the first try may have been done, and then the upload is no longer there.
        self.once(complete()).await.map(drop).map_err(unreachable)
    }
}

#[async_trait(?Send)]
impl ObjectStore for Minio {
    async fn put(&self, id: ObjectId, bytes: ByteStream, length: Option<u64>) -> Result<u64, StorageError> {
        let key = key_of(id)?;
        let mut parts = Parts { source: bytes, left: Bytes::new(), seen: 0, declared: length };
        let first = parts.next().await?.unwrap_or_default();
        if first.len() < PART {
            parts.check_length()?;
            self.put_one(&key, first).await?;
        } else {
            self.put_parts(&key, first, &mut parts).await?;
        }
        if self.head(id).await? != Some(parts.seen) {
            // It said yes to something, whatever it is: a proxy before it, say. Nothing of ours is damaged.
            return Err(StorageError::Unreachable("the store does not have what it took in".into()));
        }
        if let Some(disk) = &self.disk {
            disk.flush().await.map_err(|error| StorageError::Unreachable(Box::new(error)))?;
        }
        Ok(parts.seen)
    }

    async fn get(&self, id: ObjectId, range: Option<Range<u64>>) -> Result<ByteStream, StorageError> {
        let key = key_of(id)?;
        if let Some(range) = &range
            && range.start >= range.end
        {
            return Ok(super::stream_of(Bytes::new()));
        }
        let window = range.map(|range| (range.start, range.end - range.start));
        let hasty = self.impatient();
        let got = hasty.retried(async || {
            let (offset, length) = window.unzip();
            self.client.get_object(&self.bucket, &key)?.offset(offset).length(length).build().send().await
        });
        let answer = got.await.map_err(|failure| lost(failure, id))?;
        let (stream, length) = answer.into_boxed_stream().map_err(|error| lost(error.into(), id))?;
        if window.is_some_and(|(_, wanted)| wanted != length) {
            return Err(StorageError::Damaged(id));
        }
        Ok(watched(stream, id, length, hasty.patience))
    }

    async fn head(&self, id: ObjectId) -> Result<Option<u64>, StorageError> {
        let key = key_of(id)?;
        let hasty = self.impatient();
        let told = hasty.retried(async || {
            let told = self.client.stat_object(&self.bucket, &key)?.build().send().await?;
            Ok(told.size()?)
        });
        match told.await.map_err(|failure| lost(failure, id)) {
            Ok(length) => Ok(Some(length)),
            Err(StorageError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, id: ObjectId) -> Result<(), StorageError> {
        let key = key_of(id)?;
        let hasty = self.impatient();
        let deleted = hasty.retried(async || {
            let object = ObjectToDelete::from(key.clone());
            self.client.delete_object(&self.bucket, object)?.build().send().await
        });
        match deleted.await.map_err(|failure| lost(failure, id)) {
            Ok(_) | Err(StorageError::Missing(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, after: Option<ObjectId>, limit: usize) -> Result<Vec<ObjectId>, StorageError> {
        let page = u16::try_from(limit.clamp(1, 1000)).unwrap_or(1000);
        let start = after.map(|id| id.to_string());
        let list = self.client.list_objects(&self.bucket).map_err(|error| unreachable(error.into()))?;
        let mut pages = list.recursive(true).max_keys(Some(page)).start_after(start).build().to_stream().await;
        let mut ids = Vec::new();
        while ids.len() < limit {
            let Some(page) = timeout(self.patience, pages.next()).await.map_err(|_| unreachable(Failure::Silence))?
            else {
                break;
            };
            let page = page.map_err(|error| unreachable(error.into()))?;
            // Names that are not ours are none of our business.
            ids.extend(page.contents.iter().filter_map(|entry| entry.name.parse::<ObjectId>().ok()));
        }
        ids.truncate(limit);
        Ok(ids)
    }
}

/// A multipart upload that has begun. Dropped before its end (a caller that hung up, say), it is aborted.
struct Upload {
    minio: Minio,
    key: ObjectKey,
    id: Option<UploadId>,
    /// Held while a part is under way.
    sending: Arc<Mutex<()>>,
}

impl Upload {
    fn finished(mut self) {
        self.id = None;
    }

    async fn abort(mut self) {
        let _none = self.sending.clone().lock_owned().await;
        if let Some(id) = self.id.take() {
            abort(&self.minio, &self.key, &id).await;
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let (Some(id), Ok(runtime)) = (self.id.take(), tokio::runtime::Handle::try_current()) else { return };
        let Ok(request) = self.minio.client.abort_multipart_upload(&self.minio.bucket, &self.key, &id) else { return };
        // A destructor cannot wait. Tried once: the store itself drops uploads that nobody finished after a day.
        let sending = self.sending.clone();
        drop(runtime.spawn(async move {
            let _none = sending.lock().await;
            timeout(SOON, request.build().send()).await
        }));
    }
}

async fn abort(minio: &Minio, key: &ObjectKey, id: &UploadId) {
    let hasty = minio.impatient();
    let aborted =
        hasty.retried(async || minio.client.abort_multipart_upload(&minio.bucket, key, id)?.build().send().await);
    if let Err(error) = aborted.await {
        tracing::warn!(%error, "an upload could not be aborted; the store drops it after a day");
    }
}

/// Cuts a stream into parts of equal size, but for the last.
struct Parts {
    source: ByteStream,
    /// What came with the last part and belongs to the next.
    left: Bytes,
    seen: u64,
    declared: Option<u64>,
}

impl Parts {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        // All at once, because what grows by doubling ends above the size of a part.
        let expected = match self.declared {
            Some(all) => all.saturating_sub(self.seen) + self.left.len() as u64,
            None => self.seen,
        };
        let mut part = BytesMut::with_capacity(usize::try_from(expected).unwrap_or(PART).min(PART));
        loop {
            let room = PART - part.len();
            if self.left.len() >= room {
                part.extend_from_slice(&self.left.split_to(room));
                return Ok(Some(part.freeze()));
            }
            part.extend_from_slice(&std::mem::take(&mut self.left));
            match self.source.next().await.transpose()? {
                Some(bytes) => self.take(bytes)?,
                None if part.is_empty() => return Ok(None),
                None => return Ok(Some(part.freeze())),
            }
        }
    }

    fn take(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        self.seen += bytes.len() as u64;
        if self.declared.is_some_and(|declared| self.seen > declared) {
            return Err(StorageError::wrong_length());
        }
        self.left = bytes;
        Ok(())
    }

    fn check_length(&self) -> Result<(), StorageError> {
        match self.declared {
            Some(declared) if declared != self.seen => Err(StorageError::wrong_length()),
            _ => Ok(()),
        }
    }
}

/// Passes the bytes on, with a time limit for each part, and fails unless there were exactly `length`.
fn watched(
    stream: impl futures::Stream<Item = std::io::Result<Bytes>> + Send + Unpin + 'static,
    id: ObjectId,
    length: u64,
    patience: Duration,
) -> ByteStream {
    Box::pin(futures::stream::try_unfold((stream, length), move |(mut stream, left)| async move {
        match timeout(patience, stream.next()).await {
            Err(_) => Err(unreachable(Failure::Silence)),
            Ok(Some(Err(error))) => Err(StorageError::Unreachable(Box::new(error))),
            Ok(Some(Ok(part))) => match left.checked_sub(part.len() as u64) {
                Some(left) => Ok(Some((part, (stream, left)))),
                None => Err(StorageError::Damaged(id)),
            },
            Ok(None) if left == 0 => Ok(None),
            Ok(None) => Err(StorageError::Damaged(id)),
        }
    }))
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the store gave no answer in time")]
    Silence,
    #[error("the store refused or failed: {}", said(.0))]
    Store(Box<Error>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(Box::new(error))
    }
}

impl From<ValidationErr> for Failure {
    fn from(error: ValidationErr) -> Self {
        Error::from(error).into()
    }
}

/// The crate tells a refusal in ten lines, and with each of its sources again.
fn said(error: &Error) -> String {
    match error {
        Error::S3Server(S3ServerError::S3Error(answer)) => {
            format!("{}: {}", answer.code(), answer.message().as_deref().unwrap_or("no more was said"))
        }
        error => chain(error),
    }
}

/// A call of our own that has no answer.
fn broken_off(error: impl Into<std::io::Error>) -> Error {
    Error::DriveIo(error.into().into())
}

fn jittered(wait: Duration) -> Duration {
    let chance = random::bytes::<1>().map_or(0, |[byte]| u32::from(byte));
    wait + wait * chance / 256
}

fn is_passing(error: &Error) -> bool {
    match error {
        Error::Network(_) | Error::Validation(ValidationErr::HttpError(_)) => true,
        Error::S3Server(S3ServerError::HttpError(status, _))
        | Error::S3Server(S3ServerError::InvalidServerResponse { http_status_code: status, .. }) => *status >= 500,
        Error::S3Server(S3ServerError::S3Error(answer)) => match answer.code() {
            // The crate knows these only by their lower-case names.
            MinioErrorCode::OtherError(code) => [
                "internalerror",
                "operationaborted",
                "requesttimeout",
                "serviceunavailable",
                "slowdown",
                "slowdownread",
                "slowdownwrite",
                "xminioservernotinitialized",
            ]
            .contains(&code.as_str()),
            _ => false,
        },
        Error::Validation(_) | Error::DriveIo(_) => false,
    }
}

fn code_is(error: &Error, code: &MinioErrorCode) -> bool {
    matches!(error, Error::S3Server(S3ServerError::S3Error(answer)) if answer.code() == *code)
}

fn other(code: &str) -> MinioErrorCode {
    MinioErrorCode::OtherError(code.to_owned())
}

fn unreachable(failure: Failure) -> StorageError {
    let skewed = other("requesttimetooskewed");
    // How MinIO says it, and how versitygw does.
    let full = ["xminiostoragefull", "insufficientstorage", "quotaexceeded"].map(other);
    match &failure {
        Failure::Store(error) if code_is(error, &skewed) => StorageError::Clock,
        Failure::Store(error) if full.iter().any(|code| code_is(error, code)) => StorageError::Full(Box::new(failure)),
        _ => StorageError::Unreachable(Box::new(failure)),
    }
}

fn lost(failure: Failure, id: ObjectId) -> StorageError {
    let out_of_range = other("invalidrange");
    match &failure {
        Failure::Store(error) if code_is(error, &MinioErrorCode::NoSuchKey) => StorageError::Missing(id),
        Failure::Store(error) if code_is(error, &out_of_range) => StorageError::Damaged(id),
        // How MinIO says that it cannot read the files of an object, and how it says that it has too much to do.
        Failure::Store(error) if ["slowdownread", "internalerror"].iter().any(|code| code_is(error, &other(code))) => {
            StorageError::Withheld(id, Box::new(failure))
        }
        Failure::Store(error) if matches!(**error, Error::Network(NetworkError::ServerError(416))) => {
            StorageError::Damaged(id)
        }
        _ => unreachable(failure),
    }
}

fn key_of(id: ObjectId) -> Result<ObjectKey, StorageError> {
    ObjectKey::new(id.to_string()).map_err(|error| unreachable(error.into()))
}

fn segments(bytes: &Bytes) -> SegmentedBytes {
    SegmentedBytes::from(bytes.clone())
}
