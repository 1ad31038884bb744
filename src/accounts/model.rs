//! People, their sessions and tokens, and the forms in which they are given: parsed once, right ever after.

use std::{fmt, net::IpAddr, str::FromStr};

use chrono::{DateTime, Utc};

use crate::base::{
    access::Scope,
    ctx::Credential,
    error::FieldFault,
    ids::{PersonId, SessionId, TokenId},
};

/// The session's cookie. The prefix makes browsers refuse it from other hosts, over plain networks and with other paths.
pub const SESSION_COOKIE: &str = "__Host-rk_session";

/// A mail address in its one normal form: trimmed and in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail(String);

impl Mail {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`.
    pub fn local_part(&self) -> &str {
        self.0.split('@').next().unwrap_or_default()
    }
}

impl fmt::Display for Mail {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for Mail {
    type Err = FieldFault;

    /// Only what is surely wrong is refused: whether an address exists is not for a pattern to say.
    fn from_str(text: &str) -> Result<Self, FieldFault> {
        let mail = text.trim().to_lowercase();
        if mail.is_empty() {
            return Err(FieldFault::new("mail", "required", "Write a mail address."));
        }
        if mail.len() > 255 {
            return Err(FieldFault::new("mail", "too_long", "A mail address has at most 255 bytes."));
        }
        if well_formed(&mail) { Ok(Self(mail)) } else { Err(not_a_mail()) }
    }
}

fn not_a_mail() -> FieldFault {
    FieldFault::new("mail", "malformed", "This is not a mail address: name@example.org.")
}

fn well_formed(mail: &str) -> bool {
    let Some((local, host)) = mail.split_once('@') else { return false };
    let clean = |part: &str| !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || c.is_control());
    let labels = host.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
    clean(local)
        && clean(host)
        && labels
        && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-'))
        && !local.chars().any(|c| "<>()[]\\,;:\"".contains(c))
}

/// A name as people write it: one line, something visible in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = FieldFault;

    fn from_str(text: &str) -> Result<Self, FieldFault> {
        let name = text.trim();
        if name.is_empty() {
            return Err(FieldFault::new("name", "required", "Write a name."));
        }
        if name.len() > 255 {
            return Err(FieldFault::new("name", "too_long", "A name has at most 255 bytes."));
        }
        if name.chars().any(char::is_control) {
            return Err(FieldFault::new("name", "malformed", "A name has no line breaks or control characters."));
        }
        Ok(Self(name.to_owned()))
    }
}

#[derive(Clone, Debug)]
pub struct Person {
    pub id: PersonId,
    pub mail: String,
    pub name: String,
    pub must_change_password: bool,
    pub password_changed_at: DateTime<Utc>,
    pub deactivated_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// The latest use of any session or token.
    pub last_seen_at: Option<DateTime<Utc>>,
}

/// Who a cookie or token stands for.
#[derive(Clone, Debug)]
pub struct Proven {
    pub person: PersonId,
    pub name: String,
    pub mail: String,
    pub must_change_password: bool,
    pub credential: Credential,
    pub scopes: Vec<Scope>,
}

/// Where a browser asks from.
#[derive(Clone, Debug)]
pub struct Origin {
    pub address: IpAddr,
    pub user_agent: String,
}

impl Origin {
    /// The network that is shown and kept, never the full address.
    pub fn network(&self) -> String {
        match self.address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                format!("{a}.{b}.{c}.0/24")
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                format!("{}/64", std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        }
    }

    /// What one attacker has: an IPv4 address, or an IPv6 network, since one host has 2^64 addresses there.
    pub(in crate::accounts) fn source(&self) -> String {
        match self.address.to_canonical() {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(_) => self.network(),
        }
    }

    pub(in crate::accounts) fn browser(&self) -> String {
        let mut text: String = self.user_agent.chars().filter(|c| !c.is_control()).collect();
        let mut end = text.len().min(512);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text
    }
}

/// A fresh session: the cookie's value exists only here and in the browser.
#[derive(Clone)]
pub struct SignedIn {
    pub cookie: String,
    pub session: SessionId,
    pub person: PersonId,
    pub must_change_password: bool,
}

/// One place where a person is signed in.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: SessionId,
    pub network: String,
    pub user_agent: String,
    pub created_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
}

/// A token without its secret, which nobody has but its owner.
#[derive(Clone, Debug)]
pub struct Token {
    pub id: TokenId,
    pub name: String,
    pub scopes: Vec<Scope>,
    /// The last four characters.
    pub hint: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
}

/// What a new token should be.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub name: Name,
    pub scopes: Vec<Scope>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// A token that was just made: the only time that its secret is known.
#[derive(Clone)]
pub struct MadeToken {
    pub id: TokenId,
    pub name: String,
    pub scopes: Vec<Scope>,
    pub expires_at: Option<DateTime<Utc>>,
    pub token: String,
}

/// Which people a list is about.
#[derive(Clone, Debug, Default)]
pub struct PeopleFilter {
    pub mail: Option<String>,
    /// `false`: those who are switched off.
    pub active: Option<bool>,
    /// Words of a name or a mail, or how they begin.
    pub search: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_has_one_normal_form() {
        assert_eq!(" Mara.L@Example.ORG ".parse::<Mail>().unwrap().as_str(), "mara.l@example.org");
        for wrong in [
            "",
            "mara",
            "@example.org",
            "mara@",
            "a b@example.org",
            "a@b@c",
            "a@-b.org",
            "a@b..org",
            "<a>@b.org",
            "a\0@b.org",
        ] {
            assert!(wrong.parse::<Mail>().is_err(), "{wrong:?}");
        }
        for right in ["a@localhost", "o'neil+x@example.org", "jürgen@müller.example"] {
            assert!(right.parse::<Mail>().is_ok(), "{right:?}");
        }
        assert_eq!(format!("{}@example.org", "a".repeat(255)).parse::<Mail>().unwrap_err().code, "too_long");
    }

    #[test]
    fn a_name_is_one_visible_line() {
        assert_eq!("  Mara L. ".parse::<Name>().unwrap().as_str(), "Mara L.");
        assert!("".parse::<Name>().is_err());
        assert!("a\nb".parse::<Name>().is_err());
        assert!("x".repeat(256).parse::<Name>().is_err());
    }

    fn origin(address: &str) -> Origin {
        Origin { address: address.parse().unwrap(), user_agent: "é\n".repeat(400) }
    }

    #[test]
    fn networks_hide_the_host() {
        assert_eq!(origin("10.4.2.17").network(), "10.4.2.0/24");
        assert_eq!(origin("::ffff:10.4.2.17").network(), "10.4.2.0/24");
        assert_eq!(origin("2001:db8:1:2:3:4:5:6").network(), "2001:db8:1:2::/64");
        assert_eq!(origin("2001:db8:1:2:3:4:5:6").source(), origin("2001:db8:1:2::9").source());
        assert!(origin("10.4.2.17").browser().len() <= 512);
    }
}
