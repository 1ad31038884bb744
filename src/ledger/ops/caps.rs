//! Caps as an owner sets them.

use uuid::Uuid;

use crate::{
    base::{
        access::{CapsEdit, CapsRead, Grant},
        clock::Clock,
        ctx::Ctx,
        error::{Invalid, NotFound},
        ids::{CapId, OrganisationId, PersonId},
        money::{Micros, Money},
        paging::{Page, PageRequest},
    },
    ledger::{
        error::LedgerError,
        model::{Cap, CapFilter, CapState, NewCap, Period, Scope, Subject, Sums, Warning, Window},
        store,
    },
    organisation::ops as organisation,
    platform::{
        Platform,
        audit::{self, Act},
        db::{Conn, Tx},
        idempotency::{Answer, Once},
    },
};

/// A cap and where it stands. The default of each person is a rule and has no sums of its own.
pub type Standing = (Cap, Option<CapState>);

/// Who was warned: the marks that these windows have passed, oldest first.
pub async fn warnings(
    ctx: &Ctx,
    app: &Platform,
    _grant: &Grant<CapsRead>,
    subject: Subject,
) -> Result<Vec<Warning>, LedgerError> {
    let Some(id) = subject.uuid() else { return Ok(Vec::new()) };
    let today = ctx.clock.today();
    let window =
        |period: Period| Window { scope: subject.scope(), subject: id, period, starts_on: period.start(today) };
    store::warnings::of_windows(&mut *app.db.read().await?, &Period::ALL.map(window)).await
}

pub async fn list_caps(
    ctx: &Ctx,
    app: &Platform,
    grant: &Grant<CapsRead>,
    filter: &CapFilter,
    page: &PageRequest,
) -> Result<Page<Standing>, LedgerError> {
    let conn = &mut app.db.read().await?;
    let caps = store::caps::list(conn, grant, filter, page).await?;
    let items = standings(conn, &ctx.clock, caps.items).await?;
    Ok(Page { items, next: caps.next })
}

async fn standings(conn: &mut Conn, clock: &Clock, caps: Vec<Cap>) -> Result<Vec<Standing>, LedgerError> {
    let day = clock.today();
    let windows: Vec<Window> = caps.iter().filter_map(|cap| window(cap, clock)).collect();
    let sums = store::windows(conn, &windows).await?;
    let standing = |cap: Cap| -> Result<Standing, LedgerError> {
        let Some(window) = window(&cap, clock) else { return Ok((cap, None)) };
        let counted = sums.iter().find(|(other, _)| *other == window).map(|(_, sums)| *sums).unwrap_or_default();
        Ok((cap, Some(CapState::new(&cap, counted, day)?)))
    };
    caps.into_iter().map(standing).collect()
}

fn window(cap: &Cap, clock: &Clock) -> Option<Window> {
    let starts_on = cap.period.start(clock.today());
    Some(Window { scope: cap.subject.scope(), subject: cap.subject.uuid()?, period: cap.period, starts_on })
}

/// What a subject's windows of today have counted, whether caps look at them or not.
pub async fn counted(
    ctx: &Ctx,
    app: &Platform,
    _grant: &Grant<CapsRead>,
    subject: Subject,
) -> Result<Vec<(Period, Sums)>, LedgerError> {
    let today = ctx.clock.today();
    let Some(id) = subject.uuid() else { return Ok(Vec::new()) };
    let window =
        |period: Period| Window { scope: subject.scope(), subject: id, period, starts_on: period.start(today) };
    let windows = Period::ALL.map(window);
    let sums = store::windows(&mut *app.db.read().await?, &windows).await?;
    let of =
        |window: Window| sums.iter().find(|(other, _)| *other == window).map(|(_, sums)| *sums).unwrap_or_default();
    Ok(windows.map(|window| (window.period, of(window))).to_vec())
}

pub async fn find_cap(app: &Platform, _grant: &Grant<CapsRead>, id: CapId) -> Result<Cap, LedgerError> {
    Ok(store::caps::find(&mut *app.db.read().await?, id).await?.ok_or(NotFound)?)
}

/// Sets the one cap of this subject and period. It counts at once, with what was spent before.
pub async fn set_cap(ctx: &Ctx, app: &Platform, new: &NewCap) -> Result<Standing, LedgerError> {
    let grant = ctx.grant::<CapsEdit>()?;
    app.db
        .write("ledger.set_cap", async |tx| {
            exclude_holds(tx, ctx, grant.organisation()).await?;
            let cap = set(tx, ctx, &grant, new).await?;
            let mut standing = standings(tx, &ctx.clock, vec![cap]).await?;
            Ok(standing.pop().unwrap_or((cap, None)))
        })
        .await
}

/// All caps of one subject at once: a limit for a period, or none, which deletes the cap.
pub async fn set_caps(
    ctx: &Ctx,
    app: &Platform,
    subject: Subject,
    limits: &[(Period, Option<Money>)],
) -> Result<(), LedgerError> {
    let grant = ctx.grant::<CapsEdit>()?;
    app.db
        .write("ledger.set_caps", async |tx| {
            exclude_holds(tx, ctx, grant.organisation()).await?;
            for (period, limit) in limits {
                let before = store::caps::find_by_subject(tx, subject, *period).await?;
                match (before, limit) {
                    (Some(cap), Some(limit)) if cap.limit == *limit => {}
                    (_, Some(limit)) => {
                        set(tx, ctx, &grant, &NewCap { subject, period: *period, limit: *limit }).await?;
                    }
                    (Some(cap), None) => delete(tx, ctx, &grant, &cap).await?,
                    (None, None) => {}
                }
            }
            Ok(())
        })
        .await
}

pub async fn delete_cap(ctx: &Ctx, app: &Platform, id: CapId) -> Result<(), LedgerError> {
    let grant = ctx.grant::<CapsEdit>()?;
    app.db
        .write("ledger.delete_cap", async |tx| {
            exclude_holds(tx, ctx, grant.organisation()).await?;
            let cap = store::caps::find(tx, id).await?.ok_or(NotFound)?;
            delete(tx, ctx, &grant, &cap).await
        })
        .await
}

/// Room that an owner adds to one window of a cap: to this day or month alone, or for good to a total.
#[derive(Clone, Copy, Debug)]
pub struct Refill<'a> {
    pub cap: CapId,
    /// Whose window, where the cap is the default of each person.
    pub person: Option<PersonId>,
    pub amount: Money,
    pub reason: &'a str,
}

/// Bytes of the reason for a refill.
const LONGEST_REASON: usize = 2000;

/// Adds room to the window of now, and says where the cap stands then.
pub async fn refill_cap(
    ctx: &Ctx,
    app: &Platform,
    refill: &Refill<'_>,
    once: &Once,
    answer: impl FnOnce(&CapState) -> Answer,
) -> Result<Answer, LedgerError> {
    let grant = ctx.grant::<CapsEdit>()?;
    let (amount, reason) = (refill.amount, refill.reason.trim());
    if reason.is_empty() || reason.len() > LONGEST_REASON {
        return Err(Invalid::field("reason", "required", "Say in a few words why, at most 2,000 bytes.").into());
    }
    if amount.micros <= Micros::ZERO {
        return Err(Invalid::field("amount.micros", "out_of_range", "Add more than nothing.").into());
    }
    app.db
        .write("ledger.refill_cap", async |tx| {
            if let Some(kept) = once.claim(tx, &app.keys, ctx, grant.person()).await? {
                return Ok(kept);
            }
            let cap = store::caps::find(tx, refill.cap).await?.ok_or(NotFound)?;
            if amount.currency != cap.limit.currency {
                let message = format!("This organisation counts in {}.", cap.limit.currency);
                return Err(Invalid::field("amount.currency", "not_offered", message).into());
            }
            let subject = whose(tx, &cap, refill.person).await?;
            let today = ctx.clock.today();
            let starts_on = cap.period.start(today);
            let window = Window { scope: cap.subject.scope(), subject, period: cap.period, starts_on };
            let mut sums = Sums::default();
            for (_, counted) in store::lock_windows(tx, &[window]).await? {
                sums = counted;
            }
            let more = Sums { refilled: amount.micros, ..Sums::default() };
            let state = CapState::new(&cap, sums.plus(more)?, today)?;
            store::add(tx, &[(window, more)]).await?;
            let details = serde_json::json!({
                "scope": cap.subject.scope(), "subject": subject, "period": cap.period, "starts_on": starts_on,
                "amount_micros": amount.micros, "currency": amount.currency,
            });
            let act = Act::done("caps.refill").on("cap", cap.id).because(reason).details(details);
            audit::record(tx, ctx, act).await?;
            let first = answer(&state);
            once.keep(tx, &app.keys, grant.person(), &first).await?;
            Ok(first)
        })
        .await
}

/// The subject whose window is meant.
async fn whose(tx: &mut Tx, cap: &Cap, person: Option<PersonId>) -> Result<Uuid, LedgerError> {
    let fault = |code, message: &str| Err(Invalid::field("person", code, message).into());
    match (cap.subject.uuid(), person) {
        (Some(subject), None) => Ok(subject),
        (Some(_), Some(_)) => fault("unknown", "This cap has one subject already; leave the person out."),
        (None, None) => fault("required", "This cap is the default of each person. Say whose is refilled."),
        (None, Some(person)) => {
            if organisation::membership(tx, person).await?.is_none() {
                return fault("unknown", "There is nobody of this id here.");
            }
            if store::caps::find_by_subject(tx, Subject::Person(person), cap.period).await?.is_some() {
                return fault("own_cap", "This person has a cap of their own for this period. Refill that one.");
            }
            Ok(person.uuid())
        }
    }
}

async fn set(tx: &mut Tx, ctx: &Ctx, grant: &Grant<CapsEdit>, new: &NewCap) -> Result<Cap, LedgerError> {
    check(tx, new).await?;
    let (cap, before) = store::caps::set(tx, ctx, grant, new).await?;
    let details = serde_json::json!({
        "scope": cap.subject.scope(), "subject": cap.subject.id_text(), "period": cap.period,
        "limit_micros": cap.limit.micros, "limit_micros_before": before, "currency": cap.limit.currency,
    });
    audit::record(tx, ctx, Act::done("caps.set").on("cap", cap.id).details(details)).await?;
    Ok(cap)
}

async fn delete(tx: &mut Tx, ctx: &Ctx, grant: &Grant<CapsEdit>, cap: &Cap) -> Result<(), LedgerError> {
    store::caps::delete(tx, grant, cap.id).await?;
    let details = serde_json::json!({
        "scope": cap.subject.scope(), "subject": cap.subject.id_text(), "period": cap.period,
        "limit_micros_before": cap.limit.micros, "currency": cap.limit.currency,
    });
    Ok(audit::record(tx, ctx, Act::done("caps.delete").on("cap", cap.id).details(details)).await?)
}

async fn check(tx: &mut Tx, new: &NewCap) -> Result<(), LedgerError> {
    let home = organisation::organisation(tx).await?;
    let currency = home.currency;
    if new.limit.currency != currency {
        let message = format!("This organisation counts in {currency}.");
        return Err(Invalid::field("limit.currency", "not_offered", message).into());
    }
    if new.limit.micros < Micros::ZERO {
        return Err(Invalid::field("limit.micros", "out_of_range", "A limit is zero or more.").into());
    }
    let known = match new.subject {
        Subject::Organisation(id) => id == home.id,
        Subject::Workspace(id) => organisation::has_workspace(tx, id).await?,
        Subject::Person(id) => organisation::membership(tx, id).await?.is_some(),
        Subject::EachPerson => true,
    };
    if known {
        Ok(())
    } else {
        Err(Invalid::field("subject", "unknown", "There is nobody and nothing of this id here.").into())
    }
}

/// Every hold takes the organisation's windows, so whoever holds this one knows that no hold is half way: none is
/// admitted by a cap that no longer counts.
async fn exclude_holds(tx: &mut Tx, ctx: &Ctx, organisation: OrganisationId) -> Result<(), LedgerError> {
    let period = Period::Total;
    let starts_on = period.start(ctx.clock.today());
    let window = Window { scope: Scope::Organisation, subject: organisation.uuid(), period, starts_on };
    store::lock_windows(tx, &[window]).await.map(drop)
}
