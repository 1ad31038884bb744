//! `renderkeep serve`: the server against the configured Postgres and S3.

use std::{net::TcpListener, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::{
    out,
    place::{file_or_usual, of_process},
    stop,
};
use crate::{
    app::{
        lifecycle::{self, Roles},
        tls::Certificates,
    },
    config::{Telemetry, load},
    platform::{
        Platform,
        telemetry::{Notices, logs, metrics},
    },
};

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The configuration file; /etc/renderkeep/config.toml when there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which parts this process is.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Role::Web, Role::Worker])]
    roles: Vec<Role>,
}

/// A part of the server that a process can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    Web,
    Worker,
}

pub(super) async fn serve(serve: Serve) -> anyhow::Result<ExitCode> {
    let config = load(&of_process(file_or_usual(serve.config)))?;
    logs::start(&config.telemetry)?;
    let certificates = Certificates::load(&config.tls)?;
    // With TLS a hangup reads the certificates again.
    let stop = stop::on_signal(certificates.is_none())?;
    let roles = Roles { web: serve.roles.contains(&Role::Web), worker: serve.roles.contains(&Role::Worker) };
    let listener = listen(&config.server.host, if roles.web { config.server.port } else { 0 })?;
    let metrics = measure(&config.telemetry)?;
    let platform = Box::pin(lifecycle::open(config, Notices::default())).await?;
    if let Some(first) = Box::pin(lifecycle::prepare(&platform)).await? {
        out::say(&format!("First sign-in: {}, one-time password {}", first.mail, first.one_time_password));
    }
    run(platform, roles, listener, metrics, stop).await?;
    Ok(ExitCode::SUCCESS)
}

fn listen(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((host, port)).with_context(|| {
        format!(
            "{host}:{port} cannot be listened on. Stop the program that uses it, or change server.host or server.port."
        )
    })
}

/// The listener of `/metrics`, if one is set.
pub(super) fn measure(telemetry: &Telemetry) -> anyhow::Result<Option<metrics::Metrics>> {
    telemetry
        .metrics
        .map(metrics::start)
        .transpose()
        .context("/metrics cannot be listened on. Stop the program that uses its address, or change telemetry.metrics.")
}

/// The server with its numbers, until `stop`.
pub(super) async fn run(
    platform: Platform,
    roles: Roles,
    listener: TcpListener,
    metrics: Option<metrics::Metrics>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let measured = stop.clone();
    let measuring = async {
        match metrics {
            Some(metrics) => metrics.serve(measured).await,
            None => Ok(()),
        }
    };
    let serving = async {
        let served = Box::pin(lifecycle::run(platform, roles, listener, stop.clone())).await;
        // It may have ended by itself; then there is nothing to measure any more.
        stop.cancel();
        served
    };
    let (measured, served) = tokio::join!(measuring, serving);
    served?;
    Ok(measured?)
}
