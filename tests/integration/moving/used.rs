//! The whole program on real stores: a server that is used while its objects move.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use nix::sys::signal::Signal;
use renderkeep::{
    app::lifecycle,
    base::{clock::Clock, ids::WorkspaceId},
    config::{self, Sources},
    platform::{
        crash,
        storage::{self, Storage, Stores, collect, moving, stream_of, verify},
    },
    supervisor::Kept,
};
use serde_json::Value;

use crate::support::{
    app::Client,
    give_keys, platform,
    stores::{self, Program, Server},
    up::{Place, Up},
};

/// An asset's id, and what it must hold.
type Added = (String, Vec<u8>);

/// A picture that nobody else has.
fn picture(number: u32) -> Vec<u8> {
    let pixels = RgbImage::from_fn(200, 150, |x, y| Rgb([(x * number) as u8, (y * 5) as u8, (x * y + number) as u8]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::from(pixels).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Somebody who looks at pictures, adds some and deletes some, all the time.
struct User {
    pictures: Arc<Mutex<Vec<Added>>>,
    stop: Arc<AtomicBool>,
    using: tokio::task::JoinHandle<usize>,
}

async fn add(client: &Client, number: u32) -> Added {
    let bytes = picture(number);
    let added = client.upload("a.png", bytes.clone()).await;
    assert_eq!(added.status, 201, "{:?}", added.body);
    (added.json()["id"].as_str().unwrap().to_owned(), bytes)
}

async fn assert_there(client: &Client, id: &str, bytes: &[u8]) {
    let read = client.get(&format!("/api/v1/assets/{id}/content")).await;
    assert_eq!(read.status, 200, "{id}: {:?}", read.body);
    assert!(read.body == bytes, "{id} is another picture");
}

impl User {
    fn begin(client: Client, first: Vec<Added>) -> Self {
        let pictures = Arc::new(Mutex::new(first));
        let stop = Arc::new(AtomicBool::new(false));
        let (mine, until) = (pictures.clone(), stop.clone());
        let using = tokio::spawn(async move {
            let mut round = 0;
            while !until.load(Ordering::SeqCst) {
                round += 1;
                let all = mine.lock().unwrap().clone();
                for (id, bytes) in all.iter().rev().take(12) {
                    assert_there(&client, id, bytes).await;
                }
                let new = add(&client, 1000 + round).await;
                mine.lock().unwrap().push(new);
                let (oldest, _) = mine.lock().unwrap().remove(0);
                for path in [format!("/api/v1/assets/{oldest}"), format!("/api/v1/assets/{oldest}?forever=true")] {
                    assert_eq!(client.delete(&path).await.status, 204);
                }
            }
            round as usize
        });
        Self { pictures, stop, using }
    }

    async fn end(self) -> (Vec<Added>, usize) {
        self.stop.store(true, Ordering::SeqCst);
        let rounds = self.using.await.unwrap();
        let pictures = self.pictures.lock().unwrap().clone();
        (pictures, rounds)
    }
}

fn client(place: &Place, ready: &Value) -> Client {
    let mail = ready["owner"]["mail"].as_str().unwrap();
    let made = place.run(&["token", "create", "--person", mail], &[]);
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    Client::of(ready["url"].as_str().unwrap(), Some(token))
}

/// Runs a command that must succeed; what it says.
fn done(place: &Place, arguments: &[&str]) -> String {
    let output = place.run(arguments, &[]);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn stop(mut up: Up) {
    up.signal(Signal::SIGTERM);
    assert_eq!(up.end(), Some(0));
}

/// Everything as it is a while later, when no upload can be young any more: rows and objects are the same.
async fn assert_even(place: &Place) {
    let kept = Kept::read(&place.path()).unwrap();
    let config = config::load(&kept.flags(Sources::default()).unwrap()).unwrap();
    let platform = lifecycle::open_beside(config).await.unwrap();
    let later = Clock::shifted();
    later.advance(chrono::Duration::minutes(20));
    platform.storage.sweep(&platform.db, &later).await.unwrap();
    let report = verify::verify(&platform.storage, &platform.db, &later, &mut |_| {}).await.unwrap();
    assert!(report.good, "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_server_moves_and_is_killed_at_every_point_of_it() {
    let place = Place::new();
    let mut up = place.up(&[]);
    let ready = place.ready(&mut up, |_| true);
    let client = client(&place, &ready);
    let mut first = Vec::new();
    for number in 0..15 {
        first.push(add(&client, number).await);
    }
    let user = User::begin(client.clone(), first);
    let (emptying, moving): (Vec<_>, Vec<_>) =
        crash::STORAGE_POINTS.iter().partition(|point| point.starts_with("storage.empt"));
    let copy = ["storage", "copy", "--to", "versitygw"];
    for point in moving {
        let killed = tokio::task::block_in_place(|| place.run(&copy, &[("RENDERKEEP_CRASH_AT", point)]));
        assert_eq!(killed.status.code(), None, "{point} was not reached: {killed:?}");
        let report = tokio::task::block_in_place(|| done(&place, &["storage", "verify", "--json"]));
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["good"], true, "{point}: {report}");
    }
    let said = tokio::task::block_in_place(|| done(&place, &copy));
    assert!(said.contains("Every server reads and writes there now"), "{said}");
    assert!(said.contains("minio still holds") && said.contains("renderkeep storage empty --data"), "{said}");
    let both = place.ready(&mut up, |ready| ready["pids"]["versitygw"].is_u64());
    assert!(both["pids"]["minio"].is_u64() && both["ports"]["versitygw"].is_u64(), "{both}");
    let doctor = place.run(&["doctor", "--json"], &[]);
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("versitygw answers"), "{doctor:?}");

    for point in emptying {
        let killed =
            tokio::task::block_in_place(|| place.run(&["storage", "empty"], &[("RENDERKEEP_CRASH_AT", point)]));
        assert_eq!(killed.status.code(), None, "{point} was not reached: {killed:?}");
    }
    let said = tokio::task::block_in_place(|| done(&place, &["storage", "empty"]));
    assert!(said.contains("deleted from minio"), "{said}");
    let only = place.ready(&mut up, |ready| ready["pids"].get("minio").is_none());
    assert!(only["ports"].get("minio").is_none(), "{only}");
    assert_eq!(fs::read_dir(place.path().join("minio/renderkeep")).unwrap().count(), 0, "nothing is left behind");
    let aside = place.path().join("minio/.minio.sys/tmp");
    crate::support::up::eventually("what was deleted is gone from the disk", || (!aside.exists()).then_some(()));

    let (pictures, rounds) = user.end().await;
    assert!(rounds > 3, "the server was used: {rounds}");
    assert_even(&place).await;
    stop(up);

    let refused = place.run(&["up", "--store", "minio"], &[]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("lie in versitygw"), "{refused:?}");
    let mut up = place.up(&["--store", "versitygw"].map(|_| ("RENDERKEEP__STORAGE__BUNDLED", "versitygw")));
    let again = place.ready(&mut up, |_| true);
    assert!(again["pids"].get("minio").is_none(), "{again}");
    for (id, bytes) in &pictures {
        assert_there(&client, id, bytes).await;
    }
    stop(up);
}

/// The files in which MinIO keeps the bytes of its larger objects, each with the object's name.
fn parts(place: &Place) -> Vec<(String, PathBuf)> {
    let entries = |path: PathBuf| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut parts: Vec<_> = entries(place.path().join("minio/renderkeep"))
        .flat_map(|object| {
            let name = object.file_name().unwrap().to_str().unwrap().to_owned();
            let versions = entries(object).filter(|path| path.is_dir());
            versions.map(move |version| (name.clone(), version.join("part.1"))).collect::<Vec<_>>()
        })
        .collect();
    parts.sort();
    parts
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_disk_of_the_store_has_lost_is_named_and_the_rest_moves() {
    let place = Place::new();
    let mut up = place.up(&[]);
    let ready = place.ready(&mut up, |_| true);
    let client = client(&place, &ready);
    for seed in 1..=4_u32 {
        let mut state = seed;
        let noise = RgbImage::from_fn(800, 800, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Rgb([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8])
        });
        let mut bytes = std::io::Cursor::new(Vec::new());
        DynamicImage::from(noise).write_to(&mut bytes, ImageFormat::Png).unwrap();
        assert_eq!(client.upload("noise.png", bytes.into_inner()).await.status, 201);
    }
    let parts = parts(&place);
    assert!(parts.len() >= 4, "{parts:?}");
    let [(flipped, one), (cut, two), (gone, three), ..] = &parts[..] else { unreachable!() };
    let mut bytes = fs::read(one).unwrap();
    // In its second mebibyte: MinIO notices when it has begun to answer.
    let late = bytes.len() - 50_000;
    bytes[late] ^= 1;
    fs::write(one, bytes).unwrap();
    fs::File::options().write(true).open(two).unwrap().set_len(1000).unwrap();
    fs::remove_file(three).unwrap();

    let wrong = |arguments: &[&str]| {
        let output = tokio::task::block_in_place(|| place.run(arguments, &[]));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let report: Value = serde_json::from_str(&wrong(&["storage", "verify", "--json"])).unwrap();
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let findings: Vec<_> =
        report["findings"].as_array().unwrap().iter().map(|one| (text(one, "object"), text(one, "fault"))).collect();
    assert_eq!(findings, [flipped, cut, gone].map(|name| (name.clone(), "damaged".to_owned())), "{report}");
    assert!(report["objects"].as_u64().unwrap() > 4, "{report}");

    let said = wrong(&["storage", "copy", "--to", "versitygw"]);
    for name in [flipped, cut, gone] {
        assert!(said.contains(name.as_str()), "{said}");
    }
    let kept = Kept::read(&place.path()).unwrap();
    let config = config::load(&kept.flags(Sources::default()).unwrap()).unwrap();
    let platform = lifecycle::open_beside(config).await.unwrap();
    let first = storage::list(&mut platform.db.read().await.unwrap()).await.unwrap()[0].id;
    assert_eq!(moving::only_in(&platform.db, first).await.unwrap(), 3, "all others have moved");
    drop(platform);
    stop(up);
}

#[test]
fn a_store_that_is_not_there_is_said() {
    let place = Place::new();
    let mut up = place.up(&[]);
    place.ready(&mut up, |_| true);
    let wrong = |arguments: &[&str]| {
        let output = place.run(arguments, &[]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(wrong(&["storage", "copy", "--to", "files"]).contains("Name one of them"));
    let said = done(&place, &["storage", "copy", "--to", "minio"]);
    assert!(said.contains("0 objects") && !said.contains("empty"), "{said}");
    assert!(done(&place, &["storage", "empty"]).contains("no copies elsewhere"));
    stop(up);
    let not_running = wrong(&["storage", "verify"]);
    assert!(not_running.contains("is not running"), "{not_running}");
}

/// Two servers against an S3 server of the house; the command gets the other one's credentials as files.
#[tokio::test]
async fn servers_with_a_store_of_their_own_move_to_another() {
    let (old, new) = (Server::start(Program::Minio).await, Server::start(Program::Versitygw).await);
    let (old_bucket, new_bucket) = ("pictures", "pictures-too");
    old.ready(&old.client(old_bucket)).await;
    new.ready(&new.client("probe")).await;
    let test = platform().await;
    let app = &test.platform;
    let owner = renderkeep::base::ids::PersonId::new(&app.clock);
    give_keys(app, owner, WorkspaceId::new(&app.clock)).await;
    let configured = stores::settings(&old.endpoint(), old_bucket);
    let server = || Storage::new(Stores::new(app.keys.clone(), configured.clone()), app.keys.clone());
    let (one, two) = (server(), server());
    one.stores().register(&app.db, &configured, &old.client(old_bucket)).await.unwrap();
    let put = async |storage: &Storage, text: &'static str| {
        let stored = storage.put(&app.db, &app.clock, owner.uuid(), stream_of(text), None).await.unwrap();
        app.db.write("test.claim", async |tx| Storage::claim(tx, &app.clock, stored.id).await).await.unwrap();
        stored.id
    };
    let read =
        async |storage: &Storage, id| collect(storage.get(&app.db, id, None).await.unwrap().stream, 100).await.unwrap();
    let before = put(&one, "before").await;
    assert_eq!(read(&two, before).await, "before");

    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name)
    };
    let settings = file(
        "config.toml",
        &format!(
            "[database]\nurl = \"{}\"\n[storage]\nendpoint = \"{}\"\nbucket = \"{old_bucket}\"\naccess_key = \"{}\"\n\
             secret_key = \"{}\"\n[secrets]\nroot_key = \"{}\"\nepoch_keys = \"{}\"\n",
            test.database.application_url(),
            old.endpoint(),
            stores::ACCESS,
            stores::SECRET,
            "07".repeat(32),
            test.epochs.path().display()
        ),
    );
    let (access, secret) = (file("access", stores::ACCESS), file("secret", stores::SECRET));
    let target = format!("{}/{new_bucket}", new.endpoint());
    let command = |arguments: &[&str], with_keys: bool| {
        let mut command = crate::support::up::program();
        command.args(arguments).arg("--config").arg(&settings);
        if with_keys {
            command.env("RENDERKEEP__NEXT_STORAGE__ACCESS_KEY_FILE", &access);
            command.env("RENDERKEEP__NEXT_STORAGE__SECRET_KEY_FILE", &secret);
        }
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (status, said) = command(&["storage", "copy", "--to", &target], false);
    assert!(status == Some(1) && said.contains("next_storage.access_key is not set"), "{said}");
    let (status, said) = command(&["storage", "copy", "--to", "s3.example.org"], true);
    assert!(status == Some(1) && said.contains("is not the address of a bucket"), "{said}");
    let (status, said) = command(&["storage", "copy", "--to", &target], true);
    assert!(status == Some(0) && said.contains("1 object, 6 bytes, moved to"), "{said}");
    assert!(said.contains(&target) && !said.contains(stores::SECRET), "{said}");

    // Neither was told; both know.
    let after = put(&two, "after").await;
    assert_eq!((read(&one, before).await, read(&one, after).await), ("before".into(), "after".into()));
    let held = async |store: storage::minio::Minio| storage::ObjectStore::list(&store, None, 10).await.unwrap();
    assert_eq!(held(new.client(new_bucket)).await, [before, after]);
    assert_eq!(held(old.client(old_bucket)).await, [before]);
    // The credentials of the command's environment are needed no more: they lie sealed in the database.
    let (status, said) = command(&["storage", "empty"], false);
    assert!(status == Some(0) && said.contains("1 copy deleted"), "{said}");
    assert!(held(old.client(old_bucket)).await.is_empty());
    let (status, said) = command(&["storage", "verify"], false);
    assert!(status == Some(0) && said.contains("good  2 objects, 11 bytes"), "{said}");
    let stored = test.database.data_dump();
    assert!(!stored.contains(stores::SECRET) && stored.contains(&target));

    // A start that names a store which holds nothing of it is refused.
    let elsewhere = stores::settings(&old.endpoint(), "elsewhere");
    old.ready(&old.client("elsewhere")).await;
    let refused = server().stores().register(&app.db, &elsewhere, &old.client("elsewhere")).await.unwrap_err();
    assert!(refused.to_string().contains("which does not hold them"), "{refused}");
    // The same store under another name is the same store.
    let renamed = stores::settings(&new.endpoint().replace("127.0.0.1", "localhost"), new_bucket);
    server().stores().register(&app.db, &renamed, &new.client(new_bucket)).await.unwrap();
}
