//! One message to the machine's syslog, in the form of RFC 5424.

use std::{io, path::Path, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};

/// Facility 13 (log audit), severity 5 (notice).
const PRIORITY: u8 = 13 * 8 + 5;
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn send(socket: &Path, at: DateTime<Utc>, message: &str) -> io::Result<()> {
    let datagram = tokio::net::UnixDatagram::unbound()?;
    // A service that is stuck leaves the sender waiting.
    tokio::time::timeout(PATIENCE, datagram.send_to(line(at, message).as_bytes(), socket)).await??;
    Ok(())
}

/// The host's name is left to whoever collects: it knows the machine better than we do.
fn line(at: DateTime<Utc>, message: &str) -> String {
    let at = at.to_rfc3339_opts(SecondsFormat::Micros, true);
    format!("<{PRIORITY}>1 {at} - renderkeep {} audit-checkpoint - {message}", std::process::id())
}
