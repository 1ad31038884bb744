//! TLS in the server itself: versions 1.2 and 1.3, HTTP/2 where the client can, and certificates that are read again
//! when their files change, without a connection being dropped.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use chrono::{DateTime, Utc};
use rustls::{
    ServerConfig,
    client::verify_server_name,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{base::error::chain, config::Tls};

pub mod authority;
pub mod redirect;

/// How often the files are looked at; a hangup signal looks at once.
const LOOK_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{0} cannot be read as PEM. Check tls.certificate and tls.key, and that this user may read both files.")]
    Read(PathBuf, #[source] rustls::pki_types::pem::Error),
    #[error("{0} holds no certificate. Put the server's own certificate into it, then those that signed it.")]
    Empty(PathBuf),
    #[error(
        "The key in {key} does not belong to the first certificate in {certificate}. Set the two that belong together."
    )]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error("{0} holds a certificate or a key that cannot be used. Use RSA of 2048 bits or more, ECDSA or Ed25519.")]
    Unusable(PathBuf, #[source] rustls::Error),
    #[error("{0} holds a certificate that cannot be read. Put the server's own certificate first.")]
    Damaged(PathBuf),
}

/// The certificate and key of the server, as they are on disk.
#[derive(Debug)]
pub struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    /// What the settings name; none when the server speaks plain HTTP.
    pub fn load(tls: &Tls) -> Result<Option<Arc<Self>>, TlsError> {
        let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) else { return Ok(None) };
        let current = RwLock::new(Arc::new(read(certificate, key)?));
        Ok(Some(Arc::new(Self { certificate: certificate.clone(), key: key.clone(), current })))
    }

    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(&[&TLS13, &TLS12])?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(Current(self.clone())));
        // Of what both can do, the server takes the best.
        config.ignore_client_order = true;
        Ok(config)
    }

    /// When the certificate ends.
    pub fn ends_at(&self) -> Result<DateTime<Utc>, TlsError> {
        let current = self.current();
        let first = current.cert.first().ok_or_else(|| TlsError::Empty(self.certificate.clone()))?;
        ends_at(first).ok_or_else(|| TlsError::Damaged(self.certificate.clone()))
    }

    /// Whether the certificate is one for this host: a name, an address, or a name below a wildcard.
    pub fn is_for(&self, host: &str) -> Result<bool, TlsError> {
        let current = self.current();
        let first = current.cert.first().ok_or_else(|| TlsError::Empty(self.certificate.clone()))?;
        let parsed = ParsedCertificate::try_from(first).map_err(|_| TlsError::Damaged(self.certificate.clone()))?;
        let name = ServerName::try_from(host.trim_matches(['[', ']'])).ok();
        Ok(name.is_some_and(|name| verify_server_name(&parsed, &name).is_ok()))
    }

    /// Reads the files again. What is there already stays in use when they cannot be used.
    fn reload(&self) {
        match read(&self.certificate, &self.key) {
            Ok(read) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
                tracing::info!(certificate = %self.certificate.display(), "the certificate was read again");
            }
            Err(error) => {
                tracing::error!(error = chain(&error), "the new certificate cannot be used; the old one stays");
            }
        }
    }

    /// Reads them again whenever they change or somebody asks by SIGHUP, until `stop`.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            tracing::error!("SIGHUP cannot be received; certificates are read again when their files change");
            return;
        };
        let mut seen = self.stamp();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = hangup.recv() => {
                    seen = self.stamp();
                    self.reload();
                }
                () = tokio::time::sleep(LOOK_EVERY) => {
                    let now = self.stamp();
                    if now != seen {
                        seen = now;
                        self.reload();
                    }
                }
            }
        }
    }

    fn stamp(&self) -> [Option<(u64, u64, i64, i64)>; 2] {
        [&self.certificate, &self.key].map(|file| {
            let file = fs::metadata(file).ok()?;
            Some((file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
        })
    }

    fn current(&self) -> Arc<CertifiedKey> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Each handshake gets the certificate of its moment; connections that are there keep the one they began with.
#[derive(Debug)]
struct Current(Arc<Certificates>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current())
    }
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let unreadable = |file: &Path| {
        let file = file.to_owned();
        move |error| TlsError::Read(file, error)
    };
    let chain = CertificateDer::pem_file_iter(certificate).map_err(unreadable(certificate))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(unreadable(certificate))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(certificate.to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
    CertifiedKey::from_der(chain, secret, &ring::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() }
        }
        rustls::Error::InvalidCertificate(_) => TlsError::Damaged(certificate.to_owned()),
        error => TlsError::Unusable(key.to_owned(), error),
    })
}

fn ends_at(certificate: &CertificateDer<'_>) -> Option<DateTime<Utc>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    DateTime::from_timestamp(parsed.validity().not_after.timestamp(), 0)
}
