//! The one way out: every outgoing request has a destination that somebody allowed, and a ledger row before its first byte.
//!
//! Owns the tables `egress_destinations` and `egress_calls` and the only HTTP client. Redirects are not followed, proxies
//! are not taken from the environment, every connection serves one call, and nothing is ever sent twice by itself: who
//! calls decides what a lost answer means. Names are looked up once, and every address is judged (`address`). Switching a
//! destination off breaks off the calls that are under way, on every server.

use std::sync::{Arc, OnceLock};

use self::address::Reach;
pub use self::{
    address::Refusal,
    body::{Body, Part},
    checks::QUESTIONS,
    client::{Call, Method, Reply},
    data_map::DATA_MAP,
    destinations::{Category, Destination, Origin},
    error::EgressError,
    ledger::{About, Purpose},
    resolve::{Addresses, Lookup},
    way::{Way, WayError},
};
use crate::{
    base::{clock::Clock, ids::DestinationId},
    platform::{db::Db, signals::Signals},
};

mod address;
mod body;
mod checks;
mod client;
mod data_map;
pub mod destinations;
mod error;
pub mod ledger;
mod resolve;
mod way;

/// Cheap to clone; one per server process.
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Clock,
    signals: Signals,
    way: Way,
    lookup: Arc<dyn Lookup>,
    /// One client for each reach, because a name's addresses are judged where it is looked up. Made when first needed:
    /// reading the machine's certificates takes a while.
    clients: [OnceLock<client::Http>; 3],
}

/// The way to one destination, for one purpose.
pub struct Outlet {
    egress: Egress,
    destination: DestinationId,
    about: About,
}

impl Egress {
    pub fn new(db: Db, clock: Clock, signals: Signals, way: Way) -> Self {
        Self::with_lookup(db, clock, signals, way, Arc::new(resolve::System))
    }

    /// With another way to look names up.
    pub fn with_lookup(db: Db, clock: Clock, signals: Signals, way: Way, lookup: Arc<dyn Lookup>) -> Self {
        let clients = [OnceLock::new(), OnceLock::new(), OnceLock::new()];
        Self(Arc::new(Inner { db, clock, signals, way, lookup, clients }))
    }

    /// The handle that an adapter works with: bound to its destination, so that it can reach no other.
    pub fn to(&self, destination: DestinationId, about: About) -> Outlet {
        Outlet { egress: self.clone(), destination, about }
    }

    fn client(&self, reach: Reach) -> Result<client::Http, EgressError> {
        let [public, house, both] = &self.0.clients;
        let place = match reach {
            Reach::Public => public,
            Reach::House => house,
            Reach::Both => both,
        };
        if let Some(client) = place.get() {
            return Ok(client.clone());
        }
        let made = client::build(&self.0.way, reach, self.0.lookup.clone())
            .map_err(|error| EgressError::Unprepared(Box::new(error)))?;
        Ok(place.get_or_init(|| made).clone())
    }
}

/// Whether an address could be reached at all, as far as that can be said before its name is looked up.
pub fn judge(url: &url::Url, local: bool) -> Result<(), Refusal> {
    if !local && url.scheme() != "https" {
        return Err(Refusal::Plain);
    }
    let reach = Reach::of(local, url.scheme());
    match url.host() {
        Some(url::Host::Ipv4(address)) => address::check(address.into(), reach),
        Some(url::Host::Ipv6(address)) => address::check(address.into(), reach),
        Some(url::Host::Domain(_)) => Ok(()),
        None => Err(Refusal::Nothing),
    }
}
