//! Started as root, it becomes an ordinary user before it does anything else: Postgres refuses to run as root, and
//! nothing here needs to.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::{DirBuilderExt, MetadataExt, chown},
    path::Path,
};

use nix::unistd::{Gid, Uid, User, geteuid, setgid, setgroups, setuid};

use super::{Refusal, store, way};

/// Returns whom it became. Does nothing for an ordinary user. Must be called while there is one thread only.
pub fn drop_root(data: &Path) -> Result<Option<String>, Refusal> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let user = choose(data)?;
    hand_over(data, &user)?;
    let needed: Vec<_> = [data.to_owned()].into_iter().chain(store::places()).collect();
    way::open(&needed, user.uid, user.gid).map_err(|error| {
        Refusal::new(format!(
            "{} lies below a directory that {} may not enter ({error}). Choose a data directory elsewhere, such as \
             /var/lib/renderkeep, or start it as an ordinary user.",
            data.display(),
            user.name
        ))
    })?;
    let become_user = || {
        setgroups(&[user.gid])?;
        setgid(user.gid)?;
        setuid(user.uid)
    };
    become_user().map_err(|errno| {
        Refusal::new(format!("It cannot become the user {}: {errno}. Start it as an ordinary user.", user.name))
    })?;
    Ok(Some(user.name))
}

struct Ordinary {
    name: String,
    uid: Uid,
    gid: Gid,
}

/// Whoever used sudo; else the owner of the data; else the user made for this; else nobody.
fn choose(data: &Path) -> Result<Ordinary, Refusal> {
    let by_sudo = std::env::var_os("SUDO_UID").and_then(|text| text.to_str()?.parse().ok());
    let owner = fs::metadata(data).ok().map(|data| data.uid());
    for uid in [by_sudo, owner].into_iter().flatten().filter(|uid| *uid != 0) {
        if let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) {
            return Ok(user.into());
        }
    }
    let known = ["renderkeep", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
    known.map(Ordinary::from).ok_or_else(|| Refusal::new("There is no user `nobody`. Start it as an ordinary user."))
}

impl From<User> for Ordinary {
    fn from(user: User) -> Self {
        Self { name: user.name, uid: user.uid, gid: user.gid }
    }
}

/// A new or empty directory becomes the user's; one with contents must be theirs already.
fn hand_over(data: &Path, user: &Ordinary) -> Result<(), Refusal> {
    let unusable = |error: std::io::Error| Refusal::io("cannot be used", data, &error);
    if !data.exists() {
        // Only the directory itself is private: the user must get through those above it.
        data.parent().map_or(Ok(()), fs::create_dir_all).map_err(unusable)?;
        DirBuilder::new().mode(0o700).create(data).map_err(unusable)?;
    }
    let belongs = fs::metadata(data).map_err(unusable)?.uid() == user.uid.as_raw();
    let empty = fs::read_dir(data).map_err(unusable)?.next().is_none();
    match (belongs, empty) {
        (true, _) => Ok(()),
        (false, true) => chown(data, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(unusable),
        (false, false) if !is_ours(data) => Err(Refusal::new(format!(
            "Started by root, Renderkeep runs as the user {}, and {} belongs to somebody else, is not empty, and is no \
             directory of `renderkeep up`. Name another one, which is empty or not there yet.",
            user.name,
            data.display()
        ))),
        (false, false) => Err(Refusal::new(format!(
            "Started by root, Renderkeep runs as the user {name}, and {data} belongs to somebody else. Start it as the \
             user to whom it belongs, or give it away: chown -R {name}: {data}.",
            name = user.name,
            data = data.display()
        ))),
    }
}

/// Whoever mistypes a path must not be told to give it away.
fn is_ours(data: &Path) -> bool {
    ["ports.json", "secrets/root_key", "postgres/PG_VERSION"].iter().any(|name| data.join(name).exists())
}
