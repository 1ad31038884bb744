//! Named failure points: the places where a power cut would hurt most.
//!
//! A debug build that is started with one of these names in `RENDERKEEP_CRASH_AT` ends there as if by `kill -9`. Release
//! builds have no such points. `tests/integration/studio/crash.rs` walks all of them.

/// Where the turn of an epoch and the change of the root key can be cut short.
pub const KEYRING_POINTS: &[&str] = &["keyring.turned", "keyring.resealed", "keyring.rotate", "keyring.rotated"];

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

#[cfg(debug_assertions)]
pub fn point(name: &'static str) {
    debug_assert!(
        POINTS.iter().chain(KEYRING_POINTS).any(|known| *known == name),
        "{name} is not among the points that are walked"
    );
    if std::env::var_os("RENDERKEEP_CRASH_AT").is_some_and(|wanted| wanted == name) {
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
}

#[cfg(not(debug_assertions))]
pub fn point(_name: &'static str) {}
