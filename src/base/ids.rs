//! Typed, sortable ids: a prefix and a UUIDv7 in base32, for example `gen_01jd0t6ck9f8ktr0v2m7d1e2qa`.
//!
//! The text form is the TypeID specification 0.3: 26 lower-case Crockford characters for 128 bits. In the database an
//! id is a plain `uuid`; the prefix lives in the type, so that an asset's id cannot be handed in as a generation's.

use std::{
    fmt,
    marker::PhantomData,
    str::FromStr,
    sync::{LazyLock, Mutex, PoisonError},
};

use diesel::{
    backend::Backend,
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    serialize::{self, Output, ToSql},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::clock::Clock;

/// What an id names. The prefix is part of the public contract.
pub trait Kind: 'static {
    const PREFIX: &'static str;
}

#[derive(AsExpression, FromSqlRow)]
#[diesel(sql_type = diesel::sql_types::Uuid)]
pub struct Id<K: Kind> {
    uuid: Uuid,
    kind: PhantomData<fn() -> K>,
}

/// The text is not an id of this kind.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {0}_...")]
pub struct NotAnId(&'static str);

static COUNTER: LazyLock<Mutex<uuid::ContextV7>> = LazyLock::new(|| Mutex::new(uuid::ContextV7::new()));

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 26;

impl<K: Kind> Id<K> {
    /// A new id, later than every id made before on this clock.
    pub fn new(clock: &Clock) -> Self {
        let now = clock.now();
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        // One counter for the process keeps ids of the same millisecond in order.
        let counter = COUNTER.lock().unwrap_or_else(PoisonError::into_inner);
        let at = uuid::Timestamp::from_unix(&*counter, seconds, now.timestamp_subsec_nanos());
        Self::from(Uuid::new_v7(at))
    }

    pub fn uuid(self) -> Uuid {
        self.uuid
    }
}

fn encode(uuid: Uuid) -> String {
    let bits = uuid.as_u128();
    (0..LENGTH)
        .rev()
        .map(|place| {
            let digit = (bits >> (place * 5)) & 31;
            ALPHABET.get(usize::try_from(digit).unwrap_or(0)).copied().map_or('0', char::from)
        })
        .collect()
}

/// Only the one canonical spelling: 26 digits, the first at most 7 (130 bits hold 128).
fn decode(text: &str) -> Option<Uuid> {
    if text.len() != LENGTH || text.as_bytes().first()? > &b'7' {
        return None;
    }
    let bits = text.bytes().try_fold(0u128, |bits, byte| {
        let digit = ALPHABET.iter().position(|candidate| *candidate == byte)?;
        Some((bits << 5) | u128::try_from(digit).ok()?)
    })?;
    Some(Uuid::from_u128(bits))
}

/// An id whose kind is only known as a word, as in the audit log.
pub fn write(prefix: &str, uuid: Uuid) -> String {
    format!("{prefix}_{}", encode(uuid))
}

/// The part after the prefix, whatever that is.
pub fn read_any(text: &str) -> Option<Uuid> {
    text.split_once('_').and_then(|(_, rest)| decode(rest))
}

impl<K: Kind> From<Uuid> for Id<K> {
    fn from(uuid: Uuid) -> Self {
        Self { uuid, kind: PhantomData }
    }
}

impl<K: Kind> From<Id<K>> for Uuid {
    fn from(id: Id<K>) -> Self {
        id.uuid
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        text.strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .and_then(decode)
            .map(Self::from)
            .ok_or(NotAnId(K::PREFIX))
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}_{}", K::PREFIX, encode(self.uuid))
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<K: Kind> FromSql<diesel::sql_types::Uuid, Pg> for Id<K> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        <Uuid as FromSql<diesel::sql_types::Uuid, Pg>>::from_sql(value).map(Self::from)
    }
}

impl<K: Kind> ToSql<diesel::sql_types::Uuid, Pg> for Id<K>
where
    Uuid: ToSql<diesel::sql_types::Uuid, Pg>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <Uuid as ToSql<diesel::sql_types::Uuid, Pg>>::to_sql(&self.uuid, out)
    }
}

// Derives would demand the same of `K`, which is only a name.
impl<K: Kind> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K: Kind> Copy for Id<K> {}
impl<K: Kind> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}
impl<K: Kind> Eq for Id<K> {}
impl<K: Kind> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K: Kind> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.uuid.cmp(&other.uuid)
    }
}
impl<K: Kind> std::hash::Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident, $kind:ident, $prefix:literal;)*) => {$(
        $(#[$doc])*
        pub type $name = Id<$kind>;
        pub enum $kind {}
        impl Kind for $kind {
            const PREFIX: &'static str = $prefix;
        }
        impl utoipa::PartialSchema for $kind {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                use utoipa::openapi::{ObjectBuilder, Type};
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .pattern(Some(concat!("^", $prefix, "_[0-7][0-9a-hjkmnp-tv-z]{25}$")))
                    .into()
            }
        }
    )*};
}

kinds! {
    GenerationId, GenerationKind, "gen";
    AssetId, AssetKind, "ast";
    PersonId, PersonKind, "per";
    WorkspaceId, WorkspaceKind, "wsp";
    OrganisationId, OrganisationKind, "org";
    TokenId, TokenKind, "tok";
    SessionId, SessionKind, "ses";
    CapId, CapKind, "cap";
    ProviderId, ProviderKind, "prv";
    DestinationId, DestinationKind, "dst";
    EgressCallId, EgressCallKind, "egr";
    AuditId, AuditKind, "aud";
    HoldId, HoldKind, "hld";
    AccountId, AccountKind, "acc";
    TransactionId, TransactionKind, "txn";
    JobId, JobKind, "job";
    ObjectId, ObjectKind, "obj";
    AttemptId, AttemptKind, "att";
    PriceCardId, PriceCardKind, "prc";
}

impl<K: Kind + utoipa::PartialSchema> utoipa::PartialSchema for Id<K> {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        K::schema()
    }
}
impl<K: Kind + utoipa::PartialSchema> utoipa::ToSchema for Id<K> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("{}_id", K::PREFIX).into()
    }
}

// `AsExpression` needs the backend in scope only for its bounds.
const _: fn() = || {
    fn backend<B: Backend>() {}
    backend::<Pg>();
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let id = AssetId::new(&Clock::system());
        let text = id.to_string();
        assert_eq!(text.len(), 4 + LENGTH);
        assert_eq!(text.parse::<AssetId>(), Ok(id));
    }

    #[test]
    fn agrees_with_the_specification() {
        let uuid = Uuid::parse_str("01890a5d-ac96-774b-bcce-b302099a8057").unwrap();
        assert_eq!(encode(uuid), "01h455vb4pex5vsknk084sn02q");
    }

    #[test]
    fn refuses_other_kinds_and_other_spellings() {
        let text = AssetId::new(&Clock::system()).to_string();
        assert!(text.parse::<GenerationId>().is_err());
        assert!(text.to_uppercase().parse::<AssetId>().is_err());
        assert!("ast_80000000000000000000000000".parse::<AssetId>().is_err());
        assert!("ast_".parse::<AssetId>().is_err());
    }

    #[test]
    fn later_ids_sort_later() {
        let clock = Clock::fixed();
        let first = AssetId::new(&clock);
        clock.advance(chrono::Duration::milliseconds(2));
        assert!(first.to_string() < AssetId::new(&clock).to_string());
    }
}
