//! The real stores on free ports of the loopback, for as long as they are wanted.
//!
//! The server belongs to a guard process that waits on a pipe from this one: when the tests end, however they end, the
//! pipe closes, and the guard kills the server and removes its directory.

use std::{
    ffi::OsString,
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use minio::s3::{
    MinioClientBuilder,
    creds::StaticProvider,
    http::BaseUrl,
    segmented_bytes::SegmentedBytes,
    types::{BucketName, ObjectKey, Region, S3Api},
};
use renderkeep::{config, platform::storage::minio::Minio};
use tokio::sync::OnceCell;

/// Any line kills the server; the end of the input also removes its directory.
const GUARD: &str = r#"
    exec 2>/dev/null
    dir=$1
    shift
    "$@" >>"$dir/log" 2>&1 &
    server=$!
    read -r _ || gone=yes
    kill -KILL $server
    wait $server || true
    test -z "$gone" || rm -rf "$dir"
"#;

pub const ACCESS: &str = "renderkeep";
pub const SECRET: &str = "only-for-tests-of-this-machine";

/// What runs.
#[derive(Clone, Copy, Debug)]
pub enum Program {
    Minio,
    Versitygw,
}

impl Program {
    /// Where this machine has it: as named in the environment, or as `make` builds it.
    #[expect(clippy::disallowed_methods, reason = "says where this machine has its stores")]
    fn path(self) -> PathBuf {
        let (name, variable) = match self {
            Self::Minio => ("minio", "RENDERKEEP_MINIO"),
            Self::Versitygw => ("versitygw", "RENDERKEEP_VERSITYGW"),
        };
        let built = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("target/{name}/{name}"));
        let program = std::env::var(variable).map_or(built, PathBuf::from);
        assert!(program.exists(), "{} is not there: run `make install-{name}` or set {variable}", program.display());
        program
    }

    fn arguments(self, data: &Path, port: u16) -> Vec<OsString> {
        let address = format!("127.0.0.1:{port}");
        match self {
            Self::Minio => vec!["server".into(), "--quiet".into(), "--address".into(), address.into(), data.into()],
            Self::Versitygw => vec!["--quiet".into(), "--port".into(), address.into(), "posix".into(), data.into()],
        }
    }
}

pub struct Server {
    program: Program,
    dir: PathBuf,
    port: u16,
    guard: Child,
}

/// One server for all tests that do not kill it.
pub async fn shared(program: Program) -> &'static Server {
    static SERVERS: [OnceCell<Server>; 2] = [OnceCell::const_new(), OnceCell::const_new()];
    SERVERS[program as usize].get_or_init(async || Server::start(program).await).await
}

impl Server {
    pub async fn start(program: Program) -> Self {
        let dir = tempfile::Builder::new().prefix("renderkeep-store-").tempdir().expect("a directory").keep();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        std::fs::create_dir(dir.join("data")).expect("a directory");
        let guard = launch(program, &dir, port);
        Self { program, dir, port, guard }
    }

    /// A store with an empty bucket of its own.
    pub async fn store(&self) -> Minio {
        let store = self.client(&Self::bucket());
        self.ready(&store).await;
        store
    }

    /// The name of a bucket that nobody else has.
    pub fn bucket() -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        format!("bucket-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
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
        panic!("{:?} does not answer on port {}: {log}", self.program, self.port);
    }

    pub fn client(&self, bucket: &str) -> Minio {
        client(&self.endpoint(), bucket, Some(self.dir.clone()))
    }

    /// Puts something there that is none of ours.
    pub async fn put_foreign(&self, bucket: &str, key: &str) {
        let keys = StaticProvider::new(ACCESS, SECRET, None);
        let mut url: BaseUrl = self.endpoint().parse().unwrap();
        url.region = Region::new("us-east-1").unwrap();
        let client = MinioClientBuilder::new(url).provider(Some(keys)).build().unwrap();
        let bytes = SegmentedBytes::from(bytes::Bytes::from_static(b"not ours"));
        let (bucket, key) = (BucketName::try_from(bucket).unwrap(), ObjectKey::new(key.to_owned()).unwrap());
        client.put_object(&bucket, &key, bytes).unwrap().build().send().await.unwrap();
    }

    /// Parts of uploads that are neither finished nor aborted, as they lie on the disk.
    pub fn leftover_parts(&self, bucket: &str) -> Vec<PathBuf> {
        let place = match self.program {
            Program::Minio => self.dir.join("data/.minio.sys/multipart"),
            Program::Versitygw => self.dir.join("data").join(bucket).join(".sgwtmp/multipart"),
        };
        files_below(&place)
    }

    /// As a power cut would, but for the disk.
    pub fn kill(&mut self) {
        self.guard.stdin.as_mut().expect("a pipe").write_all(b"kill\n").expect("the guard listens");
        self.guard.wait().expect("the guard ends");
    }

    pub fn restart(&mut self) {
        self.guard = launch(self.program, &self.dir, self.port);
    }
}

fn files_below(place: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

pub fn client(endpoint: &str, bucket: &str, directory: Option<PathBuf>) -> Minio {
    Minio::new(&settings(endpoint, bucket), directory).expect("a client")
}

pub fn settings(endpoint: &str, bucket: &str) -> config::Storage {
    config::Storage {
        bundled: None,
        endpoint: endpoint.to_owned(),
        region: "us-east-1".to_owned(),
        bucket: bucket.to_owned(),
        access_key: ACCESS.into(),
        secret_key: SECRET.into(),
        directory: None,
    }
}

#[expect(clippy::disallowed_methods, reason = "a test starts the store that it needs")]
fn launch(program: Program, dir: &Path, port: u16) -> Child {
    Command::new("sh")
        .args(["-c", GUARD, "guard"])
        .arg(dir)
        .arg(program.path())
        .args(program.arguments(&dir.join("data"), port))
        .env("ROOT_ACCESS_KEY", ACCESS)
        .env("ROOT_SECRET_KEY", SECRET)
        .env("MINIO_ROOT_USER", ACCESS)
        .env("MINIO_ROOT_PASSWORD", SECRET)
        .env("MINIO_BROWSER", "off")
        .env("GOMEMLIMIT", "128MiB")
        .stdin(Stdio::piped())
        .spawn()
        .expect("a shell")
}
