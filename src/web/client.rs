//! Where a request comes from: the address of the browser, seen through the proxies that are trusted.

use std::net::IpAddr;

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header};

use super::{guard, problem::Problem};

#[derive(Clone, Debug)]
pub struct Client {
    pub address: IpAddr,
    /// What the browser says it is; as long as it pleases.
    pub user_agent: String,
}

impl FromRequest for Client {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Ok(client(request)))
    }
}

fn client(request: &HttpRequest) -> Client {
    let peer = request.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip().to_canonical());
    let trusted = guard::config_of(request).map(|config| config.server.trusted_proxies.clone()).unwrap_or_default();
    let told = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = told.flat_map(|value| value.split(',')).map(str::trim).collect();
    let agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    Client { address: origin(peer, &hops, &trusted), user_agent: agent.unwrap_or_default().to_owned() }
}

/// Each trusted proxy appends whom it heard; the last that no trusted proxy wrote is the one to believe. What stands
/// before it, anybody may have written.
fn origin(peer: IpAddr, hops: &[&str], trusted: &[IpAddr]) -> IpAddr {
    let mut heard = peer;
    for hop in hops.iter().rev() {
        if !trusted.contains(&heard) {
            return heard;
        }
        match hop.parse::<IpAddr>() {
            Ok(address) => heard = address.to_canonical(),
            Err(_) => return heard,
        }
    }
    heard
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, hops: &[&str], trusted: &[&str]) -> String {
        let trusted: Vec<IpAddr> = trusted.iter().map(|address| address.parse().unwrap()).collect();
        origin(peer.parse().unwrap(), hops, &trusted).to_string()
    }

    #[test]
    fn asvs_v2_4_1_a_spoofed_header_changes_nothing() {
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"], &[]), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["1.2.3.4", "203.0.113.9"], &["10.0.0.1"]), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["203.0.113.9", "10.0.0.2"], &["10.0.0.1", "10.0.0.2"]), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["not an address"], &["10.0.0.1"]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &[], &["10.0.0.1"]), "10.0.0.1");
    }
}
