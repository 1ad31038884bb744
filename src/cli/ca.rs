//! `renderkeep ca`: a certificate authority of one's own, for evaluation and for networks without another one.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use super::out;
use crate::{
    app::tls::authority::{Authority, LOCAL, local_files, save},
    base::clock::Clock,
};

#[derive(Debug, Subcommand)]
pub(super) enum Ca {
    /// Make an authority that may sign for the given names only.
    Init(Names),
    /// Make a certificate for a server; run it again to renew.
    Issue(Names),
    /// Print where its certificate is, its fingerprint, and when it ends.
    Show(Which),
}

#[derive(Debug, Args)]
pub(super) struct Which {
    /// Where the authority is kept.
    #[arg(long, value_name = "DIR")]
    directory: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Names {
    #[command(flatten)]
    which: Which,
    /// A host's name or address; those of this machine when none is given.
    #[arg(long = "name", value_name = "NAME", default_values_t = LOCAL.map(str::to_owned))]
    names: Vec<String>,
}

pub(super) fn run(ca: Ca) -> anyhow::Result<ExitCode> {
    let now = Clock::system().now();
    match ca {
        Ca::Init(Names { which, names }) => show(&Authority::init(&which.directory, &names, now)?)?,
        Ca::Show(which) => show(&Authority::open(&which.directory)?)?,
        Ca::Issue(Names { which, names }) => {
            let issued = Authority::open(&which.directory)?.issue(&names, now)?;
            let (certificate, key) = local_files(&which.directory);
            save(&issued, &certificate, &key)?;
            out::say(&format!(
                "Certificate  {}\nKey          {}\nEnds         {}",
                certificate.display(),
                key.display(),
                issued.ends_at.to_rfc3339()
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(authority: &Authority) -> anyhow::Result<()> {
    let shown = authority.show()?;
    out::say(&format!(
        "Certificate  {}\nSHA-256      {}\nEnds         {}",
        shown.file.display(),
        shown.fingerprint,
        shown.ends_at.to_rfc3339()
    ));
    Ok(())
}
