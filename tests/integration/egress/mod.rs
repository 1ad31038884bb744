//! The one way out, against real sockets: what is written down, what is let out, and how calls end.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use renderkeep::{
    base::{
        clock::Clock,
        ctx::Ctx,
        ids::{DestinationId, GenerationId, PersonId},
    },
    platform::{
        Platform,
        db::DbError,
        egress::{
            About, Addresses, Body, Call, Category, Egress, EgressError, Lookup, Method, Origin, Part, Purpose, Way,
            destinations, ledger,
        },
    },
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::support::{self, TestPlatform, postgres};

mod desk;
mod hostile;
mod switch;
mod way;

/// A peer on loopback that answers every connection with `answer` and keeps what it got.
struct Peer {
    url: Url,
    received: Arc<tokio::sync::Mutex<Vec<u8>>>,
    connections: Arc<AtomicUsize>,
}

enum Answer {
    Text(String),
    Bytes(Vec<u8>),
    /// After a second.
    Late(String),
    /// Reads the request, then closes the connection.
    Drop,
    Silence,
    /// Half of the announced body.
    Half,
}

fn ok(body: &str) -> Answer {
    Answer::Text(ok_text(body))
}

fn ok_text(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

async fn peer(answer: Answer) -> Peer {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/x?y=1", listener.local_addr().unwrap()).parse().unwrap();
    let received = Arc::new(tokio::sync::Mutex::new(Vec::new()));
    let connections = Arc::new(AtomicUsize::new(0));
    let (kept, counted) = (received.clone(), connections.clone());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut buffer = vec![0; 65536];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                let mut all = kept.lock().await;
                all.extend_from_slice(&buffer[..read]);
                if whole(&all) {
                    break;
                }
            }
            match &answer {
                Answer::Text(text) => stream.write_all(text.as_bytes()).await.unwrap(),
                Answer::Bytes(bytes) => stream.write_all(bytes).await.unwrap(),
                Answer::Late(text) => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    stream.write_all(text.as_bytes()).await.unwrap();
                }
                Answer::Drop => {}
                Answer::Silence => tokio::time::sleep(Duration::from_secs(30)).await,
                Answer::Half => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly a part").await.unwrap();
                }
            }
        }
    });
    Peer { url, received, connections }
}

/// Head and as much body as it announces.
fn whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    bytes.len() >= end + 4 + length.unwrap_or(0)
}

fn about() -> About {
    let clock = Clock::system();
    About {
        purpose: Purpose::Generation,
        categories: vec![Category::Prompt],
        person: Some(PersonId::new(&clock)),
        generation: Some(GenerationId::new(&clock)),
    }
}

fn call(url: &Url, body: Body) -> Call {
    Call {
        method: Method::Post,
        url: url.clone(),
        bearer: Some("secret".into()),
        body,
        limit: Duration::from_secs(5),
        most: 1024,
        cancel: CancellationToken::new(),
    }
}

async fn allow(app: &Platform, url: &Url, local: bool) -> DestinationId {
    let ctx = Ctx::system("test", app.clock.clone());
    let origin = Origin::of(url).unwrap();
    app.db.write("test", async |tx| destinations::allow(tx, &ctx, &origin, local).await).await.unwrap()
}

/// outcome, status, bytes out, bytes in, reason
type Row = (String, Option<i32>, i64, i64, Option<String>);

async fn rows(test: &TestPlatform) -> Vec<Row> {
    let client = postgres::connect(&test.database.url()).await;
    let sql = "select outcome, status, bytes_out, bytes_in, reason from egress_calls order by id";
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4))).collect()
}

async fn outcome(test: &TestPlatform) -> String {
    rows(test).await.last().unwrap().0.clone()
}

#[tokio::test]
async fn every_byte_that_leaves_is_counted() {
    let test = support::platform().await;
    let app = &test.platform;
    let large = Bytes::from(vec![7; 300_000]);
    let file = Part::File { name: "image", file: "image-1.png".to_owned(), media_type: "image/png", bytes: large };
    let text = Part::Text { name: "prompt".to_owned(), value: "a teapot".to_owned() };
    for body in [Body::json(&serde_json::json!({ "a": 1 })), Body::multipart(vec![text, file]).unwrap()] {
        let peer = peer(ok("{\"b\":2}")).await;
        let outlet = app.egress.to(allow(app, &peer.url, true).await, about());
        let reply = outlet.send(call(&peer.url, body)).await.unwrap();
        assert_eq!((reply.status, reply.body.as_ref()), (200, &b"{\"b\":2}"[..]));
        let received = peer.received.lock().await.len() as i64;
        let row = rows(&test).await.pop().unwrap();
        assert_eq!(row, ("answered".to_owned(), Some(200), received, 7, None));
    }
}

#[tokio::test]
async fn the_row_is_there_before_the_first_byte() {
    let test = support::platform().await;
    let app = test.platform.clone();
    let peer = peer(Answer::Silence).await;
    let outlet = app.egress.to(allow(&app, &peer.url, true).await, about());
    let cancel = CancellationToken::new();
    let sending = call(&peer.url, Body::none());
    let sending = Call { cancel: cancel.clone(), ..sending };
    let watching = async {
        while peer.received.lock().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let seen = outcome(&test).await;
        cancel.cancel();
        seen
    };
    let (end, seen) = tokio::join!(outlet.send(sending), watching);
    assert_eq!(seen, "open");
    assert!(matches!(end, Err(EgressError::Cancelled)));
    assert_eq!(outcome(&test).await, "cancelled");
}

#[tokio::test]
async fn ends_tell_whether_anything_can_have_been_done() {
    let test = support::platform().await;
    let app = &test.platform;
    let long = ok(&"x".repeat(2000));
    let table = [
        (Answer::Drop, "failed", false),
        (Answer::Half, "failed", false),
        (long, "failed", false),
        (Answer::Silence, "timed_out", false),
    ];
    for (answer, outcome_wanted, not_sent) in table {
        let peer = peer(answer).await;
        let outlet = app.egress.to(allow(app, &peer.url, true).await, about());
        let slow = Call { limit: Duration::from_millis(300), ..call(&peer.url, Body::none()) };
        let error = outlet.send(slow).await.unwrap_err();
        assert_eq!(error.surely_not_sent(), not_sent, "{error}");
        assert_eq!(outcome(&test).await, outcome_wanted, "{error}");
        assert_eq!(peer.connections.load(Ordering::SeqCst), 1, "sent once: {error}");
    }
    let closed: Url = "http://127.0.0.1:1/".parse().unwrap();
    let outlet = app.egress.to(allow(app, &closed, true).await, about());
    let error = outlet.send(call(&closed, Body::json(&1.into()))).await.unwrap_err();
    assert!(matches!(error, EgressError::Unreachable) && error.surely_not_sent());
    assert_eq!(rows(&test).await.pop().unwrap(), ("failed".into(), None, 0, 0, Some("no connection".into())));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let test = support::platform().await;
    let app = &test.platform;
    let other = peer(ok("")).await;
    let redirect = format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", other.url);
    let first = peer(Answer::Text(redirect)).await;
    allow(app, &other.url, true).await;
    let outlet = app.egress.to(allow(app, &first.url, true).await, about());
    assert_eq!(outlet.send(call(&first.url, Body::none())).await.unwrap().status, 302);
    assert_eq!(other.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_destination_that_is_not_local_reaches_no_private_address() {
    let test = support::platform().await;
    let app = &test.platform;
    let peer = peer(ok("")).await;
    let port = peer.url.port().unwrap();
    // Names that look public and addresses in disguise; all of them lead to the peer.
    for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]"] {
        let url: Url = format!("https://{host}:{port}/v1").parse().unwrap();
        let outlet = app.egress.to(allow(app, &url, false).await, about());
        let error = outlet.send(call(&url, Body::none())).await.unwrap_err();
        assert!(matches!(error, EgressError::Address(_)), "{host}: {error}");
        assert_eq!(outcome(&test).await, "refused", "{host}");
    }
    assert_eq!(peer.connections.load(Ordering::SeqCst), 0);
}

/// Says first one address, then another.
struct Fickle {
    asked: AtomicUsize,
    answers: Vec<Vec<IpAddr>>,
}

impl Lookup for Fickle {
    fn lookup(&self, _: &str) -> Addresses {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst).min(self.answers.len() - 1);
        let answer = self.answers[turn].clone();
        Box::pin(async move { Ok(answer) })
    }
}

/// The way out with names that change.
fn fickle(test: &TestPlatform, answers: Vec<Vec<IpAddr>>) -> (Egress, Arc<Fickle>) {
    let app = &test.platform;
    let lookup = Arc::new(Fickle { asked: AtomicUsize::new(0), answers });
    let (db, clock, signals) = (app.db.clone(), app.clock.clone(), app.signals.clone());
    (Egress::with_lookup(db, clock, signals, Way::default(), lookup.clone()), lookup)
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_what_was_judged_is_connected_to() {
    let test = support::platform().await;
    let home: IpAddr = Ipv4Addr::LOCALHOST.into();
    let away: IpAddr = Ipv4Addr::new(169, 254, 169, 254).into();
    let peer = peer(ok("")).await;
    let url: Url = format!("http://gpu.example:{}/v1", peer.url.port().unwrap()).parse().unwrap();
    let id = allow(&test.platform, &url, true).await;
    let (egress, lookup) = fickle(&test, vec![vec![home], vec![away], vec![home, away]]);
    assert!(egress.to(id, about()).send(call(&url, Body::none())).await.is_ok());
    assert_eq!(lookup.asked.load(Ordering::SeqCst), 1);
    for _ in 0..2 {
        let error = egress.to(id, about()).send(call(&url, Body::none())).await.unwrap_err();
        assert!(matches!(error, EgressError::Address(_)), "{error}");
    }
    assert_eq!(peer.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn only_what_was_allowed_leaves() {
    let test = support::platform().await;
    let app = &test.platform;
    let (one, other) = (peer(ok("")).await, peer(ok("")).await);
    let id = allow(app, &one.url, true).await;
    let elsewhere = app.egress.to(id, about()).send(call(&other.url, Body::none())).await.unwrap_err();
    assert!(matches!(elsewhere, EgressError::Elsewhere));
    let nobody = DestinationId::new(&app.clock);
    let unknown = app.egress.to(nobody, about()).send(call(&one.url, Body::none())).await.unwrap_err();
    assert!(matches!(unknown, EgressError::Unknown));
    let client = postgres::connect(&test.database.url()).await;
    client.batch_execute("update egress_destinations set categories = '{parameters}'").await.unwrap();
    let data = app.egress.to(id, about()).send(call(&one.url, Body::none())).await.unwrap_err();
    assert!(matches!(data, EgressError::Data(Category::Prompt)));
    let ctx = Ctx::system("test", app.clock.clone());
    app.db.write("test", async |tx| destinations::switch_off(tx, &ctx, id).await).await.unwrap();
    let off = app.egress.to(id, about()).send(call(&one.url, Body::none())).await.unwrap_err();
    assert!(matches!(off, EgressError::SwitchedOff));
    allow(app, &one.url, true).await;
    assert!(app.egress.to(id, about()).send(call(&one.url, Body::none())).await.is_ok());
    assert_eq!((one.connections.load(Ordering::SeqCst), other.connections.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test]
async fn rows_of_a_dead_server_are_closed() {
    let test = support::platform().await;
    let app = &test.platform;
    let peer = peer(Answer::Silence).await;
    let outlet = app.egress.to(allow(app, &peer.url, true).await, about());
    let sending = outlet.send(call(&peer.url, Body::none()));
    // Dropped in the middle, as when the process dies.
    assert!(tokio::time::timeout(Duration::from_millis(300), sending).await.is_err());
    assert_eq!(ledger::sweep(&app.db, &app.clock).await.unwrap(), 0);
    app.clock.advance(chrono::Duration::minutes(2));
    assert_eq!(ledger::sweep(&app.db, &app.clock).await.unwrap(), 1);
    assert_eq!(outcome(&test).await, "lost");
}

#[tokio::test]
#[should_panic(expected = "inside a transaction")]
async fn nothing_is_sent_inside_a_transaction() {
    let test = support::platform().await;
    let app = &test.platform;
    let url: Url = "http://127.0.0.1:1/".parse().unwrap();
    let outlet = app.egress.to(allow(app, &url, true).await, about());
    let sent: Result<(), DbError> = app
        .db
        .write("test", async |_| {
            let _ = outlet.send(call(&url, Body::none())).await;
            Ok(())
        })
        .await;
    sent.unwrap();
}
