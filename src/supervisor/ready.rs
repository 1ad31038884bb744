//! `run/ready.json`: how programs find a running server. It is there only while the server answers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{Kept, Pids, Ports, Refusal, directory::write_json};

#[derive(Clone, Debug, Serialize)]
pub struct Ready {
    pub url: String,
    /// The certificate of the authority that signed ours, when it is our own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    pub version: &'static str,
    /// RFC 3339.
    pub started_at: String,
    pub pid: u32,
    pub pids: Pids,
    pub ports: Ports,
    pub owner: Owner,
}

#[derive(Clone, Debug, Serialize)]
pub struct Owner {
    pub mail: String,
    /// Gone once it was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_time_password: Option<String>,
}

const NAME: &str = "ready.json";

impl Ready {
    /// Names the children that run, and where.
    pub fn follow(&mut self, kept: &Kept, pids: &Pids) {
        // Read anew: a store that came later has got its port since.
        let mut ports = Kept::read(kept.path()).map_or_else(|_| kept.ports.clone(), |now| now.ports);
        ports.stores.retain(|kind, _| pids.stores.contains_key(kind.as_str()));
        (self.ports, self.pids) = (ports, pids.clone());
    }

    /// Replaces the file in one step; nobody reads half of it.
    pub fn write(&self, run: &Path) -> Result<(), Refusal> {
        write_json(&run.join(NAME), self)
    }
}

pub fn remove(run: &Path) {
    let _ = fs::remove_file(run.join(NAME));
}
