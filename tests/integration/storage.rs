//! What every store must do, and what the one over the network must do when the network or the server misbehaves.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use renderkeep::{
    base::{clock::Clock, error::chain, ids::ObjectId},
    platform::storage::{ByteStream, ObjectStore, StorageError, collect, memory::Memory, stream_of},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::stores::{self, Program};

const MIB: usize = 1024 * 1024;

macro_rules! contract {
    ($($rule:ident)*) => {
        mod memory {
            $(#[tokio::test] async fn $rule() { super::$rule(&super::Memory::default()).await; })*
        }
        mod minio {
            use super::Program::Minio;
            $(#[tokio::test] async fn $rule() { super::$rule(&super::stores::shared(Minio).await.store().await).await; })*
        }
        mod versitygw {
            use super::Program::Versitygw;
            $(#[tokio::test] async fn $rule() { super::$rule(&super::stores::shared(Versitygw).await.store().await).await; })*
        }
    };
}

contract! {
    what_was_put_is_what_comes_back
    a_stream_of_unknown_length_is_stored_whole
    an_object_of_many_parts_comes_back
    an_object_of_exactly_one_part_comes_back
    an_object_may_be_empty
    a_short_stream_stores_nothing
    a_long_stream_stores_nothing
    a_broken_stream_stores_nothing
    ranges_are_exact
    what_is_not_there_is_missing
    deleting_twice_is_no_error
    lists_are_in_order_and_paged
}

fn new_id() -> ObjectId {
    ObjectId::new(&Clock::system())
}

/// Bytes that differ from place to place, so that a lost or swapped part shows.
fn pattern(length: usize) -> Bytes {
    (0..length).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// In pieces of odd size, as a network delivers them.
fn pieces(bytes: &Bytes) -> ByteStream {
    let pieces: Vec<_> = bytes.chunks(60_001).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    Box::pin(futures::stream::iter(pieces))
}

async fn read(store: &dyn ObjectStore, id: ObjectId) -> Bytes {
    collect(store.get(id, None).await.unwrap(), u64::MAX).await.unwrap()
}

async fn assert_absent(store: &dyn ObjectStore, id: ObjectId) {
    assert_eq!(store.head(id).await.unwrap(), None);
    assert!(store.list(None, 10).await.unwrap().is_empty());
}

async fn what_was_put_is_what_comes_back(store: &dyn ObjectStore) {
    let (id, bytes) = (new_id(), pattern(100_000));
    assert_eq!(store.put(id, pieces(&bytes), Some(100_000)).await.unwrap(), 100_000);
    assert_eq!(read(store, id).await, bytes);
    assert_eq!(store.head(id).await.unwrap(), Some(100_000));
}

async fn a_stream_of_unknown_length_is_stored_whole(store: &dyn ObjectStore) {
    let (id, bytes) = (new_id(), pattern(6 * MIB + 17));
    assert_eq!(store.put(id, pieces(&bytes), None).await.unwrap(), bytes.len() as u64);
    assert_eq!(read(store, id).await, bytes);
}

async fn an_object_of_many_parts_comes_back(store: &dyn ObjectStore) {
    let (id, bytes) = (new_id(), pattern(20 * MIB + 1));
    store.put(id, pieces(&bytes), Some(bytes.len() as u64)).await.unwrap();
    assert_eq!(read(store, id).await, bytes);
    let part = store.get(id, Some(5 * MIB as u64 - 3..5 * MIB as u64 + 4)).await.unwrap();
    assert_eq!(collect(part, 7).await.unwrap(), bytes.slice(5 * MIB - 3..5 * MIB + 4));
}

async fn an_object_of_exactly_one_part_comes_back(store: &dyn ObjectStore) {
    let (id, bytes) = (new_id(), pattern(5 * MIB));
    store.put(id, stream_of(bytes.clone()), Some(bytes.len() as u64)).await.unwrap();
    assert_eq!(read(store, id).await, bytes);
}

async fn an_object_may_be_empty(store: &dyn ObjectStore) {
    let id = new_id();
    assert_eq!(store.put(id, stream_of(Bytes::new()), Some(0)).await.unwrap(), 0);
    assert_eq!(store.head(id).await.unwrap(), Some(0));
    assert!(read(store, id).await.is_empty());
}

async fn a_short_stream_stores_nothing(store: &dyn ObjectStore) {
    for (length, declared) in [(99, 100), (0, 1), (12 * MIB, 12 * MIB as u64 + 1)] {
        let id = new_id();
        let put = store.put(id, pieces(&pattern(length)), Some(declared)).await;
        assert!(matches!(put, Err(StorageError::Interrupted(_))), "{length}: {put:?}");
        assert_absent(store, id).await;
    }
}

async fn a_long_stream_stores_nothing(store: &dyn ObjectStore) {
    for (length, declared) in [(101, 100), (1, 0), (12 * MIB, 12 * MIB as u64 - 1), (6 * MIB, 5 * MIB as u64)] {
        let id = new_id();
        let put = store.put(id, pieces(&pattern(length)), Some(declared)).await;
        assert!(matches!(put, Err(StorageError::Interrupted(_))), "{length}: {put:?}");
        assert_absent(store, id).await;
    }
}

async fn a_broken_stream_stores_nothing(store: &dyn ObjectStore) {
    for length in [1000, 11 * MIB] {
        let id = new_id();
        let broken = futures::stream::iter([Err(StorageError::Interrupted("cut".into()))]);
        let put = store.put(id, Box::pin(pieces(&pattern(length)).chain(broken)), None).await;
        assert!(matches!(put, Err(StorageError::Interrupted(_))), "{length}: {put:?}");
        assert_absent(store, id).await;
    }
}

async fn ranges_are_exact(store: &dyn ObjectStore) {
    let (id, bytes) = (new_id(), pattern(1000));
    store.put(id, stream_of(bytes.clone()), None).await.unwrap();
    for range in [0..1, 0..1000, 10..20, 999..1000, 500..500] {
        let part = collect(store.get(id, Some(range.clone())).await.unwrap(), 1000).await.unwrap();
        assert_eq!(part, bytes.slice(range.start as usize..range.end as usize));
    }
    for range in [0..1001, 999..1002, 1000..1001, 5000..6000] {
        let part = match store.get(id, Some(range.clone())).await {
            Ok(stream) => collect(stream, 2000).await,
            Err(error) => Err(error),
        };
        assert!(matches!(part, Err(StorageError::Damaged(_))), "{range:?}: {part:?}");
    }
}

async fn what_is_not_there_is_missing(store: &dyn ObjectStore) {
    let id = new_id();
    assert_eq!(store.head(id).await.unwrap(), None);
    for range in [None, Some(0..10)] {
        assert!(matches!(store.get(id, range).await.err(), Some(StorageError::Missing(missing)) if missing == id));
    }
}

async fn deleting_twice_is_no_error(store: &dyn ObjectStore) {
    let id = new_id();
    store.put(id, stream_of("x"), None).await.unwrap();
    store.delete(id).await.unwrap();
    assert_absent(store, id).await;
    store.delete(id).await.unwrap();
}

async fn lists_are_in_order_and_paged(store: &dyn ObjectStore) {
    let mut ids: Vec<_> = (0..7).map(|_| new_id()).collect();
    for id in ids.iter().rev() {
        store.put(*id, stream_of("x"), None).await.unwrap();
    }
    ids.sort();
    assert_eq!(store.list(None, 100).await.unwrap(), ids);
    assert_eq!(store.list(None, 3).await.unwrap(), ids[..3]);
    assert_eq!(store.list(Some(ids[2]), 3).await.unwrap(), ids[3..6]);
    assert_eq!(store.list(Some(ids[5]), 3).await.unwrap(), ids[6..]);
    assert!(store.list(Some(ids[6]), 3).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_minio_stored_is_there_after_it_was_killed() {
    killed_and_started_again(Program::Minio).await;
}

#[tokio::test]
async fn what_versitygw_stored_is_there_after_it_was_killed() {
    killed_and_started_again(Program::Versitygw).await;
}

async fn killed_and_started_again(program: Program) {
    let mut server = stores::Server::start(program).await;
    let store = server.store().await.patience(Duration::from_millis(300));
    let (id, bytes) = (new_id(), pattern(7 * MIB));
    store.put(id, pieces(&bytes), Some(bytes.len() as u64)).await.unwrap();
    server.kill();
    let put = store.put(new_id(), stream_of("lost"), None).await;
    assert!(matches!(put, Err(StorageError::Unreachable(_))), "{put:?}");
    assert!(matches!(store.get(id, None).await.err(), Some(StorageError::Unreachable(_))));
    server.restart();
    server.ready(&store).await;
    assert_eq!(read(&store, id).await, bytes);
    assert_eq!(store.list(None, 10).await.unwrap(), [id]);
}

/// Whatever else is in the bucket, with names that are almost ours, is neither listed nor touched.
#[tokio::test]
async fn foreign_objects_in_the_bucket_are_left_alone() {
    for program in [Program::Minio, Program::Versitygw] {
        let server = stores::Server::start(program).await;
        let store = server.client("shared");
        server.ready(&store).await;
        let id = new_id();
        store.put(id, stream_of("ours"), None).await.unwrap();
        let ours = id.to_string();
        let shorter = &ours[..ours.len() - 1];
        let names = [
            "readme.txt".to_owned(),
            "a folder/with/obj_files".to_owned(),
            format!("{ours}.bak"),
            shorter.to_owned(),
            ours.to_uppercase(),
            format!("ast{}", &ours[3..]),
            "obj_zzzzzzzzzzzzzzzzzzzzzzzzzz".to_owned(),
            "\u{fc}n\u{ef}c\u{f6}de?#%20&+".to_owned(),
        ];
        for name in &names {
            server.put_foreign("shared", name).await;
        }
        assert_eq!(store.list(None, 100).await.unwrap(), [id], "{program:?}");
        assert_eq!(store.list(None, 1).await.unwrap(), [id], "{program:?}: a page full of others is not the end");
        store.delete(id).await.unwrap();
        assert!(store.list(None, 100).await.unwrap().is_empty());
    }
}

/// Seen from outside: no part of a broken, a refused or an abandoned upload is left.
#[tokio::test]
async fn an_upload_that_broke_off_leaves_no_parts() {
    for program in [Program::Minio, Program::Versitygw] {
        let server = stores::Server::start(program).await;
        let store = server.client("parts");
        server.ready(&store).await;
        let broken = futures::stream::iter([Err(StorageError::Interrupted("cut".into()))]);
        store.put(new_id(), Box::pin(pieces(&pattern(11 * MIB)).chain(broken)), None).await.unwrap_err();
        store.put(new_id(), pieces(&pattern(12 * MIB)), Some(11 * MIB as u64)).await.unwrap_err();
        // Whoever uploaded has gone away in the middle.
        let endless = Box::pin(pieces(&pattern(11 * MIB)).chain(futures::stream::pending()));
        let mut abandoned = Box::pin(store.put(new_id(), endless, None));
        while server.leftover_parts("parts").is_empty() {
            let step = tokio::time::timeout(Duration::from_millis(20), &mut abandoned).await;
            assert!(step.is_err(), "it has no end");
        }
        drop(abandoned);
        for _ in 0..100 {
            if server.leftover_parts("parts").is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(server.leftover_parts("parts"), [""; 0].map(std::path::PathBuf::from), "{program:?}");
        assert!(store.list(None, 10).await.unwrap().is_empty());
    }
}

/// The server dies while an object comes in: an error in time, and after its return nothing of it and all the rest.
#[tokio::test]
async fn a_store_that_is_killed_during_a_put_keeps_nothing_of_it() {
    for program in [Program::Minio, Program::Versitygw] {
        let mut server = stores::Server::start(program).await;
        let store = server.client("killed").patience(Duration::from_millis(500));
        server.ready(&store).await;
        let kept = new_id();
        store.put(kept, stream_of("kept"), None).await.unwrap();
        let lost = new_id();
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let rest = pattern(6 * MIB);
        let second = futures::stream::once(async move {
            receiver.await.unwrap();
            Ok(rest)
        });
        let put = store.put(lost, Box::pin(pieces(&pattern(6 * MIB)).chain(second)), None);
        let killing = async {
            while server.leftover_parts("killed").is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            server.kill();
            sender.send(()).unwrap();
        };
        let (put, ()) =
            tokio::time::timeout(Duration::from_secs(30), async { tokio::join!(put, killing) }).await.unwrap();
        assert!(matches!(put, Err(StorageError::Unreachable(_))), "{program:?}: {put:?}");
        server.restart();
        server.ready(&store).await;
        assert_eq!(store.list(None, 10).await.unwrap(), [kept], "{program:?}");
        assert_eq!(store.head(lost).await.unwrap(), None);
    }
}

/// Answers each connection in turn with one of these texts, then repeats the last.
async fn scripted(answers: &'static [&'static str]) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut turn = answers.iter().chain(std::iter::repeat(answers.last().unwrap()));
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let _ = socket.read(&mut request).await;
            let answer = turn.next().unwrap();
            if answer.is_empty() {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    address
}

const SLOW_DOWN: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nContent-Length: 90\r\nConnection: close\r\n\r\n\
    <?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Later</Message></Error>          ";
const HEADED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"e\"\r\nLast-Modified: Fri, 20 Nov 2026 12:00:00 GMT\r\nConnection: close\r\n\r\n";
const CUT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"e\"\r\nConnection: close\r\n\r\n12345";
const LESS: &str = "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nETag: \"e\"\r\nConnection: close\r\n\r\n12345";

#[tokio::test]
async fn an_overloaded_store_is_asked_again() {
    let store = stores::client(&scripted(&[SLOW_DOWN, SLOW_DOWN, HEADED]).await, "bucket", None);
    assert_eq!(store.head(new_id()).await.unwrap(), Some(10));
}

#[tokio::test]
async fn a_silent_store_is_unreachable_in_time() {
    let store = stores::client(&scripted(&[""]).await, "bucket", None).patience(Duration::from_millis(50));
    let asked = tokio::time::timeout(Duration::from_secs(10), store.head(new_id())).await.unwrap();
    assert!(matches!(asked, Err(StorageError::Unreachable(_))), "{asked:?}");
}

#[tokio::test]
async fn an_object_that_is_cut_on_the_way_is_an_error() {
    let store = stores::client(&scripted(&[CUT]).await, "bucket", None);
    let stream = store.get(new_id(), None).await.unwrap();
    assert!(collect(stream, 100).await.is_err());
}

#[tokio::test]
async fn a_part_of_the_wrong_length_is_damaged() {
    let store = stores::client(&scripted(&[LESS]).await, "bucket", None);
    assert!(matches!(store.get(new_id(), Some(0..10)).await.err(), Some(StorageError::Damaged(_))));
}

const SKEWED: &str = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: 100\r\nConnection: close\r\n\r\n\
    <?xml version=\"1.0\"?><Error><Code>RequestTimeTooSkewed</Code><Message>Clock</Message></Error>         ";
/// As MinIO answers it, and as versitygw does.
const FULL: [&str; 2] = [
    "HTTP/1.1 507 Insufficient Storage\r\nContent-Type: application/xml\r\nContent-Length: 100\r\nConnection: close\r\n\r\n\
    <?xml version=\"1.0\"?><Error><Code>XMinioStorageFull</Code><Message>Full</Message></Error>             ",
    "HTTP/1.1 507 Insufficient Storage\r\nContent-Type: application/xml\r\nContent-Length: 100\r\nConnection: close\r\n\r\n\
    <?xml version=\"1.0\"?><Error><Code>InsufficientStorage</Code><Message>Full</Message></Error>           ",
];
/// As a HEAD is answered: nobody may send a body with it.
const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const GARBAGE: [&str; 4] = [
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 17\r\nConnection: close\r\n\r\n<html>hi</html>\r\n",
    "HTTP/1.1 500 Oh\r\nContent-Length: 4\r\nConnection: close\r\n\r\n\u{0}\u{1}\u{2}\u{3}",
    "HTTP/1.1 404 Not Found\r\nContent-Type: application/xml\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<Error",
    "SMTP ready\r\n",
];

#[tokio::test]
async fn a_store_with_another_clock_is_said_by_name() {
    let store = stores::client(&scripted(&[SKEWED]).await, "bucket", None);
    let put = store.put(new_id(), stream_of("x"), None).await.unwrap_err();
    let got = store.get(new_id(), None).await.err().unwrap();
    let listed = store.list(None, 10).await.unwrap_err();
    let prepared = stores::client(&scripted(&[FORBIDDEN, SKEWED]).await, "bucket", None).prepare().await.unwrap_err();
    for error in [put, got, listed, prepared] {
        assert!(matches!(error, StorageError::Clock), "{error:?}");
        assert!(error.to_string().contains("clock") && error.to_string().contains("NTP"));
    }
}

#[tokio::test]
async fn a_store_without_room_is_said_by_name_and_in_a_line() {
    for full in FULL {
        let store = stores::client(&scripted(vec![full].leak()).await, "bucket", None);
        let error = store.put(new_id(), stream_of("x"), None).await.unwrap_err();
        assert!(matches!(error, StorageError::Full(_)), "{error:?}");
        let told = chain(&error);
        assert!(told.contains("no room left") && told.to_lowercase().contains("full"), "{told}");
        assert!(!told.contains('\n'), "{told}");
    }
}

/// Nothing that is not an object is taken for one, and nothing is taken for stored that was not.
#[tokio::test]
async fn garbage_is_an_error_and_not_an_object() {
    for garbage in GARBAGE {
        let store = stores::client(&scripted(vec![garbage].leak()).await, "bucket", None);
        let store = store.patience(Duration::from_millis(500));
        assert!(store.put(new_id(), stream_of("x"), None).await.is_err(), "{garbage}");
        assert!(store.put(new_id(), pieces(&pattern(6 * MIB)), None).await.is_err(), "{garbage}");
        assert!(store.list(None, 10).await.is_err(), "{garbage}");
        let part = match store.get(new_id(), Some(0..100)).await {
            Ok(stream) => collect(stream, 1000).await.map(drop),
            Err(error) => Err(error),
        };
        assert!(part.is_err(), "{garbage}");
    }
}

/// Answers with ten bytes, `pause` apart, of which `sent` come.
async fn dripping(pause: Duration, sent: usize) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(HEADED.as_bytes()).await;
            for _ in 0..sent {
                tokio::time::sleep(pause).await;
                let _ = socket.write_all(b"x").await;
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    });
    address
}

#[tokio::test]
async fn a_slow_store_is_waited_for_as_long_as_something_comes() {
    let patience = Duration::from_millis(400);
    let slow = stores::client(&dripping(Duration::from_millis(100), 10).await, "bucket", None).patience(patience);
    assert_eq!(collect(slow.get(new_id(), None).await.unwrap(), 100).await.unwrap(), "xxxxxxxxxx");
    let stuck = stores::client(&dripping(Duration::from_millis(1), 5).await, "bucket", None).patience(patience);
    let stream = stuck.get(new_id(), None).await.unwrap();
    assert!(matches!(collect(stream, 100).await, Err(StorageError::Unreachable(_))));
}
