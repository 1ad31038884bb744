//! Names and peers that mean ill: what their answers can cost is bounded, and nothing of ours reaches where it may not.

use super::*;

/// A peer on loopback that reads the request and then writes `first`, and `again` every `pause` until nobody listens.
async fn endless(first: &'static [u8], again: &'static [u8], pause: Duration) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0; 4096];
            let _ = stream.read(&mut buffer).await;
            if stream.write_all(first).await.is_err() {
                continue;
            }
            while stream.write_all(again).await.is_ok() {
                tokio::time::sleep(pause).await;
            }
        }
    });
    url
}

/// How a call to this peer ends, and its row.
async fn end_of(first: &'static [u8], again: &'static [u8], pause: u64) -> (EgressError, Row) {
    let test = support::platform().await;
    let app = &test.platform;
    let url = endless(first, again, Duration::from_millis(pause)).await;
    let outlet = app.egress.to(allow(app, &url, true).await, about());
    let sending = Call { limit: Duration::from_secs(2), ..call(&url, Body::none()) };
    let started = std::time::Instant::now();
    let error = outlet.send(sending).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(4), "{error}: {:?}", started.elapsed());
    (error, rows(&test).await.pop().unwrap())
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn an_answer_that_drips_ends_when_its_time_is_over() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    let (error, row) = end_of(head, b"x", 50).await;
    assert!(matches!(error, EgressError::TimedOut), "{error}");
    assert_eq!(row.0, "timed_out");
    assert!(row.3 > 0 && row.3 < 1000, "what came is counted: {row:?}");
    let (error, _) = end_of(HEAD, b"X: y\r\n", 50).await;
    assert!(matches!(error, EgressError::TimedOut), "{error}");
    let (error, _) = end_of(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 50).await;
    assert!(matches!(error, EgressError::TimedOut), "{error}");
}

#[tokio::test]
async fn heads_without_end_are_cut_off() {
    for again in [
        &b"X-Bomb: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"[..],
        b"X",
    ] {
        let (error, row) = end_of(HEAD, again.repeat(4000).leak(), 0).await;
        assert!(matches!(error, EgressError::BrokenOff { status: None }), "{error}");
        assert_eq!((row.0.as_str(), row.1, row.3), ("failed", None, 0));
    }
}

#[tokio::test]
async fn bodies_without_end_are_cut_off() {
    for (head, piece) in [
        (CHUNKED, &b"40\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"[..]),
        (b"HTTP/1.1 200 OK\r\n\r\n", &[0; 512]),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", &[0; 512]),
    ] {
        let (error, row) = end_of(head, piece, 0).await;
        assert!(matches!(error, EgressError::TooLarge { status: 200 }), "{error}");
        assert_eq!((row.0.as_str(), row.1), ("failed", Some(200)));
        assert!(row.3 > 1024 && row.3 < 300_000, "{row:?}");
    }
}

#[tokio::test]
async fn what_is_packed_stays_packed() {
    let test = support::platform().await;
    let app = &test.platform;
    // A thousand times its size, if somebody unpacked it.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, &[0; 500_000]).unwrap();
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 1024);
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", packed.len()).into_bytes();
    answer.extend(&packed);
    let peer = peer(Answer::Bytes(answer)).await;
    let outlet = app.egress.to(allow(app, &peer.url, true).await, about());
    assert_eq!(outlet.send(call(&peer.url, Body::none())).await.unwrap().body, packed);
    assert_eq!(rows(&test).await.pop().unwrap().3, packed.len() as i64);
}

#[tokio::test]
async fn a_redirect_leads_nowhere_wherever_it_points() {
    let test = support::platform().await;
    let app = &test.platform;
    let inside = peer(ok("")).await;
    let port = inside.url.port().unwrap();
    for to in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("//localhost:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        for status in [301, 302, 303, 307, 308] {
            let answer = format!("HTTP/1.1 {status} There\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            let peer = peer(Answer::Text(answer)).await;
            let outlet = app.egress.to(allow(app, &peer.url, true).await, about());
            assert_eq!(outlet.send(call(&peer.url, Body::none())).await.unwrap().status, status);
            assert_eq!(peer.connections.load(Ordering::SeqCst), 1);
        }
    }
    assert_eq!(inside.connections.load(Ordering::SeqCst), 0);
    assert_eq!(rows(&test).await.len(), 25, "one call each, and none for where it pointed");
}

#[tokio::test]
async fn one_bad_address_among_good_ones_and_nobody_is_called() {
    let test = support::platform().await;
    let peer = peer(ok("")).await;
    let port = peer.url.port().unwrap();
    let table: [(bool, &[&str], &str); 9] = [
        (false, &["1.1.1.1", "127.0.0.1"], "private address"),
        (false, &["127.0.0.1", "1.1.1.1"], "private address"),
        (false, &["::ffff:127.0.0.1"], "private address"),
        (false, &["2606:4700::1111", "::1"], "private address"),
        (false, &["1.1.1.1", "169.254.169.254"], "address that no server has"),
        (false, &["64:ff9b::7f00:1"], "address that no server has"),
        (true, &["127.0.0.1", "1.1.1.1"], "public address of a local destination"),
        (true, &["127.0.0.1", "0.0.0.0"], "address that no server has"),
        (true, &[], "name without an address"),
    ];
    for (local, answer, reason) in table {
        let scheme = if local { "http" } else { "https" };
        let url: Url = format!("{scheme}://gpu.example:{port}/v1").parse().unwrap();
        let id = allow(&test.platform, &url, local).await;
        let answers = vec![answer.iter().map(|text| text.parse().unwrap()).collect()];
        let egress = fickle(&test, answers).0;
        let error = egress.to(id, about()).send(call(&url, Body::none())).await.unwrap_err();
        assert!(matches!(error, EgressError::Address(_)) && error.surely_not_sent(), "{answer:?}: {error}");
        let row = rows(&test).await.pop().unwrap();
        assert_eq!(row, ("refused".into(), None, 0, 0, Some(reason.into())), "{answer:?}");
    }
    assert_eq!(peer.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn only_the_house_is_reached_without_encryption() {
    let test = support::platform().await;
    let app = &test.platform;
    let url: Url = "http://api.example/v1".parse().unwrap();
    let outlet = app.egress.to(allow(app, &url, false).await, about());
    let error = outlet.send(call(&url, Body::none())).await.unwrap_err();
    assert!(matches!(error, EgressError::Address(_)) && error.surely_not_sent(), "{error}");
    let reason = "not encrypted on its way out of the house";
    assert_eq!(rows(&test).await, [("refused".into(), None, 0, 0, Some(reason.into()))]);
}
