//! The program is killed at every named point, again and again, and started again; nothing is lost, doubled or left.

use std::time::Duration;

use renderkeep::{app::inspection::inspect, library, platform::crash};
use serde_json::{Value, json};

use super::png;
use crate::support::{
    app::{Client, Reply},
    postgres::connect,
    serve::{Installation, Serving},
};

/// Each on an installation of its own, all at once.
const ROUNDS: usize = 5;
/// A restart takes place this many seconds later, when the leases of the dead are over.
const LATER: i64 = 90;
/// Longer than the trash keeps.
const MONTH: i64 = 31 * 24 * 3600;

/// A request of a client that repeats what was not answered.
#[derive(Clone)]
struct Wish {
    key: String,
    what: What,
}

#[derive(Clone)]
enum What {
    Generation,
    Upload,
    Deletion(String),
}

impl Wish {
    fn request(&self, client: &Client) -> reqwest::RequestBuilder {
        let request = match &self.what {
            What::Generation => {
                let body = json!({"model": "demo/painter", "prompt": "a gradient", "size": "512x512"});
                client.request("POST", "/api/v1/generations").json(&body)
            }
            What::Upload => {
                let part = reqwest::multipart::Part::bytes(png()).file_name(self.key.clone());
                let form = reqwest::multipart::Form::new().part("file", part);
                client.request("POST", "/api/v1/assets").multipart(form)
            }
            What::Deletion(path) => client.request("DELETE", path),
        };
        request.header("Idempotency-Key", &self.key)
    }
}

struct Walk {
    house: Installation,
    /// How far the restarts have moved the program's time, in seconds.
    ahead: i64,
    token: String,
    /// What is repeated at the end.
    wishes: Vec<Wish>,
}

impl Walk {
    /// The migrations are cut short after each of them, and after the roles got their rights.
    async fn begin() -> Self {
        let house = Installation::new("").await;
        let mut cuts = 0;
        while crashes(&house, "migrate", "migrate.applied") {
            cuts += 1;
        }
        assert!(cuts > 3, "only {cuts} migrations were cut short");
        assert!(crashes(&house, "migrate", "migrate.granted"));
        let mut walk = Self { house, ahead: 0, token: String::new(), wishes: Vec::new() };
        let mut server = walk.start("");
        assert!(server.ready().await, "the server starts on what is left");
        walk.token = walk.house.token();
        server.child.kill().unwrap();
        walk
    }

    fn start(&mut self, crash_at: &str) -> Serving {
        self.ahead += LATER;
        let ahead = self.ahead.to_string();
        self.house.serve(&[("RENDERKEEP_CRASH_AT", crash_at), ("RENDERKEEP_CLOCK_AHEAD", &ahead)])
    }

    fn client(&self, server: &Serving) -> Client {
        Client::of(&server.url, Some(self.token.clone()))
    }

    /// Kills the server at this point. It may come by it before anybody asked: then what an earlier one left behind was
    /// being taken up.
    async fn cross(&mut self, point: &'static str) {
        let mut server = self.start(point);
        let client = self.client(&server);
        if server.ready().await {
            self.provoke(point, &client).await;
        }
        assert_eq!(server.ended_by().await, Some(9), "{point} was not reached");
    }

    async fn provoke(&mut self, point: &'static str, client: &Client) {
        let key = format!("{point}-{}", self.wishes.len());
        if point.starts_with("studio.") {
            self.wish(client, Wish { key, what: What::Generation }).await;
        } else if ["storage.opened", "storage.put", "library.prepared", "library.upload", "library.uploaded"]
            .contains(&point)
        {
            self.wish(client, Wish { key, what: What::Upload }).await;
        } else {
            let Some(path) = self.upload(client, &key).await else { return };
            self.wish(client, Wish { key: format!("{key}-trash"), what: What::Deletion(path.clone()) }).await;
            if point == "library.trash" || point == "library.trashed" {
                return;
            }
            let forever = Wish { key: format!("{key}-forever"), what: What::Deletion(format!("{path}?forever=true")) };
            self.wish(client, forever).await;
            self.sweep().await;
        }
    }

    /// Wakes the sweep, which would come by itself within a minute.
    async fn sweep(&self) {
        let client = connect(&self.house.database.application_url()).await;
        let woken = client.batch_execute("select pg_notify('renderkeep', 'work storage.sweep')").await;
        woken.unwrap();
    }

    async fn upload(&mut self, client: &Client, key: &str) -> Option<String> {
        let wish = Wish { key: format!("{key}-upload"), what: What::Upload };
        let made = self.wish(client, wish).await?;
        Some(format!("/api/v1/assets/{}", made.json()["id"].as_str()?))
    }

    async fn wish(&mut self, client: &Client, wish: Wish) -> Option<Reply> {
        self.wishes.push(wish.clone());
        client.try_send(wish.request(client)).await
    }

    /// The keys of the installation are turned, and cut short, by a command beside no server.
    fn turn_keys(&self) {
        for point in ["keyring.turned", "keyring.resealed"] {
            assert!(crashes(&self.house, "keys rotate --epoch", point), "{point}");
        }
        let next = [("RENDERKEEP_CRASH_AT", "keyring.rotate"), ("RENDERKEEP__SECRETS__NEXT_ROOT_KEY", NEXT_ROOT)];
        let cut = self.house.run("keys rotate", &next);
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&cut.status), Some(9), "keyring.rotate");
    }

    /// A month later, the purge of what lies in the trash is cut short.
    async fn purge(&mut self) {
        let mut server = self.start("");
        assert!(server.ready().await);
        let client = self.client(&server);
        let path = self.upload(&client, "purge").await.unwrap();
        assert_eq!(client.delete(&path).await.status, 204);
        server.child.kill().unwrap();
        self.ahead += MONTH;
        self.cross("library.purge").await;
    }

    /// Repeats every request: each is answered, and nothing was done twice.
    async fn repeat(&mut self) {
        let mut server = self.start("");
        assert!(server.ready().await);
        let client = self.client(&server);
        let (mut generations, mut uploads) = (Vec::<String>::new(), 0usize);
        for wish in &self.wishes {
            let reply = client.send(wish.request(&client)).await;
            let body = String::from_utf8_lossy(&reply.body).into_owned();
            match &wish.what {
                What::Generation => {
                    assert_eq!(reply.status, 202, "{}: {body}", wish.key);
                    generations.push(reply.json()["id"].as_str().unwrap().to_owned());
                }
                What::Upload => {
                    assert_eq!(reply.status, 201, "{}: {body}", wish.key);
                    uploads += 1;
                }
                // Done before, or now.
                What::Deletion(_) => assert!([204, 404].contains(&reply.status), "{}: {body}", wish.key),
            }
        }
        for id in &generations {
            let done = client.wait(id).await;
            assert_eq!(done["state"], "succeeded", "{done}");
        }
        let made = i64::try_from(generations.len()).unwrap();
        assert_eq!(self.count("generations").await, made, "each was accepted once");
        assert_eq!(self.count("assets where kind = 'render'").await, made, "each made one picture");
        let charged = "holds where state = 'posted' and actual_micros = amount_micros";
        assert_eq!(self.count(charged).await, made, "each was charged once");
        let forever = self.wishes.iter().filter(|wish| wish.key.ends_with("forever")).count();
        let kept = i64::try_from(uploads - forever).unwrap();
        assert_eq!(self.count("assets where kind = 'upload'").await, kept, "each was stored once, or is deleted");
        server.child.kill().unwrap();
    }

    async fn count(&self, what: &str) -> i64 {
        let client = connect(&self.house.database.url()).await;
        client.query_one(&format!("select count(*) from {what}"), &[]).await.unwrap().get(0)
    }

    /// Everything that is kept fits together, once what nobody uses was swept.
    async fn end(mut self) {
        let mut server = self.start("");
        assert!(server.ready().await);
        let (platform, ctx) = self.house.beside(chrono::Duration::seconds(self.ahead + 1200)).await;
        // The server purges too, and what it is at is not seen here until it is done.
        let waiting = "objects where keep_until is not null or state <> 'stored'";
        let swept = async {
            while self.count("assets where trashed_at is not null").await + self.count(waiting).await > 0 {
                library::jobs::purge(&platform, &ctx).await.unwrap();
                library::jobs::sweep(&platform, &ctx).await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(60), swept).await.expect("the trash and what nobody uses go");
        assert_eq!(inspect(&platform, Vec::new()).await, [], "after {} requests", self.wishes.len());
        server.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(server.ended_by().await, None);
    }
}

const NEXT_ROOT: &str = "0808080808080808080808080808080808080808080808080808080808080808";

/// Whether the command was killed at this point; otherwise it went through.
fn crashes(house: &Installation, words: &str, point: &str) -> bool {
    let ran = house.run(words, &[("RENDERKEEP_CRASH_AT", point)]);
    match std::os::unix::process::ExitStatusExt::signal(&ran.status) {
        Some(9) => true,
        _ => {
            assert!(ran.status.success(), "{words}: {}", String::from_utf8_lossy(&ran.stderr));
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_point_again_and_again_nothing_is_lost_doubled_or_left() {
    let rounds = (0..ROUNDS).map(async |round| {
        let mut walk = Walk::begin().await;
        let mut points = [crash::POINTS, crash::LIBRARY_POINTS].concat();
        points.retain(|point| *point != "library.purge");
        // Each round meets what another point left behind.
        let begin = round * points.len() / ROUNDS;
        points.rotate_left(begin);
        for point in points {
            walk.cross(point).await;
        }
        walk.turn_keys();
        walk.repeat().await;
        walk.purge().await;
        walk.end().await;
    });
    futures::future::join_all(rounds).await;
}

/// What a killed program must never leave is found by the same checker: here it is made by hand.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_kill_must_never_leave_would_be_found() {
    let mut walk = Walk::begin().await;
    let mut server = walk.start("");
    assert!(server.ready().await);
    let client = walk.client(&server);
    let made = walk.wish(&client, Wish { key: "one".to_owned(), what: What::Generation }).await.unwrap();
    let done: Value = client.wait(made.json()["id"].as_str().unwrap()).await;
    assert_eq!(done["state"], "succeeded");
    tokio::time::sleep(Duration::from_millis(10)).await;
    let (platform, _) = walk.house.beside(chrono::Duration::seconds(walk.ahead + 1200)).await;
    assert_eq!(inspect(&platform, Vec::new()).await, []);
    let torn = "set session_replication_role = replica;
        update holds set state = 'pending', actual_micros = null, resolved_at = null;
        delete from generation_events where number = (select max(number) from generation_events);
        delete from assets where id = (select id from assets limit 1)";
    connect(&walk.house.database.url()).await.batch_execute(torn).await.unwrap();
    let found = inspect(&platform, Vec::new()).await;
    let codes = super::codes(&found);
    for code in ["ledger.charged_unposted", "studio.hold_open", "studio.events_end", "storage.object_unused"] {
        assert!(codes.contains(&code), "{code}: {codes:?}");
    }
}
