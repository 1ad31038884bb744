//! Keys: what is refused without them, how they change, and what is left when they are destroyed.

use std::{fs, path::Path};

use chrono::Duration;
use renderkeep::{
    base::{
        clock::Clock,
        ctx::Ctx,
        ids::{ObjectId, PersonId, WorkspaceId},
    },
    organisation,
    platform::{
        Platform,
        db::DbError,
        keyring::{Epochs, Keyring, KeyringError, OwnerKind, RootKey, jobs, status},
        storage::{Storage, StorageError, Stores, collect, stream_of},
    },
};
use uuid::Uuid;

use crate::support::{
    ROOT_KEY, TestPlatform, give_keys, platform,
    postgres::{Database, connect},
    up::Place,
};

const BACKUPS: Duration = Duration::days(35);

fn ctx(app: &Platform) -> Ctx {
    Ctx::system("test", app.clock.clone())
}

/// As a start would open it, with this root key and these epoch keys.
async fn opened(test: &TestPlatform, root: &[u8; 32], epochs: &Path) -> Result<Keyring, KeyringError> {
    let app = &test.platform;
    Keyring::open(&app.db, &app.clock, &[RootKey::new(root)], Epochs::open(epochs)?).await
}

async fn refused(test: &TestPlatform, root: &[u8; 32], epochs: &Path) -> String {
    opened(test, root, epochs).await.err().expect("a refusal").to_string()
}

/// An owner with a stored object.
async fn owner(app: &Platform) -> (Uuid, ObjectId) {
    let person = PersonId::new(&app.clock);
    give_keys(app, person, WorkspaceId::new(&app.clock)).await;
    let object = app.storage.put(&app.db, &app.clock, person.uuid(), stream_of("theirs"), None).await.unwrap().id;
    app.db.write("test.claim", async |tx| Storage::claim(tx, &app.clock, object).await).await.unwrap();
    (person.uuid(), object)
}

/// From the same store, with keys that were opened anew.
async fn read(test: &TestPlatform, keys: &Keyring, object: ObjectId) -> Result<String, StorageError> {
    let storage = Storage::new(Stores::first(keys.clone(), test.store.clone()), keys.clone());
    let bytes = collect(storage.get(&test.platform.db, object, None).await?.stream, 100).await?;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// What the audit log says was done.
async fn recorded(test: &TestPlatform) -> Vec<String> {
    let client = connect(&test.database.url()).await;
    let acts = client.query("select action from audit_entries order by id", &[]).await.unwrap();
    acts.iter().map(|row| row.get(0)).collect()
}

fn files(test: &TestPlatform) -> Vec<String> {
    let listed = fs::read_dir(test.epochs.path()).unwrap();
    let mut names: Vec<String> = listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_start_without_the_root_key_says_which_is_missing() {
    let test = platform().await;
    let (needed, other) = (RootKey::new(&ROOT_KEY).id().unwrap(), RootKey::new(&[8; 32]).id().unwrap());
    let refusal = refused(&test, &[8; 32], test.epochs.path()).await;
    assert!(
        refusal.contains(&format!("sealed with the root key {needed}, and secrets.root_key is {other}")),
        "{refusal}"
    );
    let app = &test.platform;
    let none = Keyring::open(&app.db, &app.clock, &[], Epochs::open(test.epochs.path()).unwrap()).await.err().unwrap();
    assert!(none.to_string().contains(&format!("root key {needed}, and secrets.root_key is not set")), "{none}");
}

#[tokio::test]
async fn a_start_without_an_epoch_key_says_which_is_missing() {
    let test = platform().await;
    owner(&test.platform).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let refusal = refused(&test, &ROOT_KEY, elsewhere.path()).await;
    assert!(refusal.contains("epoch keys that are not in") && refusal.contains(": 1. Restore"), "{refusal}");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0, "none is made in its place");
}

#[tokio::test]
async fn of_servers_that_start_together_one_makes_the_first_epoch() {
    let (database, epochs) = (Database::migrated().await, tempfile::tempdir().unwrap());
    let (clock, roots) = (Clock::shifted(), [RootKey::new(&ROOT_KEY)]);
    // Both have looked before either has made it.
    let (one, two) = (Epochs::open(epochs.path()).unwrap(), Epochs::open(epochs.path()).unwrap());
    Keyring::open(&database.db, &clock, &roots, one).await.unwrap();
    let first = fs::read(epochs.path().join("epoch-000001.json")).unwrap();
    Keyring::open(&database.db, &clock, &roots, two).await.unwrap();
    assert_eq!(fs::read(epochs.path().join("epoch-000001.json")).unwrap(), first);
    assert_eq!(fs::read_dir(epochs.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_new_root_key_opens_everything_and_the_old_one_nothing() {
    let test = platform().await;
    let app = &test.platform;
    let (_, object) = owner(app).await;
    let (old, new) = ([RootKey::new(&ROOT_KEY)], RootKey::new(&[9; 32]));
    assert!(Keyring::rotate(&app.db, &ctx(app), &old, &new).await.unwrap());
    assert!(!Keyring::rotate(&app.db, &ctx(app), &old, &new).await.unwrap(), "it is done already");
    let keys = opened(&test, &[9; 32], test.epochs.path()).await.unwrap();
    assert_eq!(read(&test, &keys, object).await.unwrap(), "theirs");
    assert!(refused(&test, &ROOT_KEY, test.epochs.path()).await.contains(new.id().unwrap().as_str()));
    // The server that ran through it goes on.
    assert_eq!(read(&test, &app.keys, object).await.unwrap(), "theirs");
    assert_eq!(recorded(&test).await, ["keys.rotate"]);
}

#[tokio::test]
async fn epochs_turn_weekly_and_die_with_the_backups_that_need_them() {
    let test = platform().await;
    let app = &test.platform;
    let (_, object) = owner(app).await;
    let turn = async || jobs::turn(&app.keys, &app.db, &ctx(app), false, BACKUPS).await.unwrap();
    turn().await;
    assert_eq!(files(&test), ["epoch-000001.json"], "its week is not over");

    app.clock.advance(Duration::days(7));
    turn().await;
    assert_eq!(files(&test), ["epoch-000001.json", "epoch-000002.json"], "backups may need the first");
    let mut conn = app.db.read().await.unwrap();
    let now = status(&mut conn, &Epochs::open(test.epochs.path()).unwrap(), BACKUPS).await.unwrap();
    let keys: Vec<_> = now.epochs.iter().map(|epoch| (epoch.epoch, epoch.keys, epoch.newest)).collect();
    assert_eq!(keys, [(1, 0, false), (2, 2, true)]);
    let keys = opened(&test, &ROOT_KEY, test.epochs.path()).await.unwrap();
    assert_eq!(read(&test, &keys, object).await.unwrap(), "theirs");

    // Another node has not heard of the turn.
    let late = opened(&test, &ROOT_KEY, test.epochs.path()).await.unwrap();
    app.clock.advance(Duration::days(36));
    turn().await;
    assert_eq!(files(&test), ["epoch-000002.json", "epoch-000003.json"]);
    assert_eq!(read(&test, &late, object).await.unwrap(), "theirs");
    let new = PersonId::new(&app.clock).uuid();
    let begun =
        app.db.write("test.begin", async |tx| late.begin(tx, new, OwnerKind::Person, app.clock.now()).await.map(drop));
    begun.await.unwrap();
    let client = connect(&test.database.url()).await;
    let epoch: i32 =
        client.query_one("select epoch from owner_keys where owner_id = $1", &[&new]).await.unwrap().get(0);
    assert_eq!(epoch, 3, "what begins now is sealed under the epoch that lives longest");
    assert_eq!(recorded(&test).await, ["keys.begin_epoch", "keys.begin_epoch", "keys.end_epochs"]);
}

#[tokio::test]
async fn a_destroyed_key_leaves_nothing_readable_and_stays_destroyed_after_a_restore() {
    let test = platform().await;
    let app = &test.platform;
    let (gone, their_object) = owner(app).await;
    let (stays, object) = owner(app).await;
    let client = connect(&test.database.url()).await;
    // A backup of the row, taken before.
    client.batch_execute("create table backup as select * from owner_keys").await.unwrap();
    app.keys.destroy(&app.db, &app.clock, gone).await.unwrap();
    assert!(matches!(read(&test, &app.keys, their_object).await, Err(StorageError::Db(DbError::Unreadable(_)))));
    assert!(app.keys.of(&mut app.db.read().await.unwrap(), gone).await.is_err());
    assert_eq!(read(&test, &app.keys, object).await.unwrap(), "theirs");

    client.batch_execute("delete from owner_keys; insert into owner_keys select * from backup").await.unwrap();
    let keys = opened(&test, &ROOT_KEY, test.epochs.path()).await.unwrap();
    assert!(read(&test, &keys, their_object).await.is_err(), "erased stays erased");
    assert_eq!(read(&test, &keys, object).await.unwrap(), "theirs");
    let left = client.query("select owner_id from owner_keys where kind = 'person'", &[]).await.unwrap();
    assert_eq!(left.iter().map(|row| row.get(0)).collect::<Vec<Uuid>>(), [stays]);

    // A year later no backup can bring it back, and nobody needs to remember whose it was.
    app.clock.advance(Duration::days(400));
    jobs::turn(&app.keys, &app.db, &ctx(app), false, BACKUPS).await.unwrap();
    assert_eq!(fs::read_to_string(test.epochs.path().join("erasures.jsonl")).unwrap(), "");
}

#[tokio::test]
async fn what_somebody_wrote_cannot_be_moved_to_another_place() {
    let test = platform().await;
    let app = &test.platform;
    organisation::ops::bootstrap(app).await.unwrap();
    let client = connect(&test.database.url()).await;
    let name = async || organisation::ops::first_owner(app).await.map(|owner| owner.unwrap().name);
    assert_eq!(name().await.unwrap(), "Owner");
    // The mail's sealed form in the name's place: both are the same person's.
    client.batch_execute("update people set name = mail").await.unwrap();
    assert!(name().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_keys_change_nothing_is_lost() {
    let place = Place::new();
    let mut up = place.up(&[]);
    place.ready(&mut up, |_| true);
    for (point, arguments) in [
        ("keyring.turned", ["keys", "rotate", "--epoch"].as_slice()),
        ("keyring.resealed", &["keys", "rotate", "--epoch"]),
        ("keyring.rotate", &["keys", "rotate"]),
        ("keyring.rotated", &["keys", "rotate"]),
    ] {
        let killed = place.run(arguments, &[("RENDERKEEP_CRASH_AT", point)]);
        assert_eq!(killed.status.code(), None, "{point} was not reached: {killed:?}");
        // Whatever was left: it starts, and opens what it had sealed.
        up.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(up.end(), Some(0));
        up = place.up(&[]);
        let ready = place.ready(&mut up, |_| true);
        assert_eq!(ready["owner"]["mail"], "owner@example.org", "{point}");
        // And the command goes on where it was cut short.
        let again = place.run(arguments, &[]);
        assert!(again.status.success(), "{point}: {again:?}");
        assert!(!place.path().join("secrets/next_root_key").exists());
        let status = place.run(&["keys", "status", "--json"], &[]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        assert_eq!(status["root_key_is_set"], true, "{point}");
    }
    up.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(up.end(), Some(0));
}
