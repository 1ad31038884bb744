//! The settings themselves: one struct per section, with what each key means and what it is when nobody sets it.
//!
//! The doc comments are the reference: `config example` prints them, and the checks for unknown keys know the names
//! from here.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::base::money::Currency;

/// A table of the file.
#[derive(Debug)]
pub(super) struct Section {
    pub name: &'static str,
    pub about: &'static [&'static str],
    pub keys: &'static [Key],
}

#[derive(Debug)]
pub(super) struct Key {
    pub name: &'static str,
    pub about: &'static [&'static str],
    pub kind: Kind,
    pub preset: Preset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Flag,
    /// Texts; in the environment with commas between them.
    List,
    /// Text that is never shown and may be in a file of its own.
    Secret,
    /// Tables of the file: they cannot be set elsewhere.
    Tables,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preset {
    Default(&'static str),
    /// With a sample for the example.
    Required(&'static str),
    Optional(&'static str),
}

macro_rules! section {
    ($(#[doc = $about:literal])+ $name:ident $section:literal {
        $($(#[doc = $doc:literal])+ $key:ident: $type:ty = $kind:ident $preset:ident($value:literal),)+
    }) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $key: $type,)+
        }

        impl $name {
            pub(super) const SECTION: Section = Section {
                name: $section,
                about: &[$($about),+],
                keys: &[$(Key {
                    name: stringify!($key),
                    about: &[$($doc),+],
                    kind: Kind::$kind,
                    preset: Preset::$preset($value),
                }),+],
            };
        }
    };
}

section! {
    /// Where the server listens.
    Server "server" {
        /// The address to listen on. Before it leaves loopback set `tls`, or put a reverse proxy with TLS in front of it.
        host: String = Text Default("127.0.0.1"),
        /// The port to listen on.
        port: u16 = Number Default("8080"),
        /// The address that people type, when it differs from host and port.
        public_url: Option<String> = Text Optional("https://render.example.org"),
        /// Threads that answer requests.
        workers: usize = Number Default("2"),
        /// Addresses of reverse proxies whose `X-Forwarded-For` is believed.
        trusted_proxies: Vec<IpAddr> = List Default(""),
    }
}

section! {
    /// TLS in the server itself. Without it, put a reverse proxy in front.
    Tls "tls" {
        /// The server's certificate and then those that signed it, in PEM. Read again when the file changes.
        certificate: Option<PathBuf> = Text Optional("/etc/renderkeep/tls/server.pem"),
        /// Its key, in PEM.
        key: Option<PathBuf> = Text Optional("/etc/renderkeep/tls/server.key"),
        /// Where plain HTTP is sent on from, if anywhere.
        redirect: Option<SocketAddr> = Text Optional("0.0.0.0:80"),
    }
}

section! {
    /// PostgreSQL 15 or newer. `renderkeep up` brings its own.
    Database "database" {
        /// How to reach it; percent-encode the slashes of a socket's directory.
        url: SecretString = Secret Required("postgres://renderkeep@%2Frun%2Fpostgresql/renderkeep"),
        /// The same database as the role that owns the tables: used for migrations and to give the role of `url` the
        /// rights it needs, and not one more. Without it the role of `url` must own everything.
        owner_url: Option<SecretString> = Secret Optional("postgres://renderkeep_owner@%2Frun%2Fpostgresql/renderkeep"),
        /// Connections that one server process opens at most. Each of `server.workers` has an equal share, and so has what
        /// is done in the background.
        connections: usize = Number Default("24"),
    }
}

section! {
    /// MinIO or any S3 server. `renderkeep up` brings its own.
    Storage "storage" {
        /// Which store `renderkeep up` brings: `minio` or `versitygw`. Chosen when its directory is made; `renderkeep
        /// storage copy` moves from one to the other.
        bundled: Option<Bundled> = Text Optional("minio"),
        /// The address of the server.
        endpoint: String = Text Required("http://127.0.0.1:9000"),
        /// The region that the server expects in signatures.
        region: String = Text Default("us-east-1"),
        /// The bucket that holds everything; made when it is not there.
        bucket: String = Text Default("renderkeep"),
        /// The name of the key.
        access_key: SecretString = Secret Required("renderkeep"),
        /// The key.
        secret_key: SecretString = Secret Required("a long random text"),
        /// Where a store on this machine keeps its data: what is put is flushed to the disk there before it counts.
        directory: Option<PathBuf> = Text Optional("/var/lib/renderkeep/minio"),
    }
}

section! {
    /// The store that `renderkeep storage copy --to` names, while objects move there.
    NextStorage "next_storage" {
        /// The region that the server expects in signatures.
        region: String = Text Default("us-east-1"),
        /// The name of the key.
        access_key: Option<SecretString> = Secret Optional("renderkeep"),
        /// The key.
        secret_key: Option<SecretString> = Secret Optional("a long random text"),
        /// Where it keeps its data, if it is on this machine.
        directory: Option<PathBuf> = Text Optional("/var/lib/renderkeep/versitygw"),
    }
}

section! {
    /// Who this server belongs to. Read on the first start only.
    Organisation "organisation" {
        /// Its name.
        name: String = Text Default("My organisation"),
        /// The currency of all prices and caps: three capital letters.
        currency: Currency = Text Default("EUR"),
        /// The mail address with which the first owner signs in.
        owner_mail: String = Text Default("owner@example.org"),
        /// The first owner's name.
        owner_name: String = Text Default("Owner"),
    }
}

section! {
    /// What people can make, and how much at a time.
    Inference "inference" {
        /// The built-in painter, which is no model.
        demo: bool = Flag Default("true"),
        /// Its faulty models, for trying out what happens when a provider fails. Every page says so while they are on.
        demo_faults: bool = Flag Default("false"),
        /// Generations of one person that run at the same time.
        per_person: usize = Number Default("4"),
        /// Generations that this server runs at the same time.
        at_once: usize = Number Default("8"),
        /// Seconds after which a provider that has not answered counts as lost.
        timeout_seconds: u64 = Number Default("300"),
        /// OpenAI-compatible servers that are set up here instead of on the page.
        providers: Vec<ConfiguredProvider> = Tables Default(""),
    }
}

section! {
    /// An OpenAI-compatible server.
    ConfiguredProvider "inference.providers" {
        /// The first part of its models' ids: small letters, digits and hyphens.
        slug: String = Text Required("local"),
        /// What people see.
        title: String = Text Required("Our own server"),
        /// The address before `/images/generations`.
        base_url: String = Text Required("http://10.0.0.5:8000/v1"),
        /// Sent as `Authorization: Bearer`.
        api_key: Option<SecretString> = Secret Optional("a long random text"),
        /// It may be on a private or loopback address.
        local: bool = Flag Default("false"),
        /// What it offers.
        models: Vec<ConfiguredModel> = Tables Default(""),
    }
}

section! {
    /// A model of that server.
    ConfiguredModel "inference.providers.models" {
        /// The second part of the catalog id.
        name: String = Text Required("painter"),
        /// What the server calls it.
        upstream_name: String = Text Required("painter-xl-v2"),
        /// What people see.
        title: String = Text Required("Painter XL"),
        /// What it can do: `text-to-image`, `image-to-image`, `inpaint`.
        tasks: Vec<String> = List Default("text-to-image"),
        /// The sizes that it makes.
        sizes: Vec<String> = List Default("1024x1024"),
        /// Pictures per request.
        max_count: u32 = Number Default("1"),
        /// Reference pictures per request.
        max_references: u32 = Number Default("0"),
        /// The same seed makes the same picture.
        seeds: bool = Flag Default("false"),
        /// Millionths of the organisation's currency per picture. Without a price it cannot be used.
        price_micros_per_image: Option<i64> = Number Optional("40000"),
        /// Other names that programs may use.
        aliases: Vec<String> = List Default(""),
    }
}

section! {
    /// How calls leave this machine. Variables such as HTTPS_PROXY are not read.
    Egress "egress" {
        /// The HTTP proxy for destinations outside the house; a secret, because it may hold a password.
        proxy: Option<SecretString> = Secret Optional("http://proxy.example.org:3128"),
        /// Certificates of authorities, in PEM format, that are trusted beside those of the machine.
        extra_ca_file: Option<PathBuf> = Text Optional("/etc/renderkeep/house-ca.pem"),
    }
}

section! {
    /// The process without rights that decodes pictures.
    Sandbox "sandbox" {
        /// Layers that this system may lack: `landlock`, `seccomp`. Where one is missing that is not named here, the server
        /// does not start.
        allow_missing: Vec<SandboxLayer> = List Default(""),
    }
}

section! {
    /// How long a sign-in lasts.
    Sessions "sessions" {
        /// Minutes without a request after which it ends.
        idle_minutes: u32 = Number Default("720"),
        /// Hours after which it ends in any case.
        absolute_hours: u32 = Number Default("168"),
    }
}

section! {
    /// What must never be lost and never be shown.
    Secrets "secrets" {
        /// 32 random bytes as 64 hexadecimal digits. Whoever loses it loses every sealed value.
        root_key: Option<SecretString> = Secret Optional("0000000000000000000000000000000000000000000000000000000000000000"),
        /// The root key that follows it, while `renderkeep keys rotate` changes from one to the other.
        next_root_key: Option<SecretString> = Secret Optional("1111111111111111111111111111111111111111111111111111111111111111"),
        /// The directory of the epoch keys. It must be in no backup of the database; all servers share it.
        epoch_keys: PathBuf = Text Default("/var/lib/renderkeep/keys"),
        /// Days that backups of the database are kept. Older ones cannot be read any more.
        backup_days: u32 = Number Default("35"),
    }
}

section! {
    /// Where signed checkpoints of the audit log go: to places that the database cannot change.
    Audit "audit" {
        /// A file that they are added to; best on another disk, or where a backup collects it.
        checkpoint_file: Option<PathBuf> = Text Optional("/var/lib/renderkeep/audit/checkpoints.jsonl"),
        /// The socket of the machine's log service.
        syslog: Option<PathBuf> = Text Optional("/dev/log"),
        /// One at the latest after so many entries,
        checkpoint_entries: u32 = Number Default("1000"),
        /// and after so many minutes in which something happened.
        checkpoint_minutes: u32 = Number Default("5"),
    }
}

section! {
    /// What the server tells about itself.
    Telemetry "telemetry" {
        /// How much is logged, by part: `info`, or `renderkeep=debug,info`.
        log: String = Text Default("info"),
        /// `json` for programs, `pretty` for people.
        format: LogFormat = Text Default("json"),
        /// Where `/metrics` listens, if anywhere.
        metrics: Option<SocketAddr> = Text Optional("127.0.0.1:9464"),
    }
}

section! {
    /// What `renderkeep up` starts beside itself.
    Supervisor "supervisor" {
        /// Directory of the PostgreSQL programs; found by itself when not set.
        postgres_bin: Option<PathBuf> = Text Optional("/usr/lib/postgresql/15/bin"),
        /// The MinIO program; found by itself when not set.
        minio: Option<PathBuf> = Text Optional("/usr/lib/renderkeep/minio"),
        /// The versitygw program; found by itself when not set.
        versitygw: Option<PathBuf> = Text Optional("/usr/lib/renderkeep/versitygw"),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Json,
    Pretty,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum SandboxLayer {
    Landlock,
    Seccomp,
}

impl TryFrom<String> for SandboxLayer {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "landlock" => Ok(Self::Landlock),
            "seccomp" => Ok(Self::Seccomp),
            _ => Err("the layers that may be missing are landlock and seccomp"),
        }
    }
}

/// A store that `renderkeep up` can bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "String")]
pub enum Bundled {
    Minio,
    Versitygw,
}

impl Bundled {
    pub const ALL: [Self; 2] = [Self::Minio, Self::Versitygw];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minio => "minio",
            Self::Versitygw => "versitygw",
        }
    }

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Minio => "MinIO",
            Self::Versitygw => "versitygw",
        }
    }
}

impl fmt::Display for Bundled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Bundled {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or("the bundled stores are minio and versitygw")
    }
}

impl TryFrom<String> for Bundled {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Every section, in the order of the example. Those with a dot in their name are lists of tables.
pub(super) const SECTIONS: [&Section; 16] = [
    &Server::SECTION,
    &Tls::SECTION,
    &Database::SECTION,
    &Storage::SECTION,
    &NextStorage::SECTION,
    &Organisation::SECTION,
    &Inference::SECTION,
    &ConfiguredProvider::SECTION,
    &ConfiguredModel::SECTION,
    &Egress::SECTION,
    &Sandbox::SECTION,
    &Sessions::SECTION,
    &Secrets::SECTION,
    &Audit::SECTION,
    &Telemetry::SECTION,
    &Supervisor::SECTION,
];

/// Sections that exist once, not once per entry of a list.
pub(super) fn plain_sections() -> impl Iterator<Item = &'static Section> {
    SECTIONS.into_iter().filter(|section| !section.name.contains('.'))
}

pub(super) fn find(section: &str) -> Option<&'static Section> {
    SECTIONS.into_iter().find(|known| known.name == section)
}

impl Section {
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}
