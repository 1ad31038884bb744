//! `renderkeep up`: Postgres and the store as children of this process, below one data directory.
//!
//! Only this module starts processes. No child outlives us, even when we are killed with -9: each is started through our
//! own binary (`launcher`), which asks the kernel to signal it when its parent thread ends. That thread is `children`,
//! which lives until all have stopped.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    thread,
};

use futures::future::join_all;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{self, Bundled, Supervisor},
    platform::telemetry::Notices,
};

mod child;
mod directory;
pub mod launcher;
mod postgres;
mod privileges;
pub mod proxies;
pub mod ready;
mod store;
mod way;

pub use directory::{Directory, Kept, Ports, Stores, is_in_use};
pub use privileges::drop_root;
pub use store::program as store_program;

/// Why it does not start: one sentence for people and what they can do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

impl Refusal {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }

    fn io(what: &str, path: &Path, error: &std::io::Error) -> Self {
        if error.raw_os_error() == Some(nix::errno::Errno::ENOSPC as i32) {
            return Self(format!("The disk of {} is full. Free some space and start again.", path.display()));
        }
        Self(format!("{} {what}: {error}. Check that the directory can be used by this user.", path.display()))
    }
}

/// The children's process numbers; none while one is being started again.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pids {
    pub postgres: Option<u32>,
    /// Under the name of each store that runs.
    #[serde(flatten)]
    pub stores: BTreeMap<&'static str, Option<u32>>,
}

/// The running children.
pub struct Tree {
    pub pids: watch::Receiver<Pids>,
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Tree {
    /// Starts all and returns when all answer. Cancelling `stop` while they start ends them again.
    pub async fn start(
        kept: &Kept,
        config: &config::Config,
        notices: Notices,
        stop: &CancellationToken,
    ) -> Result<Self, Refusal> {
        let postgres = postgres::plan(kept, config)?;
        let stores = kept.stores.all().map(|kind| store::plan(kept, kind, &config.supervisor));
        let stores = stores.collect::<Result<Vec<_>, _>>()?;
        let (pids_sender, pids) = watch::channel(Pids::default());
        let (started_sender, started) = oneshot::channel();
        let (ended_sender, ended) = oneshot::channel();
        // Not a child of the caller's token: the server stops first, and only then its children.
        let (starting, stopping) = (stop.clone(), CancellationToken::new());
        let watch = child::Watch { pids: pids_sender, notices };
        let plan = Plan { postgres, stores, data: kept.path().to_owned(), settings: config.supervisor.clone() };
        let running = stopping.clone();
        let work = move || {
            let outcome = children(&plan, &watch, starting, running, started_sender);
            if let Err(error) = outcome {
                tracing::error!(%error, "the children's thread could not be started");
            }
            let _ = ended_sender.send(());
        };
        thread::Builder::new()
            .name("children".to_owned())
            .spawn(work)
            .map_err(|error| Refusal(format!("No thread could be started: {error}. Check the limits of this user.")))?;
        match started.await {
            Ok(Ok(())) => Ok(Self { pids, stop: stopping, ended }),
            Ok(Err(refusal)) => {
                let _ = ended.await;
                Err(refusal)
            }
            Err(_) => Err(Refusal::new("Postgres and the store could not be watched. Start again.")),
        }
    }

    /// Stops the store, then Postgres, and returns when both are gone.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.ended.await;
    }
}

struct Plan {
    postgres: postgres::Plan,
    /// Those that run from the start; more may follow.
    stores: Vec<store::Plan>,
    data: PathBuf,
    settings: Supervisor,
}

fn children(
    plan: &Plan,
    watch: &child::Watch,
    starting: CancellationToken,
    running: CancellationToken,
    started: oneshot::Sender<Result<(), Refusal>>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stores = join_all(plan.stores.iter().map(|store| store.start(watch, &starting)));
        let (postgres, stores) = tokio::join!(plan.postgres.start(watch, &starting), stores);
        let refusals =
            postgres.as_ref().err().into_iter().chain(stores.iter().filter_map(|store| store.as_ref().err()));
        let refusal = refusals.map(|refusal| Refusal(refusal.0.clone())).next();
        let postgres = match (refusal, postgres) {
            (None, Ok(postgres)) => postgres,
            (refusal, postgres) => {
                for child in stores.into_iter().chain([postgres]).flatten() {
                    child.end().await;
                }
                let _ = started.send(Err(refusal.unwrap_or_else(|| Refusal::new("The children did not start."))));
                return;
            }
        };
        let _ = started.send(Ok(()));
        let mut first: Vec<_> = plan.stores.iter().zip(stores.into_iter().flatten()).collect();
        let mut take = |kind| first.iter().position(|(plan, _)| plan.kind == kind).map(|at| first.swap_remove(at));
        let followed = Bundled::ALL
            .map(|kind| store::follow(kind, take(kind), &plan.data, &plan.settings, watch, &running))
            .into_iter();
        let last = CancellationToken::new();
        let stores = async {
            join_all(followed).await;
            last.cancel();
        };
        tokio::join!(stores, postgres.keep(async || plan.postgres.answers().await, watch, &last));
    });
    Ok(())
}

/// Whether a name can be found on the search path of programs.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|candidate| candidate.is_file())
}
