//! Pictures of strangers: whatever came from outside is decoded by a process that can do nothing but decode.
//!
//! The program starts itself again for each picture, without an environment, with two pipes and nothing else. That process
//! gives up its rights (`inside::layers`), reads the picture, makes of it what is needed, and ends. The server keeps a
//! spare one waiting, so that nobody waits for its start, ends it at a deadline, and believes nothing that it says: types,
//! sizes and lengths are checked again out here (`checked`). A crash, a forbidden act, the end of its memory or of its time
//! means that this one picture cannot be read.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::{
    decoder::{Broken, Decoder},
    inside::layers::{Layer, Limits},
    model::{MediaType, Picture, Refusal},
    wire::{Held, Task},
};
use crate::{
    base::error::chain,
    config::{Sandbox, SandboxLayer},
};

mod checked;
mod decoder;
pub mod inside;
pub mod model;
mod stated;
pub mod wire;

/// The hidden subcommand that becomes a decoder.
pub const SUBCOMMAND: &str = "decode-picture";

/// Address space of a decoder: the largest picture twice over, and the program.
const MEMORY: u64 = 1536 * 1024 * 1024;
/// How long a decoder may be silent, and how long it may compute.
const DEADLINE: Duration = Duration::from_secs(30);
/// Decoders at the same time, on however many cores.
const MOST_AT_ONCE: usize = 16;
/// A picture with more pixels than this is not decoded beside another such one.
const LARGE: u64 = 16_000_000;

#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("{}", missing(*.0))]
    NotConfined(Layer),
    #[error("No process for decoding pictures can be started. Check the limits of this user and the free memory.")]
    Unavailable(#[source] io::Error),
}

/// What a missing layer means and what to do.
fn missing(layer: Layer) -> String {
    let (name, advice) = match layer {
        Layer::Landlock => ("Landlock", "Use Linux 5.13 or newer with `landlock` among its `lsm=`"),
        Layer::Seccomp => ("seccomp", "Use a kernel with seccomp filters"),
        Layer::Limits => return "Pictures cannot be decoded safely: the limits of a process do not hold.".to_owned(),
    };
    format!(
        "Pictures cannot be decoded safely: this system does not offer {name}. {advice}, or accept that it is missing: \
         sandbox.allow_missing = [\"{}\"].",
        layer.as_str()
    )
}

/// How decoders are started, and what must confine them.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Our own program.
    pub program: PathBuf,
    pub allow_missing: Vec<SandboxLayer>,
    pub memory: u64,
    pub deadline: Duration,
    /// Layers that are left out. Only debug builds listen.
    pub off: Vec<Layer>,
}

impl Setup {
    pub fn new(sandbox: &Sandbox) -> Self {
        Self {
            // The program as it was started, even when the file was replaced since.
            program: "/proc/self/exe".into(),
            allow_missing: sandbox.allow_missing.clone(),
            memory: MEMORY,
            deadline: DEADLINE,
            off: off(),
        }
    }

    fn limits(&self) -> Limits {
        Limits { memory: self.memory, seconds: self.deadline.as_secs().max(1) }
    }

    /// Whether enough confines it.
    fn judge(&self, held: Held) -> Result<(), PictureError> {
        let excused = |layer| self.allow_missing.contains(&layer);
        if !held.limits {
            return Err(PictureError::NotConfined(Layer::Limits));
        }
        if held.landlock == 0 && !excused(SandboxLayer::Landlock) {
            return Err(PictureError::NotConfined(Layer::Landlock));
        }
        if !held.seccomp && !excused(SandboxLayer::Seccomp) {
            return Err(PictureError::NotConfined(Layer::Seccomp));
        }
        Ok(())
    }
}

/// A debug build can be told to act as on a system without a layer, for tests of what happens then.
#[cfg(debug_assertions)]
fn off() -> Vec<Layer> {
    let names = std::env::var_os("RENDERKEEP_SANDBOX_WITHOUT").unwrap_or_default();
    names.to_string_lossy().split(',').filter_map(|name| name.parse().ok()).collect()
}

#[cfg(not(debug_assertions))]
fn off() -> Vec<Layer> {
    Vec::new()
}

/// Cheap to clone; one per server process.
#[derive(Clone)]
pub struct Pictures {
    pool: Arc<Pool>,
}

struct Pool {
    setup: Setup,
    /// Started, confined, and waiting for a picture.
    spare: Mutex<Option<Decoder>>,
    slots: Arc<Semaphore>,
    large: Semaphore,
}

impl Pictures {
    /// Starts nothing yet.
    pub fn new(setup: Setup) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_AT_ONCE));
        let slots = Arc::new(Semaphore::new(cores));
        Self { pool: Arc::new(Pool { setup, spare: Mutex::default(), slots, large: Semaphore::new(1) }) }
    }

    /// Starts a decoder and asks what confines it; an error when that is not enough.
    pub async fn check(&self) -> Result<Held, PictureError> {
        let mut decoder = self.pool.take()?;
        let held = decoder.held(&self.pool.setup).await;
        self.pool.put_away(decoder, None, held.is_ok());
        held
    }

    /// Decodes a picture of this length and makes its small pictures.
    pub async fn examine<E: From<PictureError>>(
        &self,
        length: u64,
        bytes: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Picture, E> {
        let answer = self.ask(Task::Examine, length, bytes).await?;
        Ok(checked::picture(answer).map_err(PictureError::from)?)
    }

    /// A small picture as JPEG.
    pub async fn jpeg(&self, small: Bytes) -> Result<Bytes, PictureError> {
        let answer = self.ask_whole(Task::Jpeg, small).await?;
        Ok(checked::file(answer, MediaType::Jpeg)?)
    }

    /// A mask as PNG in the form that every reader understands alike: white and transparent is what is to be painted anew.
    pub async fn plain_mask(&self, mask: Bytes) -> Result<Bytes, PictureError> {
        let answer = self.ask_whole(Task::PlainMask, mask).await?;
        Ok(checked::file(answer, MediaType::Png)?)
    }

    /// A picture cut to a size, RGB, three bytes for each pixel.
    pub async fn pixels(&self, picture: Bytes, width: u32, height: u32) -> Result<Bytes, PictureError> {
        let answer = self.ask_whole(Task::Pixels { width, height }, picture).await?;
        Ok(checked::pixels(answer, width, height, 3)?)
    }

    /// A mask cut to a size: for each pixel how much of it is to be painted anew.
    pub async fn mask_pixels(&self, mask: Bytes, width: u32, height: u32) -> Result<Bytes, PictureError> {
        let answer = self.ask_whole(Task::MaskPixels { width, height }, mask).await?;
        Ok(checked::pixels(answer, width, height, 1)?)
    }

    async fn ask_whole(&self, task: Task, bytes: Bytes) -> Result<checked::Answer, PictureError> {
        let length = bytes.len() as u64;
        self.ask(task, length, stream::iter([Ok(bytes)])).await
    }

    async fn ask<E: From<PictureError>>(
        &self,
        task: Task,
        length: u64,
        bytes: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<checked::Answer, E> {
        let pool = &self.pool;
        // Never closed.
        let slot = pool.slots.clone().acquire_owned().await.ok();
        let mut decoder = pool.take()?;
        if let Err(error) = decoder.held(&pool.setup).await {
            tracing::error!(error = chain(&error), "a decoder cannot be used");
            pool.put_away(decoder, slot, false);
            return Err(error.into());
        }
        let answer = decoder.decode(task, length, bytes, pool).await;
        let told = match answer {
            Ok(answer) => Ok(answer),
            Err(Broken::Source(error)) => Err(error),
            Err(Broken::Refused(refusal)) => Err(PictureError::Refused(refusal).into()),
            Err(Broken::Decoder(reason)) => {
                tracing::warn!(%reason, status = decoder.end(), "a decoder failed; its picture counts as unreadable");
                Err(PictureError::Refused(Refusal::Undecodable).into())
            }
        };
        pool.put_away(decoder, slot, true);
        told
    }
}

impl Pool {
    /// The spare one, or a new one.
    fn take(&self) -> Result<Decoder, PictureError> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut decoder) = spare
            && decoder.lives()
        {
            return Ok(decoder);
        }
        Decoder::start(&self.setup).map_err(PictureError::Unavailable)
    }

    /// Ends a decoder and starts the next spare one, beside the threads that answer. Its slot is free only then, so that
    /// there are never more processes than slots and the spare one.
    fn put_away(self: &Arc<Self>, decoder: Decoder, slot: Option<OwnedSemaphorePermit>, again: bool) {
        let pool = self.clone();
        let work = move || {
            drop(decoder);
            if again {
                pool.keep_spare();
            }
            drop(slot);
        };
        // Ends with the runtime at the latest; the process ends with its pipes in any case.
        drop(tokio::task::spawn_blocking(work));
    }

    fn keep_spare(&self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.is_none() {
            // When it cannot be started now, the next picture tries again and says so.
            *spare = Decoder::start(&self.setup).ok();
        }
    }
}
