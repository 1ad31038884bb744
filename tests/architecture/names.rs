//! Names that have a home: what opens a connection, starts a process or decodes a picture is used in the one place that
//! answers for it.

use crate::source::Source;

struct Rule {
    /// The name. With a trailing `::` only as a crate: imported by itself, or followed by its module `s3`.
    name: &'static str,
    /// Where it may stand, each place with its reason.
    homes: &'static [(&'static str, &'static str)],
    instead: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        name: "reqwest",
        homes: &[("src/platform/egress/", "the one HTTP client, with a ledger row before every call")],
        instead: "call out through platform::egress",
    },
    Rule {
        name: "tokio_postgres",
        homes: &[
            ("src/platform/db/", "the pool's connections and their errors"),
            ("src/platform/signals.rs", "LISTEN needs a connection of its own"),
        ],
        instead: "use platform::db, or platform::signals for wake-ups",
    },
    Rule {
        name: "minio::",
        homes: &[("src/platform/storage/", "the client of the S3 store")],
        instead: "use platform::storage",
    },
    Rule { name: "lettre", homes: &[], instead: "mail leaves through platform::egress" },
    Rule {
        name: "TcpStream",
        homes: &[
            ("src/supervisor/", "asks whether a child answers and whether a port is free, on loopback"),
            ("src/cli/", "asks whether the server that it started answers, on loopback"),
            ("src/platform/pictures/inside/attempts.rs", "tries it in vain, in debug builds"),
        ],
        instead: "call out through platform::egress",
    },
    Rule {
        name: "TcpListener",
        homes: &[
            ("src/app/", "the server's own listener"),
            ("src/cli/", "binds the server's port before anything is started, so that a taken port is said at once"),
            ("src/supervisor/", "finds free ports for its children, on loopback"),
            ("src/platform/telemetry/", "the listener of /metrics"),
        ],
        instead: "the server listens in app; nothing else takes connections",
    },
    Rule {
        name: "UdpSocket",
        homes: &[("src/platform/crash.rs", "the leak of a debug build that the proof of egress must find")],
        instead: "nothing here speaks UDP",
    },
    Rule {
        name: "UnixStream",
        homes: &[("src/supervisor/", "asks whether Postgres answers on its socket")],
        instead: "use platform::db",
    },
    Rule {
        name: "UnixDatagram",
        homes: &[
            ("src/supervisor/", "tells the service manager that the server is ready"),
            ("src/platform/audit/syslog.rs", "checkpoints of the audit log, to the machine's log service"),
        ],
        instead: "use supervisor::ready",
    },
    Rule {
        name: "Command",
        homes: &[
            ("src/supervisor/", "starts and stops the bundled processes"),
            ("src/platform/pictures/", "starts and ends the decoders, which are this same program"),
        ],
        instead: "only the supervisor and platform::pictures start processes",
    },
    Rule { name: "ImageReader", homes: DECODERS, instead: DECODE },
    Rule { name: "ImageDecoder", homes: DECODERS, instead: DECODE },
    Rule { name: "load_from_memory", homes: DECODERS, instead: DECODE },
    Rule { name: "webp::", homes: DECODERS, instead: DECODE },
];

const DECODERS: &[(&str, &str)] =
    &[("src/platform/pictures/inside/", "runs in a process that can do nothing but decode")];
const DECODE: &str = "ask platform::pictures, which decodes in a process of its own";

fn findings(source: &Source) -> Vec<String> {
    RULES.iter().flat_map(|rule| broken(source, rule)).collect()
}

fn broken(source: &Source, rule: &Rule) -> Vec<String> {
    if rule.homes.iter().any(|(home, _)| source.path.starts_with(home)) {
        return Vec::new();
    }
    let (word, only_crate) = (rule.name.trim_end_matches("::"), rule.name.ends_with("::"));
    let named = |at: usize, name: &str| source.tokens.get(at).and_then(|token| token.name()) == Some(name);
    (0..source.tokens.len())
        .filter(|&at| named(at, word))
        .filter(|&at| !only_crate || named(at.wrapping_sub(1), "use") || named(at + 3, "s3"))
        .map(|at| format!("{}: `{}` away from its home: {}", source.at(at), rule.name, rule.instead))
        .collect()
}

#[test]
fn names_stay_in_their_homes() {
    crate::none(crate::sources().iter().flat_map(findings).collect());
}

#[test]
fn bad_samples_are_found() {
    for (name, text) in [
        ("reqwest", "use reqwest::Client;"),
        ("tokio_postgres", "let x = tokio_postgres::connect(url, NoTls);"),
        ("minio::", "use minio::s3::MinioClient;"),
        ("lettre", "use lettre::Message;"),
        ("TcpStream", "use std::net::{Ipv4Addr, TcpStream};"),
        ("TcpListener", "let x = std::net::TcpListener::bind(a);"),
        ("UdpSocket", "tokio::net::UdpSocket::bind(a)"),
        ("UnixStream", "UnixStream::connect(a)"),
        ("UnixDatagram", "UnixDatagram::unbound()"),
        ("Command", "std::process::Command::new(a)"),
        ("ImageReader", "image::ImageReader::new(bytes)"),
        ("ImageDecoder", "use image::{ImageDecoder, codecs::png::PngDecoder};"),
        ("load_from_memory", "image::load_from_memory(bytes)"),
        ("webp::", "use webp::Encoder;"),
    ] {
        crate::finds(&findings(&Source::new("src/library/ops.rs", text)), &format!("`{name}` away from its home"));
    }
    assert!(
        findings(&Source::new("src/cli/doctor.rs", "use crate::platform::storage::{Storage, minio::Minio};"))
            .is_empty()
    );
    assert!(findings(&Source::new("src/platform/egress/client.rs", "use reqwest::Client; // TcpStream")).is_empty());
    assert_eq!(RULES.len(), 14, "a new rule needs its bad sample above");
}
