//! Which addresses a destination may have.
//!
//! Names are looked up once; every address that comes back is judged here, and the connection is made to one of exactly
//! those. Addresses that reach the house itself need a destination that an administrator declared local; addresses that
//! are no single machine's, or that hide another address, are refused for everybody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far a destination reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Machines on the public internet.
    Public,
    /// Machines in the house: what is sent without encryption stays inside.
    House,
    /// Either: a local destination that is reached by https.
    Both,
}

impl Reach {
    pub fn of(local: bool, scheme: &str) -> Self {
        match (local, scheme) {
            (false, _) => Self::Public,
            (true, "https") => Self::Both,
            (true, _) => Self::House,
        }
    }
}

/// Why an address was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("private address")]
    Private,
    #[error("public address of a local destination")]
    NotLocal,
    #[error("address that no server has")]
    Special,
    #[error("name without an address")]
    Nothing,
    #[error("not encrypted on its way out of the house")]
    Plain,
}

#[derive(PartialEq, Eq)]
enum Place {
    Public,
    House,
    Special,
}

/// All addresses of a name: one bad one spoils the name, because nobody can say which of them is connected to.
pub fn check_all(addresses: &[IpAddr], reach: Reach) -> Result<(), Refusal> {
    if addresses.is_empty() {
        return Err(Refusal::Nothing);
    }
    addresses.iter().try_for_each(|address| check(*address, reach))
}

pub fn check(address: IpAddr, reach: Reach) -> Result<(), Refusal> {
    match (place(address), reach) {
        (Place::Special, _) => Err(Refusal::Special),
        (Place::House, Reach::Public) => Err(Refusal::Private),
        (Place::Public, Reach::House) => Err(Refusal::NotLocal),
        _ => Ok(()),
    }
}

fn place(address: IpAddr) -> Place {
    match address {
        IpAddr::V4(address) => place_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(inner) => place_v4(inner),
            None => place_v6(address),
        },
    }
}

fn within_v4(address: Ipv4Addr, network: [u8; 4], bits: u32) -> bool {
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    u32::from(address) & mask == u32::from(Ipv4Addr::from(network)) & mask
}

/// Loopback, RFC 1918, and the range that carriers and overlay networks share.
const HOUSE_V4: &[([u8; 4], u32)] =
    &[([10, 0, 0, 0], 8), ([100, 64, 0, 0], 10), ([127, 0, 0, 0], 8), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16)];

/// "This network", link-local with the clouds' metadata servers, protocol assignments, documentation, the 6to4 relay,
/// benchmarks, multicast, reserved and broadcast.
const SPECIAL_V4: &[([u8; 4], u32)] = &[
    ([0, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

fn place_v4(address: Ipv4Addr) -> Place {
    let among = |list: &[([u8; 4], u32)]| list.iter().any(|(network, bits)| within_v4(address, *network, *bits));
    if among(SPECIAL_V4) {
        Place::Special
    } else if among(HOUSE_V4) {
        Place::House
    } else {
        Place::Public
    }
}

fn within_v6(address: Ipv6Addr, network: Ipv6Addr, bits: u32) -> bool {
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
    u128::from(address) & mask == u128::from(network) & mask
}

/// Of the global range: Teredo, ORCHID and other protocol assignments, documentation, 6to4. The first and the last carry
/// another address inside.
const SPECIAL_GLOBAL_V6: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

fn place_v6(address: Ipv6Addr) -> Place {
    const UNIQUE_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0);
    const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0);
    if address.is_loopback() || within_v6(address, UNIQUE_LOCAL, 7) {
        return Place::House;
    }
    let special = SPECIAL_GLOBAL_V6.iter().any(|(network, bits)| within_v6(address, *network, *bits));
    // Outside 2000::/3 nothing is a public server's: link-local, multicast, translated and unassigned addresses.
    if within_v6(address, GLOBAL, 3) && !special { Place::Public } else { Place::Special }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::{Host, Url};

    use super::*;

    /// Addresses as somebody might write them into a base URL, with the verdict for a public, a house and a both-ways
    /// destination: `+` is let out, `p` private, `n` not local, `s` special.
    const TABLE: &[(&str, &str)] = &[
        // Loopback in all its spellings.
        ("127.0.0.1", "p++"),
        ("127.255.255.254", "p++"),
        ("127.1", "p++"),
        ("2130706433", "p++"),
        ("0x7f000001", "p++"),
        ("0x7f.1", "p++"),
        ("0177.0.0.1", "p++"),
        ("017700000001", "p++"),
        ("[::1]", "p++"),
        ("[0:0:0:0:0:0:0:1]", "p++"),
        ("[::ffff:127.0.0.1]", "p++"),
        ("[::ffff:7f00:1]", "p++"),
        ("%31%32%37.0.0.1", "p++"),
        ("１２７.0.0.1", "p++"),
        ("127。0。0。1", "p++"),
        // Private networks.
        ("10.0.0.1", "p++"),
        ("10.255.255.255", "p++"),
        ("167772161", "p++"),
        ("172.16.0.1", "p++"),
        ("172.31.255.255", "p++"),
        ("192.168.1.1", "p++"),
        ("0xc0a80101", "p++"),
        ("192.168.257", "p++"),
        ("100.64.0.1", "p++"),
        ("100.127.255.255", "p++"),
        ("[fc00::1]", "p++"),
        ("[fd12:3456:789a::1]", "p++"),
        ("[::ffff:10.0.0.1]", "p++"),
        ("[::ffff:192.168.0.1]", "p++"),
        // Metadata servers and the rest of link-local.
        ("169.254.169.254", "sss"),
        ("169.254.170.2", "sss"),
        ("2852039166", "sss"),
        ("0xa9fea9fe", "sss"),
        ("0251.0376.0251.0376", "sss"),
        ("[::ffff:169.254.169.254]", "sss"),
        ("[fe80::1]", "sss"),
        ("[fe80::a9fe:a9fe]", "sss"),
        ("[fec0::1]", "sss"),
        // Unspecified and "this network".
        ("0.0.0.0", "sss"),
        ("0", "sss"),
        ("0x0", "sss"),
        ("0.1.2.3", "sss"),
        ("[::]", "sss"),
        ("[::ffff:0.0.0.0]", "sss"),
        // Many machines at once, or none.
        ("224.0.0.1", "sss"),
        ("239.255.255.250", "sss"),
        ("255.255.255.255", "sss"),
        ("240.0.0.1", "sss"),
        ("[ff02::1]", "sss"),
        ("[ff0e::1]", "sss"),
        ("192.0.0.8", "sss"),
        ("192.0.2.1", "sss"),
        ("198.51.100.1", "sss"),
        ("203.0.113.1", "sss"),
        ("198.18.0.1", "sss"),
        ("198.19.255.255", "sss"),
        ("192.88.99.1", "sss"),
        ("[100::1]", "sss"),
        ("[2001:db8::1]", "sss"),
        ("[3fff::1]", "sss"),
        ("[5f00::1]", "sss"),
        // Another address inside.
        ("[::127.0.0.1]", "sss"),
        ("[64:ff9b::7f00:1]", "sss"),
        ("[64:ff9b::a00:1]", "sss"),
        ("[64:ff9b:1::1]", "sss"),
        ("[2002:7f00:1::]", "sss"),
        ("[2002:a00:1::]", "sss"),
        ("[2001:0:7f00:1::]", "sss"),
        // The public internet, with the neighbours of what is refused.
        ("1.1.1.1", "+n+"),
        ("9.255.255.255", "+n+"),
        ("11.0.0.0", "+n+"),
        ("100.63.255.255", "+n+"),
        ("100.128.0.0", "+n+"),
        ("126.255.255.255", "+n+"),
        ("128.0.0.1", "+n+"),
        ("169.253.255.255", "+n+"),
        ("172.15.255.255", "+n+"),
        ("172.32.0.0", "+n+"),
        ("192.167.255.255", "+n+"),
        ("192.169.0.0", "+n+"),
        ("198.17.255.255", "+n+"),
        ("198.20.0.0", "+n+"),
        ("223.255.255.255", "+n+"),
        ("[2606:4700:4700::1111]", "+n+"),
        ("[2a00:1450:4001::1]", "+n+"),
        ("[::ffff:1.1.1.1]", "+n+"),
    ];

    fn letter(verdict: Result<(), Refusal>) -> char {
        match verdict {
            Ok(()) => '+',
            Err(Refusal::Private) => 'p',
            Err(Refusal::NotLocal) => 'n',
            Err(Refusal::Special) => 's',
            Err(Refusal::Nothing | Refusal::Plain) => '0',
        }
    }

    #[test]
    fn every_spelling_of_every_kind_of_address() {
        for (host, wanted) in TABLE {
            let url = Url::parse(&format!("http://{host}/v1")).unwrap_or_else(|error| panic!("{host}: {error}"));
            let address: IpAddr = match url.host().unwrap() {
                Host::Ipv4(address) => address.into(),
                Host::Ipv6(address) => address.into(),
                Host::Domain(name) => panic!("{host} was read as the name {name}"),
            };
            let found: String =
                [Reach::Public, Reach::House, Reach::Both].map(|reach| letter(check(address, reach))).iter().collect();
            assert_eq!(found, *wanted, "{host}");
        }
    }

    #[test]
    fn one_bad_address_spoils_the_name() {
        let addresses = ["1.1.1.1".parse().unwrap(), "10.0.0.1".parse().unwrap()];
        assert_eq!(check_all(&addresses, Reach::Public), Err(Refusal::Private));
        assert_eq!(check_all(&[], Reach::Public), Err(Refusal::Nothing));
    }

    proptest! {
        #[test]
        fn what_the_standard_library_calls_local_never_counts_as_public(bits: u32) {
            let address = Ipv4Addr::from(bits);
            let local = address.is_loopback() || address.is_private() || address.is_link_local()
                || address.is_unspecified() || address.is_multicast() || address.is_broadcast()
                || address.is_documentation();
            prop_assert!(!local || check(address.into(), Reach::Public).is_err());
            let mapped = IpAddr::V6(address.to_ipv6_mapped());
            prop_assert_eq!(check(address.into(), Reach::Public), check(mapped, Reach::Public));
        }

        #[test]
        fn only_the_global_range_of_ipv6_is_public(bits: u128) {
            let address = Ipv6Addr::from(bits);
            let public = check(address.into(), Reach::Public).is_ok();
            prop_assert!(!public || address.to_ipv4_mapped().is_some() || (0x2000..0x4000).contains(&address.segments()[0]));
        }
    }
}
