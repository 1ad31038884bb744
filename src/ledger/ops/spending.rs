//! What subjects have spent this month, for pages that show many of them at once.

use crate::{
    base::{ctx::Ctx, ids::ProviderId, money::Micros},
    ledger::{
        error::LedgerError,
        model::{Cap, CapState, Period, Subject, Window},
        store,
    },
    platform::db::Conn,
};

/// One subject's month so far.
#[derive(Clone, Debug)]
pub struct Spending {
    pub spent: Micros,
    /// The monthly cap that is in force for it.
    pub cap: Option<CapState>,
}

/// In the order of `subjects`.
pub async fn this_month(conn: &mut Conn, ctx: &Ctx, subjects: &[Subject]) -> Result<Vec<Spending>, LedgerError> {
    let day = ctx.clock.today();
    let window = |subject: &Subject| {
        let starts_on = Period::Month.start(day);
        Some(Window { scope: subject.scope(), subject: subject.uuid()?, period: Period::Month, starts_on })
    };
    let windows: Vec<Window> = subjects.iter().filter_map(window).collect();
    let sums = store::windows(conn, &windows).await?;
    let caps = store::caps::monthly(conn, subjects).await?;
    let spending = |subject: &Subject| {
        let counted = window(subject).and_then(|window| sums.iter().find(|(other, _)| *other == window));
        let sums = counted.map(|(_, sums)| *sums).unwrap_or_default();
        let cap = in_force(&caps, *subject).map(|cap| CapState::new(cap, sums, day)).transpose()?;
        Ok(Spending { spent: sums.spent, cap })
    };
    subjects.iter().map(spending).collect()
}

/// What was charged this month for each provider that was paid.
pub async fn spent_with_providers(conn: &mut Conn, ctx: &Ctx) -> Result<Vec<(ProviderId, Micros)>, LedgerError> {
    Ok(store::charged_by_provider(conn, Period::Month.start(ctx.clock.today())).await?)
}

/// The subject's own cap, or for a person the default of each person.
fn in_force(caps: &[Cap], subject: Subject) -> Option<&Cap> {
    let of = |subject: Subject| caps.iter().find(|cap| cap.subject == subject);
    of(subject).or_else(|| matches!(subject, Subject::Person(_)).then(|| of(Subject::EachPerson)).flatten())
}
