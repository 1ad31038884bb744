//! Where this server may connect to: rows that somebody put there, for a purpose and for stated kinds of data.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;
use utoipa::ToSchema;
use uuid::Uuid;

use super::address::Reach;
use crate::{
    base::{
        access::{EgressEdit, EgressRead, Grant},
        ctx::{Actor, Ctx},
        error::NotFound,
        ids::{DestinationId, PersonId},
    },
    platform::{
        audit::{self, Act},
        db::{Conn, Db, DbError, Tx, schema::egress_destinations::dsl as t},
        signals::{Signal, Signals},
    },
};

/// Kinds of data. A destination may receive those that it was allowed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    Prompt,
    /// Model, size, count, seed and the model's own parameters.
    Parameters,
    /// Reference pictures and masks.
    References,
}

impl Category {
    pub const ALL: [Self; 3] = [Self::Prompt, Self::Parameters, Self::References];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Parameters => "parameters",
            Self::References => "references",
        }
    }
}

/// Scheme, host and port of an address: as much of it as a destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub scheme: String,
    /// As in an address: IPv6 in brackets.
    pub host: String,
    pub port: u16,
}

impl Origin {
    pub fn of(url: &Url) -> Option<Self> {
        let scheme = url.scheme();
        if !matches!(scheme, "http" | "https") {
            return None;
        }
        Some(Self { scheme: scheme.to_owned(), host: url.host_str()?.to_owned(), port: url.port_or_known_default()? })
    }
}

#[derive(Clone, Debug)]
pub struct Destination {
    pub id: DestinationId,
    /// What it may be called for: `inference`.
    pub purpose: String,
    pub origin: Origin,
    pub categories: Vec<String>,
    pub local: bool,
    pub allowed_by: Option<PersonId>,
    pub allowed_at: DateTime<Utc>,
    pub disabled_at: Option<DateTime<Utc>>,
}

impl Destination {
    pub fn reach(&self) -> Reach {
        Reach::of(self.local, &self.origin.scheme)
    }

    /// Host, and the port where it is not the usual one.
    pub fn name(&self) -> String {
        let Origin { scheme, host, port } = &self.origin;
        match (scheme.as_str(), port) {
            ("https", 443) | ("http", 80) => host.clone(),
            _ => format!("{host}:{port}"),
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = crate::platform::db::schema::egress_destinations)]
pub(super) struct Row {
    id: Uuid,
    purpose: String,
    scheme: String,
    host: String,
    port: i32,
    categories: Vec<String>,
    local: bool,
    allowed_by: Option<Uuid>,
    allowed_at: DateTime<Utc>,
    disabled_at: Option<DateTime<Utc>>,
}

impl From<Row> for Destination {
    fn from(row: Row) -> Self {
        let port = u16::try_from(row.port).unwrap_or_default();
        Self {
            id: row.id.into(),
            purpose: row.purpose,
            origin: Origin { scheme: row.scheme, host: row.host, port },
            categories: row.categories,
            local: row.local,
            allowed_by: row.allowed_by.map(Into::into),
            allowed_at: row.allowed_at,
            disabled_at: row.disabled_at,
        }
    }
}

/// The purpose of a provider of pictures.
pub(super) const INFERENCE: &str = "inference";

/// Allows this destination for inference, or allows it again as it is described now.
pub async fn allow(tx: &mut Tx, ctx: &Ctx, origin: &Origin, local: bool) -> Result<DestinationId, DbError> {
    let by = match &ctx.actor {
        Actor::Person(acting) => Some(acting.person.uuid()),
        Actor::System(_) | Actor::Nobody => None,
    };
    let known = find_by_origin(tx, origin).await?;
    if let Some(known) = known.filter(|known| known.local == local && known.disabled_at.is_none()) {
        return Ok(known.id);
    }
    let described = (
        t::categories.eq(Category::ALL.map(Category::as_str).to_vec()),
        t::local.eq(local),
        t::allowed_by.eq(by),
        t::allowed_at.eq(ctx.clock.now()),
    );
    let id: Uuid = diesel::insert_into(t::egress_destinations)
        .values((
            t::id.eq(DestinationId::new(&ctx.clock).uuid()),
            t::purpose.eq(INFERENCE),
            t::scheme.eq(&origin.scheme),
            t::host.eq(&origin.host),
            t::port.eq(i32::from(origin.port)),
            described.clone(),
        ))
        .on_conflict((t::purpose, t::scheme, t::host, t::port))
        .do_update()
        .set((described, t::disabled_at.eq(None::<DateTime<Utc>>)))
        .returning(t::id)
        .get_result(&mut **tx)
        .await?;
    let details = json!({ "host": origin.host, "port": origin.port, "scheme": origin.scheme, "local": local });
    audit::record(tx, ctx, Act::done("egress.allow").on("destination", id).details(details)).await?;
    Ok(id.into())
}

/// Nothing more leaves to it: the next call is refused, and calls under way are broken off.
pub async fn switch_off(tx: &mut Tx, ctx: &Ctx, id: DestinationId) -> Result<(), DbError> {
    switch(tx, ctx, id, false).await.map(|_| ())
}

async fn switch(tx: &mut Tx, ctx: &Ctx, id: DestinationId, on: bool) -> Result<bool, DbError> {
    let when = (!on).then(|| ctx.clock.now());
    let changed = diesel::update(t::egress_destinations.find(id.uuid()).filter(t::disabled_at.is_null().ne(on)))
        .set(t::disabled_at.eq(when))
        .execute(&mut **tx)
        .await?
        > 0;
    if changed {
        Signals::send(tx, &Signal::Destination(id.uuid())).await?;
        let action = if on { "egress.switch_on" } else { "egress.switch_off" };
        audit::record(tx, ctx, Act::done(action).on("destination", id.uuid())).await?;
    }
    Ok(changed)
}

/// An administrator's switch for one destination.
pub async fn set_enabled(
    db: &Db,
    ctx: &Ctx,
    _grant: &Grant<EgressEdit>,
    id: DestinationId,
    on: bool,
) -> Result<Option<Destination>, DbError> {
    db.write("egress.switch", async |tx| {
        switch(tx, ctx, id, on).await?;
        find(tx, id).await
    })
    .await
}

pub async fn list(db: &Db, _grant: &Grant<EgressRead>) -> Result<Vec<Destination>, DbError> {
    let rows: Vec<Row> = t::egress_destinations
        .order((t::host, t::port, t::scheme))
        .select(Row::as_select())
        .load(&mut *db.read().await?)
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

pub async fn find(conn: &mut Conn, id: DestinationId) -> Result<Option<Destination>, DbError> {
    let row: Option<Row> =
        t::egress_destinations.find(id.uuid()).select(Row::as_select()).first(conn).await.optional()?;
    Ok(row.map(Into::into))
}

async fn find_by_origin(conn: &mut Conn, origin: &Origin) -> Result<Option<Destination>, DbError> {
    let row: Option<Row> = t::egress_destinations
        .filter(t::purpose.eq(INFERENCE).and(t::scheme.eq(&origin.scheme)))
        .filter(t::host.eq(&origin.host).and(t::port.eq(i32::from(origin.port))))
        .select(Row::as_select())
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(Into::into))
}

/// For routes that name a destination.
pub fn known(found: Option<Destination>) -> Result<Destination, NotFound> {
    found.ok_or(NotFound)
}
