//! The table `api_tokens`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::people::{mail_of, name_of};
use crate::{
    accounts::model::{NewToken, Proven, Token},
    base::{
        access::{Grant, Scope, TokensEdit, TokensRead},
        ctx::Credential,
        ids::{PersonId, TokenId},
        paging::{Page, PageRequest},
    },
    platform::{
        crypto::digest,
        db::{
            Conn, DbError, Tx,
            schema::{api_tokens, people},
        },
        keyring::Keyring,
    },
};

/// What a token's name is sealed as.
const NAME: &str = "api_tokens.name";

#[diesel::dsl::auto_type(no_type_alias)]
fn live(now: DateTime<Utc>) -> _ {
    api_tokens::revoked_at
        .is_null()
        .and(api_tokens::expires_at.is_null().or(api_tokens::expires_at.gt(now).assume_not_null()))
}

fn scopes_of(words: &[String]) -> Vec<Scope> {
    words.iter().filter_map(|word| word.parse().ok()).collect()
}

/// Whose live token this is, and when it was last used.
pub async fn proven(
    conn: &mut Conn,
    keys: &Keyring,
    token_hash: &[u8],
    now: DateTime<Utc>,
) -> Result<Option<(Proven, Option<DateTime<Utc>>)>, DbError> {
    type Row = (TokenId, Vec<String>, Option<DateTime<Utc>>, PersonId, Vec<u8>, Vec<u8>, bool);
    let row: Option<Row> = api_tokens::table
        .inner_join(people::table)
        .filter(api_tokens::token_hash.eq(token_hash))
        .filter(live(now))
        .filter(people::deactivated_at.is_null())
        .select((
            api_tokens::id,
            api_tokens::scopes,
            api_tokens::last_used_at,
            people::id,
            people::name,
            people::mail,
            people::must_change_password,
        ))
        .first(conn)
        .await
        .optional()?;
    let Some((token, words, used, person, name, mail, must_change_password)) = row else { return Ok(None) };
    let key = keys.of(conn, person.uuid()).await?;
    let (name, mail) = (name_of(&key, &name)?, mail_of(&key, &mail)?);
    let credential = Credential::Token(token);
    Ok(Some((Proven { person, name, mail, must_change_password, credential, scopes: scopes_of(&words) }, used)))
}

/// Whether this token still stands.
pub async fn stands(conn: &mut Conn, id: TokenId, now: DateTime<Utc>) -> Result<bool, DbError> {
    let found = api_tokens::table
        .inner_join(people::table)
        .filter(api_tokens::id.eq(id))
        .filter(live(now))
        .filter(people::deactivated_at.is_null());
    Ok(diesel::select(diesel::dsl::exists(found)).get_result(conn).await?)
}

pub async fn touch(conn: &mut Conn, id: TokenId, now: DateTime<Utc>) -> Result<(), DbError> {
    diesel::update(api_tokens::table.find(id)).set(api_tokens::last_used_at.eq(now)).execute(conn).await?;
    Ok(())
}

pub async fn insert(
    tx: &mut Tx,
    keys: &Keyring,
    person: PersonId,
    id: TokenId,
    new: &NewToken,
    token: &str,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let words: Vec<&str> = new.scopes.iter().map(|scope| scope.as_str()).collect();
    let name = keys.of(tx, person.uuid()).await?.seal(NAME, id.uuid(), new.name.as_str().as_bytes())?;
    let hint = token.get(token.len().saturating_sub(4)..).unwrap_or_default();
    diesel::insert_into(api_tokens::table)
        .values((
            api_tokens::id.eq(id),
            api_tokens::person_id.eq(person),
            api_tokens::name.eq(name),
            api_tokens::scopes.eq(words),
            api_tokens::hint.eq(hint),
            api_tokens::token_hash.eq(digest(token.as_bytes()).as_slice()),
            api_tokens::created_at.eq(at),
            api_tokens::expires_at.eq(new.expires_at),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The caller's own tokens that were not revoked, newest first; expired ones are shown as such.
pub async fn own(
    conn: &mut Conn,
    keys: &Keyring,
    grant: &Grant<TokensRead>,
    page: &PageRequest,
) -> Result<Page<Token>, DbError> {
    type Row = (TokenId, Vec<u8>, Vec<String>, String, DateTime<Utc>, Option<DateTime<Utc>>, Option<DateTime<Utc>>);
    let mut query = api_tokens::table
        .filter(api_tokens::person_id.eq(grant.person()))
        .filter(api_tokens::revoked_at.is_null())
        .order(api_tokens::id.desc())
        .limit(page.fetch())
        .select((
            api_tokens::id,
            api_tokens::name,
            api_tokens::scopes,
            api_tokens::hint,
            api_tokens::created_at,
            api_tokens::expires_at,
            api_tokens::last_used_at,
        ))
        .into_boxed();
    if let Some(before) = page.before {
        query = query.filter(api_tokens::id.lt(TokenId::from(before)));
    }
    let rows: Vec<Row> = query.load(conn).await?;
    let key = keys.of(conn, grant.person().uuid()).await?;
    let token = |(id, name, words, hint, created_at, expires_at, last_used_at): Row| {
        let name = key.open_text(NAME, id.uuid(), &name)?;
        Ok(Token { id, name, scopes: scopes_of(&words), hint, created_at, expires_at, last_used_at })
    };
    let Page { items, next } = Page::from_fetched(rows, page, |row| row.0.uuid());
    Ok(Page { items: items.into_iter().map(token).collect::<Result<_, DbError>>()?, next })
}

/// How many live tokens a person has.
pub async fn count_of(conn: &mut Conn, person: PersonId, now: DateTime<Utc>) -> Result<i64, DbError> {
    let live = api_tokens::table.filter(api_tokens::person_id.eq(person)).filter(live(now));
    Ok(live.count().get_result(conn).await?)
}

/// `false` when the caller has no such token.
pub async fn revoke(tx: &mut Tx, grant: &Grant<TokensEdit>, id: TokenId, now: DateTime<Utc>) -> Result<bool, DbError> {
    let mine = api_tokens::table.find(id).filter(api_tokens::person_id.eq(grant.person()));
    let ended = diesel::update(mine.filter(api_tokens::revoked_at.is_null()))
        .set(api_tokens::revoked_at.eq(now))
        .execute(&mut **tx)
        .await?;
    Ok(ended == 1)
}

/// Returns how many.
pub async fn revoke_all(tx: &mut Tx, person: PersonId, now: DateTime<Utc>) -> Result<usize, DbError> {
    let all = api_tokens::table.filter(api_tokens::person_id.eq(person)).filter(api_tokens::revoked_at.is_null());
    Ok(diesel::update(all).set(api_tokens::revoked_at.eq(now)).execute(&mut **tx).await?)
}

/// Forgets tokens revoked before `before`; returns how many.
pub async fn forget(conn: &mut Conn, before: DateTime<Utc>) -> Result<usize, DbError> {
    let over = api_tokens::table.filter(api_tokens::revoked_at.lt(before));
    Ok(diesel::delete(over).execute(conn).await?)
}
