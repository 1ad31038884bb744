//! What a picture that took its decoder over would try. Debug builds only: tests ask for these acts to prove that each
//! layer stops them, and that they succeed where no layer does.

use std::{fs, hint::black_box, io, os::unix::process::CommandExt};

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attempt {
    /// Nothing forbidden.
    Nothing,
    OpenFile,
    /// To this port of the loopback.
    Connect(u16),
    StartThread,
    StartProgram,
    BecomeProgram,
    SignalParent,
    /// So many bytes.
    Allocate(u64),
    Spin,
    Panic,
}

/// What came of it, if the process has lived.
pub type Outcome = Result<(), String>;

impl Attempt {
    pub fn run(self) -> Outcome {
        let outcome = std::panic::catch_unwind(|| self.act());
        outcome.map_or(Err("panicked".to_owned()), |outcome| outcome.map_err(|error| error.to_string()))
    }

    #[expect(clippy::disallowed_methods, clippy::disallowed_types, clippy::panic, reason = "these acts are forbidden")]
    fn act(self) -> io::Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::OpenFile => fs::File::open("/etc/hostname").map(drop),
            Self::Connect(port) => std::net::TcpStream::connect(("127.0.0.1", port)).map(drop),
            Self::StartThread => std::thread::Builder::new().spawn(|| {}).map(drop),
            Self::StartProgram => std::process::Command::new("/bin/true").status().map(drop),
            Self::BecomeProgram => Err(std::process::Command::new("/bin/true").exec()),
            Self::SignalParent => Ok(nix::sys::signal::kill(nix::unistd::getppid(), None)?),
            Self::Allocate(bytes) => {
                let size = usize::try_from(bytes).unwrap_or(usize::MAX);
                // Every page is touched, so that it is there.
                let mut taken = vec![0u8; size];
                taken.chunks_mut(4096).for_each(|page| page.fill(1));
                black_box(&taken);
                Ok(())
            }
            Self::Spin => loop {
                std::hint::spin_loop();
            },
            Self::Panic => panic!("as asked"),
        }
    }
}
