//! Proxies and authorities: those of the configuration count, those of the environment do not.
#![expect(clippy::disallowed_methods, reason = "a variable of the environment needs a process of its own")]
#![expect(clippy::disallowed_types, reason = "the proxy of the test connects where it is asked to")]

use std::{path::Path, process::Command};

use renderkeep::config;

use super::*;
use crate::doubles::openai;

/// This binary again, with one test and a proxy in its environment.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_of_the_environment_is_ignored() {
    let proxy = peer(Answer::Drop).await;
    let address = format!("http://127.0.0.1:{}", proxy.url.port().unwrap());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "egress::every_byte_that_leaves_is_counted", "--test-threads=1"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(name, &address).env(name.to_lowercase(), &address);
    }
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(proxy.connections.load(Ordering::SeqCst), 0);
}

/// An authority that nobody knows, and a certificate by it for `api.example`.
fn authority(folder: &Path) {
    let commands = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=house \
         -addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.pem &&
         openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=api.example -keyout key.pem -out csr &&
         printf 'subjectAltName=DNS:api.example\nextendedKeyUsage=serverAuth\n' > ext &&
         openssl x509 -req -in csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem";
    let done = Command::new("sh").args(["-c", commands]).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Connects whoever asks with CONNECT to this port, and keeps what was asked; with 0 it refuses everybody.
async fn proxy(to: u16) -> (String, Arc<tokio::sync::Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://porter:secret@127.0.0.1:{}", listener.local_addr().unwrap().port());
    let asked = Arc::new(tokio::sync::Mutex::new(Vec::new()));
    let kept = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            kept.lock().await.push(String::from_utf8(head).unwrap());
            if to == 0 {
                stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await.unwrap();
                continue;
            }
            stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
            let mut there = tokio::net::TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
        }
    });
    (address, asked)
}

/// Nobody may ask for a name here: the proxy does.
struct Nowhere;

impl Lookup for Nowhere {
    fn lookup(&self, name: &str) -> Addresses {
        panic!("{name} was looked up")
    }
}

fn through(test: &TestPlatform, proxy: &str, folder: &Path) -> Egress {
    let app = &test.platform;
    let set = config::Egress { proxy: Some(proxy.into()), extra_ca_file: Some(folder.join("ca.pem")) };
    let (db, clock, signals) = (app.db.clone(), app.clock.clone(), app.signals.clone());
    Egress::with_lookup(db, clock, signals, Way::of(&set).unwrap(), Arc::new(Nowhere))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_outside_is_reached_through_the_configured_proxy_and_the_house_is_not() {
    let test = support::platform().await;
    let folder = tempfile::tempdir().unwrap();
    authority(folder.path());
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let double = openai::start(&["--tls", &file("cert.pem"), &file("key.pem")]);
    let (address, asked) = proxy(double.port).await;
    let egress = through(&test, &address, folder.path());

    let url: Url = "https://api.example/seen".parse().unwrap();
    let id = allow(&test.platform, &url, false).await;
    let get = Call { method: Method::Get, ..call(&url, Body::none()) };
    let reply = egress.to(id, about()).send(get).await.unwrap();
    assert_eq!((reply.status, reply.body.as_ref()), (200, &b"[]"[..]));
    let heads = asked.lock().await.clone();
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with("CONNECT api.example:443 HTTP/1.1\r\n"), "{heads:?}");
    assert!(heads[0].to_lowercase().contains("proxy-authorization: basic "), "{heads:?}");
    assert!(!heads[0].contains("secret"), "the key of the destination stays inside the encryption");

    let home = peer(ok("home")).await;
    let id = allow(&test.platform, &home.url, true).await;
    assert_eq!(egress.to(id, about()).send(call(&home.url, Body::none())).await.unwrap().body, "home");
    assert_eq!(asked.lock().await.len(), 1, "what is in the house is reached directly");

    let inside: Url = "https://10.0.0.1/v1".parse().unwrap();
    let id = allow(&test.platform, &inside, false).await;
    let refused = egress.to(id, about()).send(call(&inside, Body::none())).await.unwrap_err();
    assert!(matches!(refused, EgressError::Address(_)), "{refused}");
    assert_eq!(asked.lock().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_and_a_certificate_of_a_stranger_get_nothing() {
    let test = support::platform().await;
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    authority(ours.path());
    authority(theirs.path());
    let file = |name: &str| theirs.path().join(name).to_str().unwrap().to_owned();
    let double = openai::start(&["--tls", &file("cert.pem"), &file("key.pem")]);
    let url: Url = "https://api.example/v1".parse().unwrap();
    let id = allow(&test.platform, &url, false).await;
    for port in [0, double.port] {
        let egress = through(&test, &proxy(port).await.0, ours.path());
        let error = egress.to(id, about()).send(call(&url, Body::none())).await.unwrap_err();
        assert!(matches!(error, EgressError::Unreachable) && error.surely_not_sent(), "{error}");
        assert_eq!(rows(&test).await.pop().unwrap(), ("failed".into(), None, 0, 0, Some("no connection".into())));
    }
}
