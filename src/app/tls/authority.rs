//! A certificate authority of one's own, for evaluation and for networks without another one.
//!
//! It can only sign for the names that it was made for (name constraints), so whoever trusts it trusts it for those and
//! nothing else. Certificates live for thirty days; their keys and its own are readable by this user alone.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Duration, Utc};
use data_encoding::HEXUPPER;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::ends_at;
use crate::platform::{crypto::digest, files};

const LIFE: Duration = Duration::days(730);
const LIFE_OF_LEAF: Duration = Duration::days(30);
/// Renewed when less than this is left.
const RENEW: Duration = Duration::days(10);
/// Clocks differ a little.
const BEFORE: Duration = Duration::minutes(5);

/// What a server on this machine is called.
pub const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("{0} holds an authority already. Use it, or choose another directory.")]
    Exists(PathBuf),
    #[error("{0} holds no authority. Make one with: renderkeep ca init --directory {0} --name NAME.")]
    None(PathBuf),
    #[error("{0} cannot be used. Check the directory and its permissions.")]
    File(PathBuf, #[source] io::Error),
    #[error("{0} is no name of a host and no address.")]
    Name(String),
    #[error(
        "The authority in {directory} may not sign for {name}. Make one that may, in another directory: renderkeep ca init \
         --directory DIR --name {name}."
    )]
    NotPermitted { directory: PathBuf, name: String },
    #[error("The certificate could not be made. Check that the authority's files are whole.")]
    Make(#[from] rcgen::Error),
    #[error("{0} is damaged. Make a new authority in another directory.")]
    Damaged(PathBuf),
}

pub struct Authority {
    directory: PathBuf,
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A server's certificate with the one that signed it, and its key, in PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
    pub ends_at: DateTime<Utc>,
}

/// What people compare before they trust it.
#[derive(Debug)]
pub struct Shown {
    pub file: PathBuf,
    pub fingerprint: String,
    pub ends_at: DateTime<Utc>,
}

impl Authority {
    /// A new one that may sign for `names` and, where a name is a domain, for what is below it.
    pub fn init(directory: &Path, names: &[String], now: DateTime<Utc>) -> Result<Self, AuthorityError> {
        files::make_directory(directory).map_err(at(directory))?;
        let (file, key_file) = (directory.join("ca.pem"), directory.join("ca.key"));
        if file.exists() || key_file.exists() {
            return Err(AuthorityError::Exists(directory.to_owned()));
        }
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        let mark = digest(key.public_key_raw());
        let title = format!("Renderkeep local CA {}", HEXUPPER.encode(mark.first_chunk::<4>().unwrap_or(&[0; 4])));
        params.distinguished_name.push(DnType::CommonName, title);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(constraints(names)?);
        (params.not_before, params.not_after) = validity(now, LIFE);
        let certificate = params.self_signed(&key)?;
        write(&key_file, &key.serialize_pem(), 0o600)?;
        write(&file, &certificate.pem(), 0o644)?;
        Self::open(directory)
    }

    pub fn open(directory: &Path) -> Result<Self, AuthorityError> {
        let (file, key_file) = (directory.join("ca.pem"), directory.join("ca.key"));
        if !file.exists() {
            return Err(AuthorityError::None(directory.to_owned()));
        }
        let certificate = fs::read_to_string(&file).map_err(at(&file))?;
        let key = KeyPair::from_pem(&fs::read_to_string(&key_file).map_err(at(&key_file))?)?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, key)?;
        Ok(Self { directory: directory.to_owned(), certificate, issuer })
    }

    pub fn file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    pub fn show(&self) -> Result<Shown, AuthorityError> {
        let damaged = || AuthorityError::Damaged(self.file());
        let der = CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(|_| damaged())?;
        let hex: Vec<String> = digest(&der).iter().map(|byte| HEXUPPER.encode(&[*byte])).collect();
        Ok(Shown { file: self.file(), fingerprint: hex.join(":"), ends_at: ends_at(&der).ok_or_else(damaged)? })
    }

    /// A certificate for a server that is called by these names.
    pub fn issue(&self, names: &[String], now: DateTime<Utc>) -> Result<Issued, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.to_vec())?;
        if let Some(first) = names.first() {
            params.distinguished_name.push(DnType::CommonName, first.clone());
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let ends_at = (now + LIFE_OF_LEAF).min(self.show()?.ends_at);
        (params.not_before, params.not_after) = validity(now, ends_at - now);
        let leaf = params.signed_by(&key, &self.issuer)?;
        self.permits(leaf.der(), names, now)?;
        let certificate = format!("{}{}", leaf.pem(), self.certificate);
        Ok(Issued { certificate, key: key.serialize_pem(), ends_at })
    }

    /// Whether clients that trust this authority will believe it about these names.
    fn permits(&self, leaf: &CertificateDer<'_>, names: &[String], now: DateTime<Utc>) -> Result<(), AuthorityError> {
        use rustls::{
            RootCertStore,
            client::{WebPkiServerVerifier, danger::ServerCertVerifier},
            crypto::ring,
            pki_types::{ServerName, UnixTime},
        };
        let damaged = || AuthorityError::Damaged(self.file());
        let own = CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(|_| damaged())?;
        let mut roots = RootCertStore::empty();
        roots.add(own).map_err(|_| damaged())?;
        let provider = std::sync::Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build();
        let verifier = verifier.map_err(|_| damaged())?;
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.timestamp().unsigned_abs()));
        for name in names {
            let server = ServerName::try_from(name.as_str()).map_err(|_| AuthorityError::Name(name.clone()))?;
            let believed = verifier.verify_server_cert(leaf, &[], &server, &[], now);
            believed
                .map_err(|_| AuthorityError::NotPermitted { directory: self.directory.clone(), name: name.clone() })?;
        }
        Ok(())
    }
}

/// The files of a server's certificate below `directory`, with an authority for this machine; made when they are not
/// there, and again when little is left. Returns where the authority's certificate is.
pub fn local(directory: &Path, now: DateTime<Utc>) -> Result<PathBuf, AuthorityError> {
    let names = LOCAL.map(str::to_owned);
    let authority = match Authority::open(directory) {
        Err(AuthorityError::None(_)) => Authority::init(directory, &names, now)?,
        opened => opened?,
    };
    let (certificate, key) = local_files(directory);
    let left = fs::read(&certificate).ok().and_then(|pem| ends_at(&CertificateDer::from_pem_slice(&pem).ok()?));
    if left.is_none_or(|ends_at| ends_at - now < RENEW) || !key.exists() {
        let issued = authority.issue(&names, now)?;
        save(&issued, &certificate, &key)?;
    }
    Ok(authority.file())
}

/// Certificate and key.
pub fn local_files(directory: &Path) -> (PathBuf, PathBuf) {
    (directory.join("server.pem"), directory.join("server.key"))
}

/// The key first: a server that reads both in between keeps what it has, and reads again after the second.
pub fn save(issued: &Issued, certificate: &Path, key: &Path) -> Result<(), AuthorityError> {
    write(key, &issued.key, 0o600)?;
    write(certificate, &issued.certificate, 0o644)
}

fn constraints(names: &[String]) -> Result<NameConstraints, AuthorityError> {
    let mut permitted_subtrees = Vec::new();
    let (mut v4, mut v6, mut dns) = (false, false, false);
    for name in names {
        permitted_subtrees.push(match name.parse::<IpAddr>() {
            Ok(address) => {
                (v4, v6) = (v4 || address.is_ipv4(), v6 || address.is_ipv6());
                let whole = if address.is_ipv4() { 32 } else { 128 };
                GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, whole))
            }
            Err(_) if is_host(name) => {
                dns = true;
                GeneralSubtree::DnsName(name.clone())
            }
            Err(_) => return Err(AuthorityError::Name(name.clone())),
        });
    }
    // A kind of name that nothing is said about would be free.
    let mut excluded_subtrees = Vec::new();
    if !v4 {
        excluded_subtrees.push(GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([0; 4], 0)));
    }
    if !v6 {
        excluded_subtrees.push(GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix([0; 16], 0)));
    }
    if !dns {
        excluded_subtrees.push(GeneralSubtree::DnsName(String::new()));
    }
    Ok(NameConstraints { permitted_subtrees, excluded_subtrees })
}

fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

fn validity(now: DateTime<Utc>, life: Duration) -> (time::OffsetDateTime, time::OffsetDateTime) {
    let at = |at: DateTime<Utc>| {
        time::OffsetDateTime::from_unix_timestamp(at.timestamp()).unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
    };
    (at(now - BEFORE), at(now + life))
}

fn write(file: &Path, text: &str, mode: u32) -> Result<(), AuthorityError> {
    files::write_as(file, text.as_bytes(), mode).map_err(at(file))
}

fn at(file: &Path) -> impl FnOnce(io::Error) -> AuthorityError {
    let file = file.to_owned();
    move |error| AuthorityError::File(file, error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::base::clock::Clock;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn it_signs_for_its_names_and_for_no_others() {
        let (dir, now) = (tempfile::tempdir().unwrap(), Clock::system().now());
        let authority = Authority::init(dir.path(), &names(&["example.org", "10.0.0.5"]), now).unwrap();
        for good in [&["example.org"][..], &["render.example.org", "10.0.0.5"]] {
            assert!(authority.issue(&names(good), now).is_ok(), "{good:?}");
        }
        for bad in ["example.com", "notexample.org", "10.0.0.6", "::1"] {
            let refused = authority.issue(&names(&[bad]), now).err().unwrap().to_string();
            assert!(refused.contains(&format!("may not sign for {bad}")), "{refused}");
        }
        let refused = Authority::init(dir.path(), &names(&["x"]), now).err().unwrap().to_string();
        assert!(refused.contains("holds an authority already"), "{refused}");
        let mode = fs::metadata(dir.path().join("ca.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_certificate_is_kept_until_little_of_it_is_left() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::fixed());
        local(dir.path(), clock.now()).unwrap();
        let read = || fs::read_to_string(local_files(dir.path()).0).unwrap();
        let (first, root) = (read(), fs::read_to_string(dir.path().join("ca.pem")).unwrap());
        local(dir.path(), clock.now() + Duration::days(19)).unwrap();
        assert_eq!(read(), first);
        local(dir.path(), clock.now() + Duration::days(21)).unwrap();
        assert_ne!(read(), first);
        assert_eq!(fs::read_to_string(dir.path().join("ca.pem")).unwrap(), root, "what people trust stays");
    }
}
