//! `renderkeep up`: everything below one directory, in the foreground.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use chrono::SecondsFormat;
use clap::Args;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    out,
    place::{of_process, own_file},
    serve, stop,
    version::VERSION,
};
use crate::{
    app::{
        lifecycle::{self, Roles},
        tls,
    },
    base::clock::Clock,
    config::{Bundled, Config, bundled, load, port},
    organisation::{self, model::FirstPassword},
    platform::{
        Platform,
        telemetry::{Notices, logs},
    },
    supervisor::{
        Directory, Kept, Pids, Tree,
        ready::{self, Owner, Ready},
    },
};

/// How often it looks whether the certificate of our own authority needs renewal.
const RENEW_EVERY: Duration = Duration::from_secs(3600);
/// The first byte of a TLS alert.
const ALERT: u8 = 21;
/// How often it looks whether the first owner has chosen a password.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct Up {
    /// Where everything is kept; made when it is not there.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The port of the pages and the API; server.port when not given, and else chosen once and kept. 0: any that is free.
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Which store keeps the objects, minio or versitygw; chosen when the directory is made. minio when not given.
    #[arg(long, value_name = "STORE")]
    store: Option<Bundled>,
    /// Speak TLS, with a certificate of an authority that is made below the directory.
    #[arg(long)]
    tls: bool,
}

/// Everything that one run of `up` needs, taken before the first process is started.
struct Taken {
    /// Holds the directory as long as this runs.
    _directory: Directory,
    kept: Kept,
    listener: TcpListener,
    config: Config,
    ours: Ours,
}

/// What the greeting tells beside what is ready.
struct Ours {
    /// Where the authority is, when it is ours.
    authority: Option<PathBuf>,
    /// Whom it became, when root started it.
    user: Option<String>,
}

/// `user` is whom this process became, if root started it.
pub(super) async fn up(up: Up, user: Option<String>) -> anyhow::Result<ExitCode> {
    let stop = stop::on_signal(true)?;
    let Taken { _directory, kept, listener, config, ours } = take(&up, user)?;
    logs::start(&config.telemetry)?;
    let notices = Notices::default();
    let tree = match Tree::start(&kept, &config, notices.clone(), &stop).await {
        // Whoever stopped it knows why it is not there.
        Err(_) if stop.is_cancelled() => return Ok(ExitCode::SUCCESS),
        started => started?,
    };
    let serving = Box::pin(serve(config, notices, &kept, tree.pids.clone(), listener, &ours, stop.clone()));
    let renewing = renew(ours.authority.as_deref(), &stop);
    let served = tokio::select! {
        served = serving => served,
        () = renewing => Ok(()),
    };
    ready::remove(&kept.run());
    tree.stop().await;
    served?;
    Ok(ExitCode::SUCCESS)
}

fn take(up: &Up, user: Option<String>) -> anyhow::Result<Taken> {
    let directory = Directory::open(&up.data)?;
    // In a terminal beside its greeting: only what somebody should look at, in words for people.
    let mut sources =
        of_process(own_file(directory.path())).preset("telemetry.format", "pretty").preset("telemetry.log", "warn");
    if let Some(store) = up.store {
        sources = sources.flag("storage.bundled", store.as_str());
    }
    // Also where the command line names another one: what is set must be right.
    let set = port(&sources)?;
    let listener = directory.listen(up.port.or(set))?;
    let kept = directory.keep(listener.local_addr()?.port(), bundled(&sources)?)?;
    let mut sources = kept.flags(sources)?;
    let mut authority = None;
    if up.tls {
        let directory = kept.path().join("tls");
        tls::authority::local(&directory, Clock::system().now())?;
        let (certificate, key) = tls::authority::local_files(&directory);
        sources = sources.flag("tls.certificate", certificate.to_string_lossy()).flag("tls.key", key.to_string_lossy());
        authority = Some(directory);
    }
    let config = load(&sources)?;
    tls::Certificates::load(&config.tls)?;
    Ok(Taken { _directory: directory, kept, listener, config, ours: Ours { authority, user } })
}

/// Keeps the certificate of our own authority young. The server reads it again by itself.
async fn renew(authority: Option<&Path>, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = sleep(RENEW_EVERY) => {}
            () = stop.cancelled() => {}
        }
        if let Some(Err(error)) = authority.map(|directory| tls::authority::local(directory, Clock::system().now())) {
            tracing::error!(%error, "the certificate could not be renewed");
        }
    }
    // The server ends in its own time.
    std::future::pending().await
}

async fn serve(
    config: Config,
    notices: Notices,
    kept: &Kept,
    pids: watch::Receiver<Pids>,
    listener: TcpListener,
    ours: &Ours,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let metrics = serve::measure(&config.telemetry)?;
    let opening = async {
        let platform = Box::pin(lifecycle::open(config, notices)).await?;
        let first = Box::pin(lifecycle::prepare(&platform)).await?;
        // The directory is locked, so nobody else works on this database.
        lifecycle::take_over(&platform).await?;
        anyhow::Ok((platform, first))
    };
    let (platform, first) = tokio::select! {
        opened = opening => opened?,
        () = stop.cancelled() => return Ok(()),
    };
    let mut ready = ready(&platform, kept, pids.borrow().clone(), first).await?;
    ready.ca = ours.authority.as_ref().map(|directory| directory.join("ca.pem"));
    let announcing = announce(&platform, ready, kept, ours.user.as_deref(), pids, &stop);
    let serving = serve::run(platform.clone(), Roles::ALL, listener, metrics, stop.clone());
    let ((), served) = tokio::join!(announcing, serving);
    served
}

async fn ready(platform: &Platform, kept: &Kept, pids: Pids, first: Option<FirstPassword>) -> anyhow::Result<Ready> {
    let owner = organisation::ops::first_owner(platform).await.map_err(out::told)?;
    let owner = owner.context("The organisation has no owner. Restore the data directory from a backup.")?;
    let scheme = if platform.config.tls.certificate.is_some() { "https" } else { "http" };
    let mut ready = Ready {
        url: format!("{scheme}://127.0.0.1:{}", kept.ports.http),
        ca: None,
        version: VERSION,
        started_at: platform.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true),
        pid: std::process::id(),
        pids: Pids::default(),
        ports: kept.ports.clone(),
        owner: Owner { mail: owner.mail, one_time_password: first.map(|first| first.one_time_password) },
    };
    ready.follow(kept, &pids);
    Ok(ready)
}

/// Says that it is ready once it is, and keeps `ready.json` true until `stop`.
async fn announce(
    platform: &Platform,
    mut ready: Ready,
    kept: &Kept,
    user: Option<&str>,
    mut pids: watch::Receiver<Pids>,
    stop: &CancellationToken,
) {
    tokio::select! {
        () = answers(ready.ports.http, platform.config.tls.certificate.is_some()) => {}
        () = stop.cancelled() => return,
    }
    let run = kept.run();
    let mut said = false;
    while !stop.is_cancelled() {
        if let Err(error) = ready.write(&run) {
            tracing::error!(%error, "ready.json cannot be written");
        }
        if !said {
            out::say(&greeting(&ready, kept.path(), user));
            said = true;
        }
        tokio::select! {
            changed = pids.changed() => match changed {
                Ok(()) => ready.follow(kept, &pids.borrow_and_update()),
                Err(_) => stop.cancelled().await,
            },
            () = password_chosen(platform), if ready.owner.one_time_password.is_some() => {
                ready.owner.one_time_password = None;
            }
            () = stop.cancelled() => {}
        }
    }
    ready::remove(&run);
}

/// Returns once the server answers at its port.
async fn answers(port: u16, tls: bool) {
    while !alive(port, tls).await.unwrap_or(false) {
        sleep(Duration::from_millis(5)).await;
    }
}

#[expect(clippy::disallowed_types, reason = "asks this same process, on loopback")]
async fn alive(port: u16, tls: bool) -> std::io::Result<bool> {
    let mut stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await?;
    if tls {
        // Plain HTTP is answered with an alert by whoever is ready to speak TLS.
        return Ok(stream.read_u8().await? == ALERT);
    }
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    Ok(head.ends_with(b" 200"))
}

/// Returns once the first owner has chosen a password.
async fn password_chosen(platform: &Platform) {
    loop {
        sleep(LOOK_EVERY).await;
        match organisation::ops::first_owner(platform).await {
            Ok(Some(owner)) if owner.must_change_password => {}
            Ok(_) => return,
            Err(error) => tracing::debug!(%error, "the first owner cannot be looked up at the moment"),
        }
    }
}

fn greeting(ready: &Ready, data: &Path, user: Option<&str>) -> String {
    let mut lines = vec![
        format!("Renderkeep {} is ready.", ready.version),
        String::new(),
        format!("  Address            {}", ready.url),
        format!("  Mail               {}", ready.owner.mail),
    ];
    if let Some(password) = &ready.owner.one_time_password {
        lines.push(format!("  One-time password  {password}"));
        lines.push("                     You choose your own when you sign in for the first time.".to_owned());
    }
    if let Some(ca) = &ready.ca {
        lines.push(format!("  Certificate of CA  {}", ca.display()));
        lines.push("                     Trust it in the browser; it can sign for this machine only.".to_owned());
    }
    if ready.ca.is_none() && data.join("tls/ca.pem").exists() {
        lines.push("  TLS                Off, and it was on before: add --tls to speak it again.".to_owned());
    }
    lines.push(format!("  Data               {}", data.display()));
    if let Some(user) = user {
        lines.push(format!("  Runs as            {user}"));
    }
    lines.push(String::new());
    lines.push("Stop it with Ctrl-C.".to_owned());
    lines.join("\n")
}
