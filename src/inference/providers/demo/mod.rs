//! The built-in painter: pictures from words and a seed, without a model and without a network.
//!
//! It is there so that everything can be tried before there is a contract, and so that tests have a provider that fails on
//! demand: its faulty models exist only while `inference.demo_faults` is on.

use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use image::RgbImage;
use tokio_util::sync::CancellationToken;

use self::{
    paint::{Painting, STEPS},
    pictures::Materials,
};
use super::{Answer, Billed, Failure, Image, Progress, Provider, Watch, Work};
use crate::{base::ctx::Ctx, platform::pictures::Pictures};

pub mod catalog;
mod paint;
mod pictures;

/// How a model of this provider behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Painter,
    /// Takes ten seconds.
    Slow,
    /// Refuses at once.
    Fail,
    /// Fails after half the work.
    FailLate,
    /// Bills twice the price.
    Overbill,
    /// Takes the work on and never answers.
    Silent,
}

impl Manner {
    pub const ALL: [Self; 6] = [Self::Painter, Self::Slow, Self::Fail, Self::FailLate, Self::Overbill, Self::Silent];

    /// The name that the catalog sends.
    pub fn name(self) -> &'static str {
        match self {
            Self::Painter => "painter",
            Self::Slow => "slow",
            Self::Fail => "fail",
            Self::FailLate => "fail-late",
            Self::Overbill => "overbill",
            Self::Silent => "silent",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|manner| manner.name() == name)
    }
}

pub struct Demo {
    /// After which a silent model counts as lost.
    pub timeout: Duration,
    pub pictures: Pictures,
}

#[async_trait(?Send)]
impl Provider for Demo {
    async fn submit(&self, _ctx: &Ctx, work: &Work, watch: Arc<dyn Watch>) -> Result<Answer, Failure> {
        match Manner::of(&work.model) {
            None => Err(Failure::failed("provider.refused", "The demo painter has no such model.", false)),
            Some(Manner::Fail) => Err(Failure::failed(
                "provider.refused",
                "The demo model refused this, as it always does. Nothing was charged.",
                false,
            )),
            Some(Manner::Silent) => self.silence(&watch).await,
            Some(manner) => paint(manner, work, watch, &self.pictures).await,
        }
    }
}

impl Demo {
    async fn silence(&self, watch: &Arc<dyn Watch>) -> Result<Answer, Failure> {
        watch.accepted();
        let cancel = watch.cancel();
        tokio::select! {
            () = cancel.cancelled() => Err(Failure::cancelled()),
            () = tokio::time::sleep(self.timeout) => Err(Failure::unknown(
                "provider.timed_out",
                "The demo model took this on and did not answer in time, as it always does. \
                 What was set aside stays set aside until an owner ends it.",
            )),
        }
    }
}

async fn paint(manner: Manner, work: &Work, watch: Arc<dyn Watch>, pictures: &Pictures) -> Result<Answer, Failure> {
    watch.accepted();
    let materials = Materials::of(work, pictures).await?;
    let stop = watch.cancel().child_token();
    // Nobody waits any more when this future is dropped, and the thread stops too.
    let _guard = stop.clone().drop_guard();
    let (session, work_there) = (Session { manner, watch, stop }, work.clone());
    let painted = tokio::task::spawn_blocking(move || session.all(&work_there, &materials)).await;
    let images = painted.map_err(|_| Failure::failed("provider.failed", "The demo painter failed.", true))??;
    let billed = match manner {
        Manner::Overbill => Billed::Micros(work.held.times(2).unwrap_or(work.held)),
        _ => Billed::AsPriced,
    };
    Ok(Answer { images, billed })
}

/// One request being painted, on a thread of its own.
struct Session {
    manner: Manner,
    watch: Arc<dyn Watch>,
    stop: CancellationToken,
}

/// Why a painting ended early.
enum Halt {
    Cancelled,
    Failed,
}

impl Session {
    fn all(&self, work: &Work, materials: &Materials) -> Result<Vec<Image>, Failure> {
        (0..work.count).map(|number| self.one(work, materials, number)).collect()
    }

    fn one(&self, work: &Work, materials: &Materials, number: u32) -> Result<Image, Failure> {
        let seed = work.seed.wrapping_add(number);
        let (width, height) = (work.size.width, work.size.height);
        let painting = Painting {
            prompt: &work.prompt,
            seed,
            width,
            height,
            photo: materials.photo.as_deref(),
            strength: materials.strength,
            mask: materials.mask.as_deref(),
            fine: work.parameters.get("quality").is_some_and(|quality| quality == "high"),
        };
        let (mut halt, mut at) = (None, Instant::now());
        let painted =
            paint::paint(&painting, &mut |step, preview| match self.after(step, preview, work, number, &mut at) {
                None => ControlFlow::Continue(()),
                Some(why) => {
                    halt = Some(why);
                    ControlFlow::Break(())
                }
            });
        match (painted, halt) {
            (Some(rgb), _) => Ok(Image { bytes: pictures::encode(rgb, work)?, seed: Some(seed) }),
            (None, Some(Halt::Failed)) => Err(Failure::failed(
                "provider.failed",
                "The demo model failed halfway, as it always does. Nothing was charged.",
                true,
            )),
            (None, _) => Err(Failure::cancelled()),
        }
    }

    /// Tells what was done and says whether to go on.
    fn after(&self, step: u32, preview: &RgbImage, work: &Work, number: u32, at: &mut Instant) -> Option<Halt> {
        let (done, all) = (number * STEPS + step, work.count * STEPS);
        self.watch.progress(Progress {
            step: words(step, number, work.count),
            fraction: Some(f64::from(done) / f64::from(all.max(1))),
            preview: pictures::preview(preview),
        });
        if self.manner == Manner::FailLate && done * 2 >= all {
            return Some(Halt::Failed);
        }
        if self.manner == Manner::Slow {
            self.dawdle(Duration::from_secs(10) / all.max(1), at);
        }
        self.stop.is_cancelled().then_some(Halt::Cancelled)
    }

    /// Until `whole` has passed since the last time, or somebody cancels.
    fn dawdle(&self, whole: Duration, at: &mut Instant) {
        while at.elapsed() < whole && !self.stop.is_cancelled() {
            std::thread::sleep((whole - at.elapsed().min(whole)).min(Duration::from_millis(50)));
        }
        *at = Instant::now();
    }
}

fn words(step: u32, number: u32, count: u32) -> String {
    match count {
        1 => format!("Painting, step {step} of {STEPS}"),
        count => format!("Painting picture {} of {count}, step {step} of {STEPS}", number + 1),
    }
}
