//! Signals that ask this process to end: the first ends it in order, the second at once.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancelled by the first signal. Children notice by themselves when the second ends us.
pub(super) fn on_signal(hangup_too: bool) -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let hangup = hangup_too.then(SignalKind::hangup);
    for kind in [SignalKind::terminate(), SignalKind::interrupt()].into_iter().chain(hangup) {
        let mut asked = signal(kind).context("Signals cannot be received. Check the limits of this user.")?;
        let stop = stop.clone();
        tokio::task::spawn(async move {
            while asked.recv().await.is_some() {
                if stop.is_cancelled() {
                    at_once();
                }
                stop.cancel();
            }
        });
    }
    Ok(stop)
}

#[expect(clippy::disallowed_methods, reason = "somebody asked twice: nothing is put away any more")]
fn at_once() {
    std::process::exit(1);
}
