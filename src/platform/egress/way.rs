//! How calls leave: directly or through the configured proxy, and whose certificates are believed. Nothing of this is taken
//! from the environment.

use std::{fs, io, path::PathBuf};

use reqwest::{Certificate, Proxy};
use secrecy::ExposeSecret;

use super::address::Reach;
use crate::config;

#[derive(Clone, Debug, Default)]
pub struct Way {
    proxy: Option<Proxy>,
    authorities: Vec<Certificate>,
}

#[derive(Debug, thiserror::Error)]
pub enum WayError {
    #[error("egress.proxy cannot be used. Write it as http://proxy.example.org:3128")]
    Proxy(#[source] reqwest::Error),
    #[error("egress.extra_ca_file names {0}, which cannot be read")]
    Unreadable(PathBuf, #[source] io::Error),
    #[error("egress.extra_ca_file names {0}, which holds no certificate in PEM format")]
    NoCertificate(PathBuf),
}

impl Way {
    pub fn of(config: &config::Egress) -> Result<Self, WayError> {
        let proxy = config.proxy.as_ref().map(|address| Proxy::all(address.expose_secret())).transpose();
        let authorities = config.extra_ca_file.as_ref().map(authorities).transpose()?;
        Ok(Self { proxy: proxy.map_err(WayError::Proxy)?, authorities: authorities.unwrap_or_default() })
    }

    /// The proxy for this reach. What is in the house is reached directly.
    fn proxy(&self, reach: Reach) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| reach == Reach::Public)
    }

    /// Which addresses the client of this reach may look up. Behind a proxy that is the proxy alone, wherever it stands:
    /// the names of destinations are looked up there.
    pub(super) fn looks_up(&self, reach: Reach) -> Reach {
        if self.proxy(reach).is_some() { Reach::Both } else { reach }
    }

    pub(super) fn applied(&self, reach: Reach, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        // Forgets the environment's first.
        let builder = builder.no_proxy().tls_certs_merge(self.authorities.iter().cloned());
        match self.proxy(reach) {
            Some(proxy) => builder.proxy(proxy.clone()),
            None => builder,
        }
    }
}

fn authorities(path: &PathBuf) -> Result<Vec<Certificate>, WayError> {
    let text = fs::read(path).map_err(|error| WayError::Unreadable(path.clone(), error))?;
    let found = Certificate::from_pem_bundle(&text).unwrap_or_default();
    if found.is_empty() { Err(WayError::NoCertificate(path.clone())) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(proxy: Option<&str>, extra_ca_file: Option<PathBuf>) -> Result<Way, WayError> {
        Way::of(&config::Egress { proxy: proxy.map(Into::into), extra_ca_file })
    }

    #[test]
    fn only_what_is_outside_goes_through_the_proxy() {
        let way = configured(Some("http://proxy.example.org:3128"), None).unwrap();
        let through = [Reach::Public, Reach::House, Reach::Both].map(|reach| way.proxy(reach).is_some());
        assert_eq!(through, [true, false, false]);
        assert_eq!(way.looks_up(Reach::House), Reach::House);
        assert_eq!(configured(None, None).unwrap().looks_up(Reach::Public), Reach::Public);
    }

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(configured(None, Some(file.path().to_owned())), Err(WayError::NoCertificate(_))));
        assert!(matches!(configured(None, Some("/no/such/file".into())), Err(WayError::Unreadable(..))));
    }
}
