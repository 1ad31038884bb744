//! The command: what `renderkeep` on a command line does. Exit status 0 done, 1 failed, 2 wrong usage.
//!
//! Results go to standard output and nowhere else; an error goes to standard error as one sentence and what to do. Each
//! command has a file. Only here a runtime is built, because privileges must be dropped before there is a second thread.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::{
    platform::pictures,
    supervisor::{self, launcher},
};

mod audit;
mod ca;
mod child;
mod config;
mod decoder;
mod doctor;
mod keys;
mod migrate;
mod openapi;
mod out;
mod place;
mod serve;
mod stop;
mod storage;
mod token;
mod up;
mod user;
mod version;

/// Your own server for making images with generative models.
#[derive(Debug, Parser)]
#[command(name = "renderkeep", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run everything below one directory: Postgres, the store and the server. For trying it out.
    Up(up::Up),
    /// Run the server against the configured Postgres and S3.
    Serve(serve::Serve),
    /// API tokens.
    #[command(subcommand)]
    Token(token::Token),
    /// People.
    #[command(subcommand)]
    User(user::User),
    /// The settings.
    #[command(subcommand)]
    Config(config::Settings),
    /// The keys that everything is sealed with.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// The stored objects.
    #[command(subcommand)]
    Storage(storage::Storage),
    /// The audit log.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// A certificate authority of your own.
    #[command(subcommand)]
    Ca(ca::Ca),
    /// Bring the database to this version.
    Migrate(migrate::Migrate),
    /// Look whether everything that the server needs is in order.
    Doctor(doctor::Doctor),
    /// Print the description of the API.
    Openapi,
    /// Print the version.
    Version(version::Version),
    /// A step of `up`, not for people.
    #[command(name = launcher::SUBCOMMAND, hide = true)]
    SuperviseChild(child::Child),
    /// The process that decodes one picture, not for people.
    #[command(name = pictures::SUBCOMMAND, hide = true)]
    DecodePicture(decoder::Decoder),
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if let Err(error) = supervisor::proxies::leave() {
        out::complain(&anyhow::Error::new(error).context(
            "The program could not be started again without the proxies of the environment. Start it without HTTP_PROXY, \
             HTTPS_PROXY and ALL_PROXY; a proxy for providers is set as egress.proxy.",
        ));
        return ExitCode::FAILURE;
    }
    // One provider of TLS for the whole process. Only this may fail: that there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(cli.verb) {
        Ok(code) => code,
        Err(error) => {
            out::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::SuperviseChild(child) => Err(child::become_it(&child)),
        // Before there is a second thread: a filter of system calls belongs to the thread that sets it.
        Verb::DecodePicture(decoder) => Ok(decoder::decode(&decoder)),
        Verb::Up(up) => {
            // Before there is a second thread: privileges belong to each thread of its own.
            let user = supervisor::drop_root(&up.data)?;
            wait_for(up::up(up, user))
        }
        Verb::Serve(serve) => wait_for(serve::serve(serve)),
        Verb::Token(token::Token::Create(create)) => wait_for(token::create(create)),
        Verb::User(user::User::Add(add)) => wait_for(user::add(add)),
        Verb::Config(settings) => config::run(settings),
        Verb::Keys(keys::Keys::Rotate(rotate)) => wait_for(keys::rotate(rotate)),
        Verb::Keys(keys::Keys::Status(look)) => wait_for(keys::status(look)),
        Verb::Storage(storage) => wait_for(storage::run(storage)),
        Verb::Audit(audit) => wait_for(audit::run(audit)),
        Verb::Ca(ca) => ca::run(ca),
        Verb::Migrate(migrate) => wait_for(migrate::migrate(migrate)),
        Verb::Doctor(doctor) => wait_for(doctor::doctor(doctor)),
        Verb::Openapi => openapi::openapi(),
        Verb::Version(version) => version::version(&version),
    }
}

/// Threads begin here.
fn wait_for(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("No threads can be had. Check the limits of this user.")?;
    let outcome = runtime.block_on(Box::pin(work));
    // What still blocks a thread, such as a slow look-up of a name, must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_usage_is_status_2_and_help_is_0() {
        let status = |line: &str| Cli::try_parse_from(line.split(' ')).unwrap_err().exit_code();
        for wrong in [
            "renderkeep",
            "renderkeep fly",
            "renderkeep up",
            "renderkeep up --data d --port 70000",
            "renderkeep serve --roles web,cook",
            "renderkeep token create --person a@example.org",
            "renderkeep token create --data d --config f --person a@example.org",
            "renderkeep token create --data d --person a@example.org --scope all",
            "renderkeep token create --data d --person a@example.org --expires 90",
            "renderkeep token create --data d --person nobody",
            "renderkeep user add --data d --mail a@example.org --name A --role king",
            "renderkeep audit verify",
            "renderkeep audit verify --data d --key 12",
            "renderkeep audit export --data d",
        ] {
            assert_eq!(status(wrong), 2, "{wrong}");
        }
        assert_eq!(status("renderkeep --help"), 0);
    }

    #[test]
    fn every_documented_command_is_understood() {
        for line in [
            "renderkeep up --data d --port 8080",
            "renderkeep serve --config f --roles worker",
            "renderkeep token create --data d --person a@example.org --scope read --scope admin --expires 90d",
            "renderkeep user add --config f --mail a@example.org --name A --role owner",
            "renderkeep config check --config f",
            "renderkeep config example",
            "renderkeep config show",
            "renderkeep keys rotate --data d",
            "renderkeep keys rotate --config f --epoch",
            "renderkeep keys status --data d --json",
            "renderkeep migrate",
            "renderkeep doctor --json",
            "renderkeep storage verify --data d --json",
            "renderkeep storage copy --data d --to versitygw",
            "renderkeep storage copy --config f --to https://s3.example.org/pictures",
            "renderkeep storage empty --config f",
            "renderkeep audit verify --data d --json --checkpoints f",
            "renderkeep audit export --config f --format csv",
            "renderkeep audit key --data d",
            "renderkeep up --data d --tls",
            "renderkeep up --data d --store versitygw",
            "renderkeep ca init --directory d --name example.org --name 10.0.0.5",
            "renderkeep ca issue --directory d",
            "renderkeep ca show --directory d",
            "renderkeep openapi",
            "renderkeep version --json",
            "renderkeep decode-picture --memory 1 --seconds 1",
            "renderkeep supervise-child --parent 1 --end SIGTERM -- /bin/true -x",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }
}
