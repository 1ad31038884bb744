//! One supervised process: started, watched, started again when it dies, stopped.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Pids, Refusal, launcher};
use crate::platform::telemetry::Notices;

/// Waits before a dead child is started again: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// A child that ran this long has recovered; its next death begins with the shortest wait again.
const CALM: Duration = Duration::from_secs(60);
/// Between two questions whether it answers yet.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// Logs that are longer than this when a child starts are put aside.
const LOG_LIMIT: u64 = 16 << 20;

const STOPPED: &str = "Stopped before it had started.";

pub(super) struct Spec {
    /// The name of the notice, the log and the field of `Pids`.
    pub part: &'static str,
    /// How sentences begin: "The database".
    pub title: &'static str,
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub environment: Vec<(&'static str, OsString)>,
    pub directory: PathBuf,
    pub log: PathBuf,
    /// Ends it in order.
    pub stop: Signal,
    /// Ends it at once: when it does not stop, and when we die.
    pub end: Signal,
    pub patience: Duration,
    /// How long it may take until it answers for the first time.
    pub start_within: Duration,
}

/// Whom to tell about deaths and births.
pub(super) struct Watch {
    pub pids: watch::Sender<Pids>,
    pub notices: Notices,
}

impl Watch {
    fn pid(&self, part: &'static str, pid: Option<u32>) {
        self.pids.send_modify(|pids| match part {
            "postgres" => pids.postgres = pid,
            store => _ = pids.stores.insert(store, pid),
        });
    }

    /// It was stopped for good, and the rest goes on.
    pub fn ended(&self, part: &str) {
        self.pids.send_modify(|pids| _ = pids.stores.remove(part));
    }
}

pub(super) struct Running<'a> {
    spec: &'a Spec,
    child: Child,
}

impl Spec {
    /// Starts it and waits until it answers, ends by itself, or takes too long.
    pub async fn start(
        &self,
        answers: impl AsyncFn() -> bool,
        watch: &Watch,
        stop: &CancellationToken,
    ) -> Result<Running<'_>, Refusal> {
        let log_begins = std::fs::metadata(&self.log).map_or(0, |log| log.len());
        let child = self.spawn().map_err(|error| self.cannot_run(&error))?;
        watch.pid(self.part, child.id());
        let mut running = Running { spec: self, child };
        tokio::select! {
            _ = running.child.wait() => return Err(self.ended_at_once(log_begins)),
            () = until(answers) => return Ok(running),
            () = stop.cancelled() => {}
            () = sleep(self.start_within) => {}
        }
        running.end().await;
        Err(Refusal::new(if stop.is_cancelled() {
            STOPPED.to_owned()
        } else {
            let seconds = self.start_within.as_secs();
            format!("{} did not answer within {seconds} seconds. Its log is {}.", self.title, self.log.display())
        }))
    }

    /// Runs a program that ends by itself.
    pub async fn run(&self, stop: &CancellationToken) -> Result<(), Refusal> {
        let log_begins = std::fs::metadata(&self.log).map_or(0, |log| log.len());
        let child = self.spawn().map_err(|error| self.cannot_run(&error))?;
        let mut running = Running { spec: self, child };
        let status = tokio::select! {
            status = running.child.wait() => status,
            () = stop.cancelled() => {
                running.end().await;
                return Err(Refusal::new(STOPPED));
            }
        };
        match status {
            Ok(status) if status.success() => Ok(()),
            _ => Err(self.ended_at_once(log_begins)),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "part of the supervisor")]
    fn spawn(&self) -> std::io::Result<Child> {
        let log = self.open_log()?;
        // The program as it was started, even when the file was replaced since.
        Command::new("/proc/self/exe")
            .arg(launcher::SUBCOMMAND)
            .args(["--parent", &std::process::id().to_string(), "--end", self.end.as_str()])
            .arg("--")
            .arg(&self.program)
            .args(&self.arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.directory)
            // Ctrl-C in the terminal is for us; children are stopped in order.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
    }

    fn open_log(&self) -> std::io::Result<File> {
        if std::fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_LIMIT) {
            std::fs::rename(&self.log, self.log.with_extension("log.old"))?;
        }
        OpenOptions::new().create(true).append(true).mode(0o600).open(&self.log)
    }

    fn cannot_run(&self, error: &std::io::Error) -> Refusal {
        Refusal::new(format!("{} cannot be started: {error}. The program is {}.", self.title, self.program.display()))
    }

    /// What its log says about it, in its own words.
    fn ended_at_once(&self, log_begins: u64) -> Refusal {
        let said = self.log_since(log_begins);
        if said.contains("No space left on device") || said.contains("disk is full") {
            return Refusal::new(format!("{} cannot start: the disk is full. Free some space.", self.title));
        }
        let telling = ["FATAL:", "PANIC:", "could not", "ERROR", "Error:", "error:"];
        let line = telling.iter().find_map(|word| said.lines().find(|line| line.contains(word)));
        let line = line.or(said.lines().last()).unwrap_or("it said nothing").trim();
        let (title, log) = (self.title, self.log.display());
        let advice = match said.to_lowercase() {
            said if said.contains("address already in use") => {
                "Another program has its port: stop that one, or remove ports.json from the data directory, and others \
                 are chosen."
            }
            said if said.contains("permission") => "Set the permissions right; `renderkeep doctor` says how.",
            _ => "If it is damaged, restore the data directory from a backup.",
        };
        Refusal::new(format!(
            "{title} cannot start. It says: {line}. Its data was left as it is; the log is {log}. {advice}"
        ))
    }

    fn log_since(&self, begin: u64) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let begin = if begin > file.metadata()?.len() { 0 } else { begin };
            file.seek(SeekFrom::Start(begin))?;
            let mut bytes = Vec::new();
            file.take(1 << 16).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_default()
    }
}

impl Running<'_> {
    /// Watches it until `stop`, and starts it again whenever it dies.
    pub async fn keep(mut self, answers: impl AsyncFn() -> bool, watch: &Watch, stop: &CancellationToken) {
        let mut wait = BACKOFF.0;
        loop {
            let since = Instant::now();
            let status = tokio::select! {
                status = self.child.wait() => status,
                () = stop.cancelled() => return self.end().await,
                // The notice of the last death goes when it answers again; after that there is only waiting.
                never = async { until(&answers).await; watch.notices.clear(self.spec.part); std::future::pending().await } => never,
            };
            self.tell_death(watch, status);
            if since.elapsed() > CALM {
                wait = BACKOFF.0;
            }
            let Some(child) = self.again(&mut wait, stop).await else { return };
            watch.pid(self.spec.part, child.id());
            self.child = child;
        }
    }

    fn tell_death(&self, watch: &Watch, status: std::io::Result<std::process::ExitStatus>) {
        let Spec { part, title, .. } = self.spec;
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        tracing::error!(part, status, "a child died and is being started again");
        watch.pid(part, None);
        watch.notices.set(part, format!("{title} stopped and is being started again. Some things fail until then."));
    }

    /// The next child, after a wait that grows with every death; none when `stop` came first.
    async fn again(&self, wait: &mut Duration, stop: &CancellationToken) -> Option<Child> {
        loop {
            tokio::select! {
                () = stop.cancelled() => return None,
                () = sleep(*wait) => {}
            }
            *wait = (*wait * 2).min(BACKOFF.1);
            match self.spec.spawn() {
                Ok(child) => return Some(child),
                Err(error) => tracing::error!(part = self.spec.part, %error, "a child cannot be started"),
            }
        }
    }

    /// Asks it to stop, and makes it stop when it does not.
    pub async fn end(mut self) {
        for signal in [self.spec.stop, self.spec.end, Signal::SIGKILL] {
            let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) else { return };
            let _ = kill(Pid::from_raw(pid), signal);
            if timeout(self.spec.patience, self.child.wait()).await.is_ok() {
                return;
            }
            tracing::warn!(part = self.spec.part, %signal, "a child does not stop");
        }
    }
}

async fn until(answers: impl AsyncFn() -> bool) {
    while !answers().await {
        sleep(ASK_EVERY).await;
    }
}
