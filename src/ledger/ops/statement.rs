//! Reading what was charged.

use crate::{
    base::{
        access::{Grant, StatementRead, StatementsRead},
        ids::PersonId,
        paging::{Page, PageRequest},
    },
    ledger::{
        model::{Scope, Sums},
        statement::{Line, Month},
        store::statement as store,
    },
    platform::{
        Platform,
        db::{Conn, DbError},
    },
};

/// Months that a page offers.
const MONTHS: i64 = 24;

/// People that one page can show with sense; the table for download has all.
const PEOPLE: i64 = 500;

/// What a month has counted: the same sums that the caps look at.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    pub sums: Sums,
    /// Months with work in them, newest first.
    pub months: Vec<Month>,
}

/// What was charged for one's own work of a month, newest first.
pub async fn own_lines(
    app: &Platform,
    grant: &Grant<StatementRead>,
    month: Month,
    page: &PageRequest,
) -> Result<Page<Line>, DbError> {
    store::lines(&mut *app.db.read().await?, month, Some(grant.person()), page).await
}

/// The same for everybody, or for one person.
pub async fn all_lines(
    app: &Platform,
    _grant: &Grant<StatementsRead>,
    month: Month,
    person: Option<PersonId>,
    page: &PageRequest,
) -> Result<Page<Line>, DbError> {
    store::lines(&mut *app.db.read().await?, month, person, page).await
}

pub async fn own_counted(app: &Platform, grant: &Grant<StatementRead>, month: Month) -> Result<Counted, DbError> {
    counted(&mut *app.db.read().await?, Scope::Person, grant.person().uuid(), month).await
}

pub async fn all_counted(app: &Platform, grant: &Grant<StatementsRead>, month: Month) -> Result<Counted, DbError> {
    counted(&mut *app.db.read().await?, Scope::Organisation, grant.organisation().uuid(), month).await
}

async fn counted(conn: &mut Conn, scope: Scope, subject: uuid::Uuid, month: Month) -> Result<Counted, DbError> {
    let sums = store::sums(conn, month, scope, Some(subject), 1).await?.pop();
    let months = store::months(conn, scope, subject, MONTHS).await?;
    Ok(Counted { sums: sums.map(|(_, sums)| sums).unwrap_or_default(), months })
}

/// What each person has spent and set aside in a month, who spent most first.
pub async fn by_person(
    app: &Platform,
    _grant: &Grant<StatementsRead>,
    month: Month,
) -> Result<Vec<(PersonId, Sums)>, DbError> {
    let sums = store::sums(&mut *app.db.read().await?, month, Scope::Person, None, PEOPLE).await?;
    Ok(sums.into_iter().map(|(person, sums)| (person.into(), sums)).collect())
}
