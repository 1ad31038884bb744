//! The hidden command that a server starts for each picture; see `platform::pictures`.

use std::process::ExitCode;

use clap::Args;

use crate::platform::pictures::inside::{
    self,
    layers::{Layer, Limits},
};

#[derive(Debug, Args)]
pub(super) struct Decoder {
    /// Bytes of address space.
    #[arg(long)]
    memory: u64,
    /// Seconds of the processor.
    #[arg(long)]
    seconds: u64,
    /// Layers that are left out, for tests.
    #[cfg(debug_assertions)]
    #[arg(long)]
    without: Vec<Layer>,
}

impl Decoder {
    #[cfg(debug_assertions)]
    fn off(&self) -> &[Layer] {
        &self.without
    }

    #[cfg(not(debug_assertions))]
    fn off(&self) -> &[Layer] {
        &[]
    }
}

/// Nobody reads its errors: whoever started it sees that it has ended.
pub(super) fn decode(decoder: &Decoder) -> ExitCode {
    let limits = Limits { memory: decoder.memory, seconds: decoder.seconds };
    inside::run(limits, decoder.off()).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}
