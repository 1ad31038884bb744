//! What is left when the server stops in the middle, and goes on when it starts again.

use std::time::Duration;

use renderkeep::{
    app::{inspection::inspect, lifecycle},
    base::{clock::Clock, ctx::Ctx},
    config::{self, Sources},
    library,
    platform::{Platform, crash, egress},
    supervisor::Kept,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{cap, standing};
use crate::{
    doubles::openai,
    support::{
        app::{Client, Reply, TestApp},
        postgres::connect,
        up::{Place, Up},
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_loses_and_doubles_nothing() {
    let mut app = TestApp::start().await;
    let mut owner = app.owner().await;
    cap(&owner, "organisation", "month", 1_000_000).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let body = json!({"model": "demo/painter", "prompt": "a gradient", "size": "512x512", "count": 2});
        let accepted = owner.post("/api/v1/generations", &body).await;
        ids.push(accepted.json()["id"].as_str().unwrap().to_owned());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    tokio::task::block_in_place(|| app.restart());
    owner.url.clone_from(&app.url);
    for id in &ids {
        let done = owner.wait(id).await;
        assert_eq!(done["state"], "succeeded", "{done}");
        assert_eq!(done["outputs"].as_array().unwrap().len(), 2);
    }
    assert_eq!(standing(&owner).await, (120_000, 0, 880_000));
}

/// An installation of `up` that is killed again and again, and its owner.
pub struct House {
    pub place: Place,
    pub owner: Client,
}

impl House {
    /// With a budget of ten euros, stopped.
    pub async fn new(settings: &str) -> Self {
        Self::at(Place::new(), settings).await
    }

    /// The same at a place that is there already.
    pub async fn at(place: Place, settings: &str) -> Self {
        place.configure(settings);
        let mut up = place.up(&[]);
        let ready = place.ready(&mut up, |_| true);
        let mail = ready["owner"]["mail"].as_str().unwrap();
        let token = place.token(mail);
        let url = ready["url"].as_str().unwrap().to_owned();
        let house = Self { place, owner: Client::of(&url, Some(token)) };
        cap(&house.owner, "organisation", "month", 10_000_000).await;
        stop(up);
        house
    }

    /// Starts it; at this point it dies as if its power was cut.
    pub fn start(&self, crash_at: &str) -> Up {
        let mut up = self.place.up(&[("RENDERKEEP_CRASH_AT", crash_at)]);
        self.place.ready(&mut up, |_| true);
        up
    }

    /// Asks for pictures, as a client that repeats what was not answered.
    pub async fn ask(&self, key: &str, body: &Value) -> Option<Reply> {
        let request = self.owner.request("POST", "/api/v1/generations").header("Idempotency-Key", key).json(body);
        self.owner.try_send(request).await
    }

    /// The parts of the running house, a while later: whatever nobody uses is due by now, and nothing is young.
    pub async fn later(&self) -> (Platform, Ctx) {
        let kept = Kept::read(&self.place.path()).unwrap();
        let config = config::load(&kept.flags(Sources::default()).unwrap()).unwrap();
        let mut platform = lifecycle::open_beside(config).await.unwrap();
        platform.clock = Clock::shifted();
        platform.clock.advance(chrono::Duration::minutes(20));
        let ctx = Ctx::system("test", platform.clock.clone());
        (platform, ctx)
    }

    /// Once what is over by then was swept, everything fits together, and no object is left that waits.
    pub async fn check(&self) {
        let (platform, ctx) = self.later().await;
        library::jobs::sweep(&platform, &ctx).await.unwrap();
        egress::ledger::sweep(&platform.db, &platform.clock).await.unwrap();
        assert_eq!(inspect(&platform, Vec::new()).await, []);
        let client = connect(platform.config.database.url.expose_secret()).await;
        let waiting = "select count(*) from objects where keep_until is not null or state <> 'stored'";
        assert_eq!(client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0), 0, "objects that wait");
    }
}

pub fn stop(mut up: Up) {
    up.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(up.end(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_point_it_ends_once_and_is_charged_once() {
    let house = House::new("").await;
    let body = json!({"model": "demo/painter", "prompt": "a gradient", "size": "512x512", "count": 2});
    for (point, round) in crash::POINTS.iter().zip(1..) {
        let mut up = house.start(point);
        let first = house.ask(point, &body).await;
        assert_eq!(up.ended_by(), Some(9), "{point} was not reached");

        let up = house.start("");
        let again = house.ask(point, &body).await.unwrap();
        assert_eq!(again.status, 202, "{point}: {:?}", again.body);
        if let Some(first) = first {
            assert_eq!(first.json()["id"], again.json()["id"], "{point}: the same request, answered again");
        }
        let done = house.owner.wait(again.json()["id"].as_str().unwrap()).await;
        assert_eq!(done["state"], "succeeded", "{point}: {done}");
        assert_eq!(done["outputs"].as_array().unwrap().len(), 2, "{point}");
        let spent = 40_000 * round;
        assert_eq!(standing(&house.owner).await, (spent, 0, 10_000_000 - spent), "{point}");
        let listed = house.owner.get("/api/v1/generations").await.json();
        assert_eq!(listed["items"].as_array().unwrap().len(), usize::try_from(round).unwrap(), "{point}");
        house.check().await;
        stop(up);
    }
}

/// A house whose provider is this double.
async fn with_provider(provider: &openai::Server, upstream: &str) -> House {
    House::new(&format!(
        r#"
        [[inference.providers]]
        slug = "house"
        title = "House"
        base_url = "{}"
        local = true
        [[inference.providers.models]]
        name = "painter"
        upstream_name = "{upstream}"
        title = "Painter"
        tasks = ["text-to-image"]
        sizes = ["64x32"]
        price_micros_per_image = 40000
        "#,
        provider.base_url()
    ))
    .await
}

/// How often pictures were asked of it.
async fn asked_of(provider: &openai::Server) -> usize {
    let seen = reqwest::get(format!("http://127.0.0.1:{}/seen", provider.port)).await.unwrap();
    let seen: Value = seen.json().await.unwrap();
    seen.as_array().unwrap().iter().filter(|call| call["path"] == "/v1/images/generations").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_provider_works_it_is_not_sent_again() {
    let provider = openai::start(&[]);
    let house = with_provider(&provider, "held").await;
    let mut up = house.start("");
    let asked = house.ask("once", &json!({"model": "house/painter", "prompt": "a teapot"})).await.unwrap();
    assert_eq!(asked.status, 202, "{:?}", asked.body);
    let id = asked.json()["id"].as_str().unwrap().to_owned();
    let calls = async || asked_of(&provider).await;
    let sent = async {
        while calls().await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), sent).await.expect("the provider is asked");
    up.signal(nix::sys::signal::Signal::SIGKILL);
    assert_eq!(up.ended_by(), Some(9));

    let up = house.start("");
    let lost = house.owner.wait(&id).await;
    assert_eq!((&lost["state"], &lost["error"]["code"]), (&json!("unknown"), &json!("provider.lost")), "{lost}");
    assert_eq!(standing(&house.owner).await, (0, 40_000, 9_960_000));
    assert_eq!(calls().await, 1, "sent once");
    let charged = json!({"charged": {"micros": 40_000, "currency": "EUR"}, "reason": "It is on their bill."});
    let resolved = house.owner.post(&format!("/api/v1/admin/generations/{id}/resolve"), &charged).await;
    assert_eq!((resolved.status, &resolved.json()["state"]), (200, &json!("failed")), "{:?}", resolved.body);
    assert_eq!(standing(&house.owner).await, (40_000, 0, 9_960_000));
    house.check().await;
    stop(up);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_first_byte_the_row_is_there_and_nothing_was_sent() {
    let provider = openai::start(&[]);
    let house = with_provider(&provider, "paints").await;
    let mut up = house.start(crash::ON_THE_WAY_OUT);
    let asked = house.ask("once", &json!({"model": "house/painter", "prompt": "a teapot"})).await;
    assert_eq!(up.ended_by(), Some(9), "the row was not written");
    assert_eq!(asked_of(&provider).await, 0);

    let up = house.start("");
    let id = match asked {
        Some(asked) => asked.json()["id"].as_str().unwrap().to_owned(),
        None => house.owner.get("/api/v1/generations").await.json()["items"][0]["id"].as_str().unwrap().to_owned(),
    };
    let lost = house.owner.wait(&id).await;
    assert_eq!(lost["state"], "unknown", "nobody here can tell that nothing was sent: {lost}");
    let call = async || {
        let calls = house.owner.get(&format!("/api/v1/admin/egress?generation={id}")).await.json();
        assert_eq!(calls["items"].as_array().unwrap().len(), 1);
        calls["items"][0].clone()
    };
    let open = call().await;
    assert_eq!(open["outcome"], "open");
    assert!(open["bytes_out"].as_i64().unwrap() > 100, "all of it may have left: {open}");
    let (platform, _) = house.later().await;
    assert_eq!(egress::ledger::sweep(&platform.db, &platform.clock).await.unwrap(), 1);
    assert_eq!((&call().await["outcome"], &call().await["bytes_out"]), (&json!("lost"), &open["bytes_out"]));
    assert_eq!(asked_of(&provider).await, 0, "and it is not sent afterwards");
    stop(up);
}
