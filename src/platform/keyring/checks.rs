//! Whether what is sealed can be opened: every owner of something has a key, and every key its epoch.

use std::collections::BTreeSet;

use diesel::{prelude::*, sql_types};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    base::finding::{Finding, Tally},
    platform::db::{Conn, DbError, questions::Sealed, schema::owner_keys},
};

#[derive(QueryableByName)]
struct Owner {
    #[diesel(sql_type = sql_types::Uuid)]
    id: Uuid,
}

/// Owners of sealed rows that have no key.
pub async fn owners(conn: &mut Conn, sealed: &[Sealed]) -> Result<Vec<Finding>, DbError> {
    let mut findings = Vec::new();
    for rows in sealed {
        let mut lost = Tally::default();
        let mut after = Uuid::nil();
        loop {
            let page = diesel::sql_query(rows.owners).bind::<sql_types::Uuid, _>(after);
            let page: Vec<Uuid> = page.load::<Owner>(conn).await?.into_iter().map(|row| row.id).collect();
            let Some(last) = page.last() else { break };
            after = *last;
            let known = owner_keys::table.filter(owner_keys::owner_id.eq_any(&page)).select(owner_keys::owner_id);
            let known: BTreeSet<Uuid> = known.load::<Uuid>(conn).await?.into_iter().collect();
            page.iter().filter(|owner| !known.contains(owner)).for_each(|owner| lost.add(owner));
        }
        let what = format!("{} whose owner has no key, so that nobody can read them, by owner", rows.what);
        let advice = "A key that was destroyed cannot come back; what it sealed should be deleted. Otherwise restore the \
                      database from a backup.";
        findings.extend(lost.problem("keys.owner_missing", &what, advice));
    }
    Ok(findings)
}
