//! The table `people`.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{dsl::max, prelude::*};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    accounts::model::{Mail, Name, PeopleFilter, Person},
    base::{
        ids::PersonId,
        paging::{Page, PageRequest},
    },
    platform::{
        crypto::Purpose,
        db::{
            Conn, DbError, Tx,
            schema::{api_tokens, people, sessions},
        },
        keyring::{Keyring, OwnerKey, OwnerKeys, OwnerKind},
    },
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = people)]
struct Row {
    id: PersonId,
    mail: Vec<u8>,
    name: Vec<u8>,
    must_change_password: bool,
    password_changed_at: DateTime<Utc>,
    deactivated_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl Row {
    fn person(self, keys: &OwnerKeys, last_seen_at: Option<DateTime<Utc>>) -> Result<Person, DbError> {
        let key = keys.get(self.id.uuid())?;
        Ok(Person {
            id: self.id,
            mail: mail_of(&key, &self.mail)?,
            name: name_of(&key, &self.name)?,
            must_change_password: self.must_change_password,
            password_changed_at: self.password_changed_at,
            deactivated_at: self.deactivated_at,
            created_at: self.created_at,
            last_seen_at,
        })
    }
}

pub(super) fn mail_of(key: &OwnerKey, sealed: &[u8]) -> Result<String, DbError> {
    key.open_text("people.mail", key.owner(), sealed)
}

pub(super) fn name_of(key: &OwnerKey, sealed: &[u8]) -> Result<String, DbError> {
    key.open_text("people.name", key.owner(), sealed)
}

/// What a password is checked against.
#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = people)]
pub struct Secret {
    pub id: PersonId,
    pub password_hash: String,
    pub must_change_password: bool,
    pub one_time_until: Option<DateTime<Utc>>,
    pub deactivated_at: Option<DateTime<Utc>>,
}

impl Secret {
    /// Whether the right password opens anything.
    pub fn opens(&self, now: DateTime<Utc>) -> bool {
        self.deactivated_at.is_none() && self.one_time_until.is_none_or(|until| now < until)
    }
}

/// A person with a one-time password.
pub struct New<'a> {
    pub id: PersonId,
    pub mail: &'a Mail,
    pub name: &'a Name,
    pub password_hash: &'a str,
    pub one_time_until: DateTime<Utc>,
    pub at: DateTime<Utc>,
}

/// Writes the person with a key of their own. `false`: the mail is taken, and the transaction must be undone.
pub async fn insert(tx: &mut Tx, keys: &Keyring, new: New<'_>) -> Result<bool, DbError> {
    let id = new.id.uuid();
    let key = keys.begin(tx, id, OwnerKind::Person, new.at).await?;
    let (mail, name) = (new.mail.as_str(), new.name.as_str());
    let inserted = diesel::insert_into(people::table)
        .values((
            people::id.eq(new.id),
            people::mail.eq(key.seal("people.mail", id, mail.as_bytes())?),
            people::mail_hash.eq(hash(keys, mail)?),
            people::name.eq(key.seal("people.name", id, name.as_bytes())?),
            people::words.eq(keys.words(Purpose::PeopleSearch, &[mail, name])?),
            people::password_hash.eq(new.password_hash),
            people::must_change_password.eq(true),
            people::one_time_until.eq(new.one_time_until),
            people::password_changed_at.eq(new.at),
            people::created_at.eq(new.at),
        ))
        .on_conflict(people::mail_hash)
        .do_nothing()
        .execute(&mut **tx)
        .await?;
    Ok(inserted == 1)
}

/// What a mail address is found by.
fn hash(keys: &Keyring, mail: &str) -> Result<Vec<u8>, DbError> {
    Ok(keys.mac(Purpose::Mail, mail.as_bytes())?.to_vec())
}

pub async fn secret_by_mail(conn: &mut Conn, keys: &Keyring, mail: &str) -> Result<Option<Secret>, DbError> {
    let theirs = people::table.filter(people::mail_hash.eq(hash(keys, mail)?));
    Ok(theirs.select(Secret::as_select()).first(conn).await.optional()?)
}

pub async fn secret(conn: &mut Conn, id: PersonId) -> Result<Option<Secret>, DbError> {
    Ok(people::table.find(id).select(Secret::as_select()).first(conn).await.optional()?)
}

/// Holds the row until the transaction ends.
pub async fn lock(tx: &mut Tx, id: PersonId) -> Result<Option<Secret>, DbError> {
    Ok(people::table.find(id).for_update().select(Secret::as_select()).first(&mut **tx).await.optional()?)
}

pub async fn find(conn: &mut Conn, keys: &Keyring, id: PersonId) -> Result<Option<Person>, DbError> {
    let row: Option<Row> = people::table.find(id).select(Row::as_select()).first(conn).await.optional()?;
    let Some(row) = row else { return Ok(None) };
    let mut seen = last_seen(conn, &[id]).await?;
    let keys = keys.of_all(conn, [id.uuid()]).await?;
    row.person(&keys, seen.remove(&id.uuid())).map(Some)
}

pub async fn named(conn: &mut Conn, keys: &Keyring, ids: &[PersonId]) -> Result<Vec<(PersonId, String)>, DbError> {
    let rows: Vec<(PersonId, Vec<u8>)> =
        people::table.filter(people::id.eq_any(ids)).select((people::id, people::name)).load(conn).await?;
    let keys = keys.of_all(conn, rows.iter().map(|(id, _)| id.uuid())).await?;
    rows.into_iter().map(|(id, name)| Ok((id, name_of(&*keys.get(id.uuid())?, &name)?))).collect()
}

pub async fn active_of(conn: &mut Conn, ids: &[PersonId]) -> Result<Vec<PersonId>, DbError> {
    let active = people::table.filter(people::id.eq_any(ids)).filter(people::deactivated_at.is_null());
    Ok(active.select(people::id).load(conn).await?)
}

pub async fn list(
    conn: &mut Conn,
    keys: &Keyring,
    filter: &PeopleFilter,
    page: &PageRequest,
) -> Result<Page<Person>, DbError> {
    let mut query = people::table.order(people::id.desc()).limit(page.fetch()).select(Row::as_select()).into_boxed();
    if let Some(before) = page.before {
        query = query.filter(people::id.lt(PersonId::from(before)));
    }
    if let Some(mail) = &filter.mail {
        query = query.filter(people::mail_hash.eq(hash(keys, mail)?));
    }
    match filter.active {
        Some(true) => query = query.filter(people::deactivated_at.is_null()),
        Some(false) => query = query.filter(people::deactivated_at.is_not_null()),
        None => {}
    }
    if let Some(search) = &filter.search {
        // What has no word in it finds nobody.
        match keys.query(Purpose::PeopleSearch, search)? {
            Some(words) => query = query.filter(people::words.contains(words)),
            None => query = query.filter(people::id.is_null()),
        }
    }
    let rows: Vec<Row> = query.load(conn).await?;
    let page = Page::from_fetched(rows, page, |row| row.id.uuid());
    let ids: Vec<PersonId> = page.items.iter().map(|row| row.id).collect();
    let mut seen = last_seen(conn, &ids).await?;
    let keys = keys.of_all(conn, ids.iter().map(|id| id.uuid())).await?;
    let Page { items, next } = page;
    let person = |row: Row| {
        let at = seen.remove(&row.id.uuid());
        row.person(&keys, at)
    };
    Ok(Page { items: items.into_iter().map(person).collect::<Result<_, _>>()?, next })
}

/// Active and deactivated.
pub async fn count(conn: &mut Conn) -> Result<(i64, i64), DbError> {
    let all: i64 = people::table.count().get_result(conn).await?;
    let active: i64 = people::table.filter(people::deactivated_at.is_null()).count().get_result(conn).await?;
    Ok((active, all - active))
}

async fn last_seen(conn: &mut Conn, ids: &[PersonId]) -> Result<HashMap<Uuid, DateTime<Utc>>, DbError> {
    let sessions: Vec<(Uuid, Option<DateTime<Utc>>)> = sessions::table
        .filter(sessions::person_id.eq_any(ids))
        .group_by(sessions::person_id)
        .select((sessions::person_id, max(sessions::last_seen_at)))
        .load(conn)
        .await?;
    let tokens: Vec<(Uuid, Option<DateTime<Utc>>)> = api_tokens::table
        .filter(api_tokens::person_id.eq_any(ids))
        .group_by(api_tokens::person_id)
        .select((api_tokens::person_id, max(api_tokens::last_used_at)))
        .load(conn)
        .await?;
    let mut latest = HashMap::new();
    for (person, at) in sessions.into_iter().chain(tokens) {
        if let Some(at) = at {
            let known = latest.entry(person).or_insert(at);
            *known = at.max(*known);
        }
    }
    Ok(latest)
}

pub async fn rename(tx: &mut Tx, keys: &Keyring, id: PersonId, name: &Name) -> Result<(), DbError> {
    let key = keys.of(tx, id.uuid()).await?;
    let mail: Vec<u8> = people::table.find(id).select(people::mail).for_update().first(&mut **tx).await?;
    let words = keys.words(Purpose::PeopleSearch, &[&mail_of(&key, &mail)?, name.as_str()])?;
    let sealed = key.seal("people.name", id.uuid(), name.as_str().as_bytes())?;
    let person = diesel::update(people::table.find(id));
    person.set((people::name.eq(sealed), people::words.eq(words))).execute(&mut **tx).await?;
    Ok(())
}

/// The same password under other parameters, unless it was changed meanwhile.
pub async fn rehash(tx: &mut Tx, id: PersonId, hash: &str) -> Result<(), DbError> {
    diesel::update(people::table.find(id)).set(people::password_hash.eq(hash)).execute(&mut **tx).await?;
    Ok(())
}

/// The same one-time password for longer.
pub async fn renew_one_time(tx: &mut Tx, id: PersonId, hash: &str, until: DateTime<Utc>) -> Result<(), DbError> {
    diesel::update(people::table.find(id))
        .set((people::password_hash.eq(hash), people::one_time_until.eq(until)))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Another password: a one-time password until `one_time_until`, or their own.
pub async fn set_password(
    tx: &mut Tx,
    id: PersonId,
    hash: &str,
    one_time_until: Option<DateTime<Utc>>,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(people::table.find(id))
        .set((
            people::password_hash.eq(hash),
            people::must_change_password.eq(one_time_until.is_some()),
            people::one_time_until.eq(one_time_until),
            people::password_changed_at.eq(at),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// `false`: it was so already.
pub async fn set_deactivated(tx: &mut Tx, id: PersonId, at: Option<DateTime<Utc>>) -> Result<bool, DbError> {
    let person = people::table.find(id);
    let changed = match at {
        Some(at) => {
            diesel::update(person.filter(people::deactivated_at.is_null()))
                .set(people::deactivated_at.eq(at))
                .execute(&mut **tx)
                .await?
        }
        None => {
            diesel::update(person.filter(people::deactivated_at.is_not_null()))
                .set(people::deactivated_at.eq(None::<DateTime<Utc>>))
                .execute(&mut **tx)
                .await?
        }
    };
    Ok(changed == 1)
}
