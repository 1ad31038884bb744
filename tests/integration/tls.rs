//! TLS in the server itself: what is spoken, what is refused, and certificates that change under running connections.
#![expect(clippy::disallowed_types, reason = "a test calls the server as other programs do")]

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use renderkeep::{
    app::tls::{
        Certificates,
        authority::{Authority, local, local_files, save},
    },
    base::clock::Clock,
    config::{Config, Tls},
};
use rustls::{
    ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::{self, app::TestApp};

/// A server with a certificate of its own authority in `directory`.
async fn server(directory: &Path) -> (TestApp, SocketAddr) {
    local(directory, Clock::system().now()).unwrap();
    let app = TestApp::start_with(with_tls(directory)).await;
    let address = app.url.trim_start_matches("http://").parse().unwrap();
    (app, address)
}

fn with_tls(directory: &Path) -> Config {
    let mut config = support::config();
    let (certificate, key) = local_files(directory);
    config.tls = Tls { certificate: Some(certificate), key: Some(key), redirect: None };
    config
}

async fn connect(
    directory: &Path,
    address: SocketAddr,
    version: &'static SupportedProtocolVersion,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(directory.join("ca.pem")).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[version]).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
}

/// Asks for `/healthz` and leaves the connection open.
async fn ask(stream: &mut TlsStream<TcpStream>, host: &str) -> String {
    stream.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = vec![0; 8192];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

fn certificate_of(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn versions_1_2_and_1_3_with_http_1_and_2() {
    let dir = tempfile::tempdir().unwrap();
    let (_app, address) = server(dir.path()).await;
    for (version, known) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        for (offered, spoken) in [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1"], "http/1.1")] {
            let stream = connect(dir.path(), address, version, offered).await.unwrap();
            let (_, session) = stream.get_ref();
            assert_eq!(session.protocol_version(), Some(known));
            assert_eq!(session.alpn_protocol(), Some(spoken.as_bytes()));
        }
        let mut stream = connect(dir.path(), address, version, &[]).await.unwrap();
        let answer = ask(&mut stream, "render.example.org").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.to_lowercase().contains("strict-transport-security: max-age=63072000"), "{answer}");
        // Browsers would keep it for every port of this machine.
        let local = ask(&mut stream, "localhost:8443").await;
        assert!(!local.to_lowercase().contains("strict-transport-security"), "{local}");
    }
    let root = std::fs::read(dir.path().join("ca.pem")).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([reqwest::Certificate::from_pem(&root).unwrap()]);
    let answer = client.build().unwrap().get(format!("https://{address}/healthz")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
}

#[tokio::test]
async fn version_1_1_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_app, address) = server(dir.path()).await;
    // The same hello as TLS 1.2, so that nothing but its version can be why.
    let answer = answer_to_hello(address, 3).await;
    assert_eq!(answer[0], 22, "a handshake: {answer:?}");
    let answer = answer_to_hello(address, 2).await;
    assert_eq!((answer[0], &answer[5..7]), (21, &[2, 70][..]), "a fatal alert, protocol_version: {answer:?}");
}

/// What comes back to a hello that offers TLS 1.`minor - 1` at most.
async fn answer_to_hello(address: SocketAddr, minor: u8) -> Vec<u8> {
    const SUITES: [u8; 6] = [0, 4, 0xc0, 0x2b, 0xc0, 0x09];
    const GROUPS: [u8; 8] = [0, 10, 0, 4, 0, 2, 0, 23];
    const SIGNATURES: [u8; 8] = [0, 13, 0, 4, 0, 2, 4, 3];
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    body.extend([&[0], &SUITES[..], &[1, 0, 0, 16], &GROUPS, &SIGNATURES].concat());
    let length = |length: usize| u8::try_from(length).unwrap();
    let mut hello = vec![22, 3, 1, 0, length(body.len() + 4), 1, 0, 0, length(body.len())];
    hello.extend(&body);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    let mut answer = vec![0; 7];
    stream.read_exact(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_new_certificate_is_used_and_no_connection_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (_app, address) = server(dir.path()).await;
    let mut old = connect(dir.path(), address, &TLS13, &[]).await.unwrap();
    assert!(ask(&mut old, "localhost").await.starts_with("HTTP/1.1 200"));
    let first = certificate_of(&old);
    // By hangup, and then by the change of the files alone; after each the old connection still answers.
    let mut before = first.clone();
    for hangup in [true, false] {
        renew(dir.path());
        if hangup {
            kill(Pid::this(), Signal::SIGHUP).unwrap();
        }
        let since = std::time::Instant::now();
        let now = loop {
            let stream = connect(dir.path(), address, &TLS13, &[]).await.unwrap();
            let now = certificate_of(&stream);
            if now != before {
                break now;
            }
            assert!(since.elapsed() < Duration::from_secs(if hangup { 3 } else { 20 }), "the new one is not used");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        before = now;
        assert!(ask(&mut old, "localhost").await.starts_with("HTTP/1.1 200"));
        assert_eq!(certificate_of(&old), first);
    }
    // What cannot be used does not take away what is there.
    std::fs::write(local_files(dir.path()).0, "no certificate").unwrap();
    kill(Pid::this(), Signal::SIGHUP).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let stream = connect(dir.path(), address, &TLS13, &[]).await.unwrap();
    assert_eq!(certificate_of(&stream), before);
}

fn renew(directory: &Path) {
    let issued = Authority::open(directory).unwrap().issue(&["localhost".to_owned()], Clock::system().now()).unwrap();
    let (certificate, key) = local_files(directory);
    save(&issued, &certificate, &key).unwrap();
}

#[test]
fn what_does_not_fit_is_refused_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    local(dir.path(), Clock::system().now()).unwrap();
    let good = with_tls(dir.path()).tls;
    let ends_at = Certificates::load(&good).unwrap().unwrap().ends_at().unwrap();
    assert_eq!((ends_at - Clock::system().now()).num_days(), 29);
    let refused = |tls: &Tls| Certificates::load(tls).unwrap_err().to_string();
    let other = Tls { key: Some(dir.path().join("ca.key")), ..good.clone() };
    assert!(refused(&other).contains("ca.key does not belong to the first certificate in "), "{}", refused(&other));
    let swapped = Tls { certificate: good.key.clone(), key: good.certificate.clone(), ..good.clone() };
    assert!(refused(&swapped).contains("server.key holds no certificate."), "{}", refused(&swapped));
    let missing = Tls { certificate: Some("/nowhere/server.pem".into()), ..good };
    assert!(refused(&missing).contains("/nowhere/server.pem cannot be read"), "{}", refused(&missing));
}

#[tokio::test]
async fn plain_http_is_sent_on_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    local(dir.path(), Clock::system().now()).unwrap();
    let mut config = with_tls(dir.path());
    let plain = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    config.tls.redirect = Some(plain);
    let app = TestApp::start_with(config).await;
    let port = app.url.rsplit(':').next().unwrap().to_owned();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for _ in 0..100 {
        if TcpStream::connect(plain).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answer = client.get(format!("http://{plain}/library?page=2&q=a%20b")).send().await.unwrap();
    assert_eq!(answer.status(), 308);
    assert_eq!(answer.headers()["location"], format!("https://127.0.0.1:{port}/library?page=2&q=a%20b"));
    assert!(client.get(format!("http://127.0.0.1:{port}/healthz")).send().await.is_err(), "no plain HTTP there");
}
