//! Looking names up: once for each connection, and every answer judged before anything is connected to.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::{self, Reach};

pub type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Who knows the addresses of names: the system, or a test that wants them to change.
pub trait Lookup: Send + Sync + 'static {
    fn lookup(&self, name: &str) -> Addresses;
}

/// The system's resolver.
pub struct System;

impl Lookup for System {
    fn lookup(&self, name: &str) -> Addresses {
        let name = name.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// The client's only way from a name to addresses, so what is judged here is what is connected to.
pub struct Judged {
    pub lookup: Arc<dyn Lookup>,
    pub reach: Reach,
}

/// The name has no address that can be found.
#[derive(Debug, thiserror::Error)]
#[error("the name could not be looked up")]
pub struct Unresolvable(#[source] io::Error);

impl Resolve for Judged {
    fn resolve(&self, name: Name) -> Resolving {
        let (looking, reach) = (self.lookup.lookup(name.as_str()), self.reach);
        Box::pin(async move {
            let found = looking.await.map_err(Unresolvable)?;
            address::check_all(&found, reach)?;
            // The port comes from the address of the call.
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}
