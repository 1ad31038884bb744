//! Named failure points: the places where a power cut would hurt most.
//!
//! A debug build that is started with one of these names in `RENDERKEEP_CRASH_AT` ends there as if by `kill -9`. Release
//! builds have no such points. `tests/integration/faults/walk.rs` walks all of them.
//!
//! Named in `RENDERKEEP_LEAK_AT` instead, a point sends one datagram past the one way out: the proof that the proof of
//! egress (`tests/egress`) finds what it is looking for.

/// Where the turn of an epoch and the change of the root key can be cut short.
pub const KEYRING_POINTS: &[&str] = &["keyring.turned", "keyring.resealed", "keyring.rotate", "keyring.rotated"];

/// In the order in which a move to another store meets them.
pub const STORAGE_POINTS: &[&str] = &[
    "storage.wanted",
    "storage.copying",
    "storage.copied",
    "storage.compared",
    "storage.moved",
    "storage.switch",
    "storage.switched",
    "storage.emptying",
    "storage.emptied",
];

/// In the order in which a generation meets them.
pub const POINTS: &[&str] = &[
    "studio.accept",
    "studio.accepted",
    "studio.begun",
    "studio.running",
    "studio.answered",
    "studio.put",
    "studio.stored",
    "studio.prepared",
    "studio.finish",
    "studio.finished",
];

/// In the order in which a picture of the library meets them: on its way in, to the trash, for good.
pub const LIBRARY_POINTS: &[&str] = &[
    "storage.opened",
    "storage.put",
    "library.prepared",
    "library.upload",
    "library.uploaded",
    "library.trash",
    "library.trashed",
    "library.delete",
    "library.deleted",
    "library.purge",
    "storage.retracted",
    "storage.removed",
];

/// After each migration, and after the roles got their rights.
pub const MIGRATION_POINTS: &[&str] = &["migrate.applied", "migrate.granted"];

/// Between the row of a call that leaves and its first byte.
pub const ON_THE_WAY_OUT: &str = "egress.opened";

#[cfg(debug_assertions)]
pub fn point(name: &'static str) {
    let walks = [POINTS, LIBRARY_POINTS, MIGRATION_POINTS, KEYRING_POINTS, STORAGE_POINTS, &[ON_THE_WAY_OUT]];
    let known = walks.iter().any(|points| points.contains(&name));
    debug_assert!(known, "{name} is not among the points that are walked");
    let wanted = |variable: &str| std::env::var_os(variable).is_some_and(|wanted| wanted == name);
    if wanted("RENDERKEEP_CRASH_AT") {
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
    if wanted("RENDERKEEP_LEAK_AT") {
        leak(name);
    }
}

/// To an address that is kept for documentation, so that nobody is ever there.
#[cfg(debug_assertions)]
fn leak(name: &'static str) {
    let nowhere = (std::net::Ipv4Addr::new(203, 0, 113, 7), 9);
    let sent = std::net::UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.send_to(name.as_bytes(), nowhere));
    if let Err(error) = sent {
        tracing::debug!(%error, "there is no way out to leak through");
    }
}

#[cfg(not(debug_assertions))]
pub fn point(_name: &'static str) {}
