//! A real MinIO on a free port of the loopback, for as long as it is wanted.
//!
//! The server belongs to a guard process that waits on a pipe from this one: when the tests end, however they end, the
//! pipe closes, and the guard kills the server and removes its directory.

use std::{
    io::Write,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use renderkeep::{config, platform::storage::minio::Minio};
use tokio::sync::OnceCell;

/// Any line kills the server; the end of the input also removes its directory.
const GUARD: &str = r#"
    exec 2>/dev/null
    "$1" server --quiet --address "127.0.0.1:$2" "$3/data" >>"$3/log" 2>&1 &
    server=$!
    read -r _ || gone=yes
    kill -KILL $server
    wait $server || true
    test -z "$gone" || rm -rf "$3"
"#;

const ACCESS: &str = "renderkeep";
const SECRET: &str = "only-for-tests-of-this-machine";

pub struct Server {
    dir: PathBuf,
    port: u16,
    guard: Child,
}

/// One server for all tests that do not kill it.
pub async fn shared() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    SERVER.get_or_init(Server::start).await
}

impl Server {
    pub async fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("renderkeep-minio-").tempdir().expect("a directory").keep();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let guard = launch(&dir, port);
        Self { dir, port, guard }
    }

    /// A store with an empty bucket of its own.
    pub async fn store(&self) -> Minio {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let store = self.client(&format!("bucket-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        self.ready(&store).await;
        store
    }

    /// Waits until the server answers.
    pub async fn ready(&self, store: &Minio) {
        for _ in 0..40 {
            if store.prepare().await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        panic!("MinIO does not answer on port {}: {log}", self.port);
    }

    pub fn client(&self, bucket: &str) -> Minio {
        client(&format!("http://127.0.0.1:{}", self.port), bucket, Some(self.dir.clone()))
    }

    /// As a power cut would, but for the disk.
    pub fn kill(&mut self) {
        self.guard.stdin.as_mut().expect("a pipe").write_all(b"kill\n").expect("the guard listens");
        self.guard.wait().expect("the guard ends");
    }

    pub fn restart(&mut self) {
        self.guard = launch(&self.dir, self.port);
    }
}

pub fn client(endpoint: &str, bucket: &str, directory: Option<PathBuf>) -> Minio {
    let storage = config::Storage {
        endpoint: endpoint.to_owned(),
        region: "us-east-1".to_owned(),
        bucket: bucket.to_owned(),
        access_key: ACCESS.into(),
        secret_key: SECRET.into(),
        directory: None,
    };
    Minio::new(&storage, directory).expect("a client")
}

#[expect(clippy::disallowed_methods, reason = "a test starts the store that it needs")]
fn launch(dir: &std::path::Path, port: u16) -> Child {
    Command::new("sh")
        .args(["-c", GUARD, "guard"])
        .arg(program())
        .arg(port.to_string())
        .arg(dir)
        .env("MINIO_ROOT_USER", ACCESS)
        .env("MINIO_ROOT_PASSWORD", SECRET)
        .env("MINIO_BROWSER", "off")
        .env("GOMEMLIMIT", "128MiB")
        .stdin(Stdio::piped())
        .spawn()
        .expect("a shell")
}

/// `RENDERKEEP_MINIO`, or what `make minio` built.
#[expect(clippy::disallowed_methods, reason = "says where this machine has its MinIO")]
fn program() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/minio/minio");
    let program = std::env::var("RENDERKEEP_MINIO").map_or(built, PathBuf::from);
    assert!(program.exists(), "no MinIO at {}: run `make minio` or set RENDERKEEP_MINIO", program.display());
    program
}
