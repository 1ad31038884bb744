//! A store that is slow, answers nonsense, or tells another time: between the server and its MinIO stands a relay.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use renderkeep::{app::inspection::inspect, library};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, tcp::OwnedReadHalf},
};

use super::{codes, made, png, wish};
use crate::support::{
    app::{Client, Reply},
    serve::Installation,
    stores::{self, Program},
};

#[derive(Clone, Copy, Debug)]
enum Manner {
    Honest,
    /// Each piece comes late.
    Slow,
    /// Whatever is asked, this is no answer of a store.
    Nonsense,
    /// All is well, says somebody who never heard of S3.
    Smiling,
    /// An hour behind, by the date on its answers.
    Behind,
}

const MANNERS: [Manner; 5] = [Manner::Honest, Manner::Slow, Manner::Nonsense, Manner::Smiling, Manner::Behind];

struct Relay {
    manner: Arc<AtomicU8>,
    port: u16,
}

impl Relay {
    async fn start() -> Self {
        let store = stores::shared(Program::Minio).await.endpoint().trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let manner = Arc::new(AtomicU8::new(0));
        let now = manner.clone();
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let (now, store) = (now.clone(), store.clone());
                tokio::spawn(async move {
                    // Whoever hangs up ends it.
                    let _ = between(caller, &store, now).await;
                });
            }
        });
        Self { manner, port }
    }

    fn behave(&self, manner: Manner) {
        self.manner.store(manner as u8, Ordering::Relaxed);
    }
}

#[expect(clippy::disallowed_types, reason = "stands between the server and its store")]
async fn between(caller: tokio::net::TcpStream, store: &str, manner: Arc<AtomicU8>) -> std::io::Result<()> {
    let store = tokio::net::TcpStream::connect(store).await?;
    let (mut from_caller, mut to_caller) = caller.into_split();
    let (mut from_store, mut to_store) = store.into_split();
    let how = move || MANNERS[usize::from(manner.load(Ordering::Relaxed))];
    let there = async {
        let how = how.clone();
        while let Some(piece) = next(&mut from_caller).await? {
            match how() {
                Manner::Slow => tokio::time::sleep(Duration::from_millis(150)).await,
                Manner::Nonsense | Manner::Smiling => return Ok(()),
                Manner::Honest | Manner::Behind => {}
            }
            to_store.write_all(&piece).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    let back = async {
        while let Some(mut piece) = next(&mut from_store).await? {
            match how() {
                Manner::Slow => tokio::time::sleep(Duration::from_millis(150)).await,
                Manner::Behind => piece = an_hour_behind(piece),
                _ => {}
            }
            to_caller.write_all(&piece).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    tokio::select! {
        end = there => end?,
        end = back => return end,
    }
    let answer: &[u8] = match how() {
        Manner::Nonsense => b"\x16\x03\x01 this is no HTTP at all\r\n\r\n",
        Manner::Smiling => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        _ => return Ok(()),
    };
    to_caller.write_all(answer).await
}

async fn next(from: &mut OwnedReadHalf) -> std::io::Result<Option<Vec<u8>>> {
    let mut piece = vec![0; 1 << 16];
    let length = from.read(&mut piece).await?;
    piece.truncate(length);
    Ok((length > 0).then_some(piece))
}

/// The date stands in the head, which comes in one piece.
fn an_hour_behind(piece: Vec<u8>) -> Vec<u8> {
    let Some(at) = piece.windows(6).position(|six| six.eq_ignore_ascii_case(b"date: ")) else { return piece };
    let end = at + 6 + 29;
    let date = String::from_utf8_lossy(&piece[at + 6..end]).into_owned();
    let Ok(date) = chrono::DateTime::parse_from_rfc2822(&date) else { return piece };
    let earlier = (date - chrono::Duration::hours(1)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    [&piece[..at + 6], earlier.as_bytes(), &piece[end..]].concat()
}

async fn bring(owner: &Client) -> Reply {
    let begun = Instant::now();
    let reply = owner.upload("lake.png", png()).await;
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_relied_upon_is_waited_for_and_never_believed() {
    let relay = Relay::start().await;
    let house = Installation::new(&format!("endpoint = \"http://127.0.0.1:{}\"", relay.port)).await;
    let mut server = house.serve(&[]);
    assert!(server.ready().await);
    let owner = Client::of(&server.url, Some(house.token()));
    assert_eq!(made(&owner, "painter").await["state"], "succeeded");

    relay.behave(Manner::Slow);
    assert_eq!(bring(&owner).await.status, 201, "slow is not away");
    assert_eq!(made(&owner, "painter").await["state"], "succeeded");

    for manner in [Manner::Nonsense, Manner::Smiling] {
        relay.behave(manner);
        let refused = bring(&owner).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (503, "service.unavailable"),
            "{manner:?}: {:?}",
            refused.body
        );
        assert!(refused.headers.contains_key("retry-after"), "{manner:?}");
        let accepted = owner.post("/api/v1/generations", &wish("painter")).await.json();
        let id = accepted["id"].as_str().unwrap().to_owned();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let waiting = owner.get(&format!("/api/v1/generations/{id}")).await.json();
        let open = ["queued", "submitting", "running", "storing"].contains(&waiting["state"].as_str().unwrap());
        assert!(open, "{manner:?}: {waiting}");
        let report: Value = serde_json::from_slice(&house.run("doctor --json", &[]).stdout).unwrap();
        assert!(report["findings"].to_string().contains("\"store."), "{manner:?}: {report}");
        assert_eq!(report["good"], false, "{manner:?}: {report}");
        relay.behave(Manner::Honest);
        assert_eq!(owner.wait(&id).await["state"], "succeeded", "{manner:?}");
        assert_eq!(bring(&owner).await.status, 201, "{manner:?}");
    }

    relay.behave(Manner::Behind);
    let report: Value = serde_json::from_slice(&house.run("doctor --json", &[]).stdout).unwrap();
    let clock = report["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == "clock.store");
    assert_eq!(clock.unwrap()["severity"], "problem", "{report}");
    relay.behave(Manner::Honest);

    let (platform, ctx) = house.beside(chrono::Duration::minutes(20)).await;
    library::jobs::sweep(&platform, &ctx).await.unwrap();
    let found = inspect(&platform, Vec::new()).await;
    assert_eq!(codes(&found), [""; 0], "{found:?}");
}
