//! Setting money aside, charging it, giving it back; and where the caps stand.
//!
//! `hold`, `settle` and `release` run in the transaction of the act that they pay for, so that work is never accepted
//! without its hold and never ended without its settlement.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};

mod caps;
mod spending;
pub mod statement;

pub use caps::{Refill, Standing, counted, delete_cap, find_cap, list_caps, refill_cap, set_cap, set_caps, warnings};
pub use spending::{Spending, spent_with_providers, this_month};

use super::{
    error::LedgerError,
    model::{Cap, CapState, NewHold, Payer, Quote, Settled, Sums, Warning, Window, passed},
    store::{self, Entry, Hold, Stage},
};
use crate::{
    base::{
        clock::Clock,
        ctx::Ctx,
        ids::{GenerationId, HoldId, OrganisationId, PersonId, WorkspaceId},
        money::{Micros, Money, Overflow},
    },
    platform::{
        audit::{self, Act},
        db::{Conn, DbError, Tx},
    },
};

pub use super::store::{Drift, Held, held_after, held_for};

/// Sets aside the most that each of these generations can cost, one after the other in the order given. A generation
/// that a cap has no room for is refused with the tightest cap and changes nothing; the others go on without it.
pub async fn hold_all(
    tx: &mut Tx,
    clock: &Clock,
    new: &[NewHold],
) -> Result<Vec<Result<HoldId, LedgerError>>, LedgerError> {
    let now = clock.now();
    let payers: Vec<Payer> = new.iter().map(NewHold::payer).collect();
    let windows: BTreeSet<Window> = payers.iter().flat_map(|payer| payer.windows(now.date_naive())).collect();
    let windows: Vec<Window> = windows.into_iter().collect();
    // Caps are read under the locks: whoever changes one takes the organisation's window first.
    let before: Standings = store::lock_windows(tx, &windows).await?.into_iter().collect();
    let caps = store::caps::of_payers(tx, &payers).await?;
    let mut standings = before.clone();
    let admitted: Vec<Result<HoldId, LedgerError>> = new
        .iter()
        .map(|new| admit(&mut standings, &caps, new, now.date_naive()).map(|()| HoldId::new(clock)))
        .collect();
    let holds: Vec<(HoldId, &NewHold)> =
        admitted.iter().zip(new).filter_map(|(id, new)| Some((*id.as_ref().ok()?, new))).collect();
    if !holds.is_empty() {
        store::add(tx, &grown(&before, &standings)?).await?;
        store::create_holds(tx, now, &holds).await?;
        warn(tx, &payers, &caps, &before, &standings, now).await?;
    }
    Ok(admitted)
}

/// `hold_all` of one.
pub async fn hold(tx: &mut Tx, ctx: &Ctx, new: &NewHold) -> Result<HoldId, LedgerError> {
    hold_all(tx, &ctx.clock, std::slice::from_ref(new)).await?.pop().ok_or(LedgerError::NoHold)?
}

/// What the windows have counted, by window.
type Standings = BTreeMap<Window, Sums>;

/// Counts the hold in all its windows, or in none and says why.
fn admit(standings: &mut Standings, caps: &[Cap], new: &NewHold, day: NaiveDate) -> Result<(), LedgerError> {
    let amount = new.amount.micros;
    refuse_negative(amount)?;
    let states = states(caps, new.payer(), standings, day)?;
    let reached = states.iter().filter(|state| !state.admits(amount)).min_by_key(|state| state.left.micros);
    if let Some(reached) = reached {
        return Err(LedgerError::CapReached(Box::new(reached.into())));
    }
    let windows = new.payer().windows(day);
    refuse_overflow(windows.iter().filter_map(|window| standings.get(window)), amount)?;
    for window in windows {
        let sums = standings.entry(window).or_default();
        sums.held = sums.held.plus(amount)?;
    }
    Ok(())
}

/// By how much more is set aside in `after`.
fn grown(before: &Standings, after: &Standings) -> Result<Vec<(Window, Sums)>, Overflow> {
    let more = after.iter().map(|(window, after)| {
        let before = before.get(window).copied().unwrap_or_default();
        Ok((*window, Sums { held: after.held.minus(before.held)?, ..Sums::default() }))
    });
    more.collect()
}

/// Notes for whom a mark of a cap was passed.
async fn warn(
    tx: &mut Tx,
    payers: &[Payer],
    caps: &[Cap],
    before: &Standings,
    after: &Standings,
    now: DateTime<Utc>,
) -> Result<(), LedgerError> {
    let day = now.date_naive();
    let mut warnings: BTreeMap<(Window, u8), Warning> = BTreeMap::new();
    for payer in payers {
        let windows = payer.windows(day);
        let pairs = states(caps, *payer, before, day)?.into_iter().zip(states(caps, *payer, after, day)?);
        for (before, after) in pairs {
            let same = |window: &&Window| (window.scope, window.period) == (after.scope, after.period);
            let Some(window) = windows.iter().find(same) else { continue };
            for percent in passed(&before, &after) {
                let warning = Warning { window: *window, percent, limit: after.limit.micros, at: now };
                warnings.insert((*window, percent), warning);
            }
        }
    }
    if !warnings.is_empty() {
        store::warnings::insert(tx, &warnings.into_values().collect::<Vec<_>>()).await?;
    }
    Ok(())
}

/// The same change of each of these windows.
fn each(windows: &[Window], more: Sums) -> Vec<(Window, Sums)> {
    windows.iter().map(|window| (*window, more)).collect()
}

/// Charges what the work did cost. The first call decides; later ones get its result and change nothing.
pub async fn settle(tx: &mut Tx, ctx: &Ctx, generation: GenerationId, actual: Micros) -> Result<Settled, LedgerError> {
    refuse_negative(actual)?;
    let hold = store::lock_hold(tx, generation).await?.ok_or(LedgerError::NoHold)?;
    match hold.stage() {
        Stage::Posted(settled) => Ok(settled),
        Stage::Voided => Err(LedgerError::AlreadyReleased),
        Stage::Pending => charge(tx, ctx, generation, &hold, actual).await,
    }
}

async fn charge(
    tx: &mut Tx,
    ctx: &Ctx,
    generation: GenerationId,
    hold: &Hold,
    actual: Micros,
) -> Result<Settled, LedgerError> {
    let settled = hold.settled(actual);
    let windows = hold.payer().windows(hold.made_on);
    let sums = store::lock_windows(tx, &windows).await?;
    refuse_overflow(sums.iter().map(|(_, sums)| sums), settled.overage)?;
    let change = Sums { held: Micros::ZERO.minus(hold.amount())?, spent: actual, ..Sums::default() };
    store::add(tx, &each(&windows, change)).await?;
    if settled.overage > Micros::ZERO && hold.made_on == ctx.clock.today() {
        // Only what was not set aside can pass a mark here.
        let payer = hold.payer();
        let before: Standings = sums.into_iter().collect();
        let after =
            before.iter().map(|(window, sums)| Ok((*window, sums.plus(change)?))).collect::<Result<_, Overflow>>()?;
        let caps = store::caps::of_payers(tx, &[payer]).await?;
        warn(tx, &[payer], &caps, &before, &after, ctx.clock.now()).await?;
    }
    store::resolve_hold(tx, ctx, hold, Some(actual)).await?;
    let within = actual.minus(settled.overage)?;
    for (entry, amount) in [(Entry::Charge, within), (Entry::Overage, settled.overage)] {
        if amount > Micros::ZERO {
            store::post(tx, ctx, hold, entry, amount).await?;
        }
    }
    if settled.overage > Micros::ZERO {
        let details = serde_json::json!({
            "held_micros": hold.amount(), "billed_micros": actual,
            "overage_micros": settled.overage, "currency": hold.currency,
        });
        audit::record(tx, ctx, Act::done("ledger.overage").on("generation", generation).details(details)).await?;
    }
    Ok(settled)
}

/// Gives back all that was set aside. Once given back it stays so; what was charged cannot be given back.
pub async fn release(tx: &mut Tx, ctx: &Ctx, generation: GenerationId) -> Result<(), LedgerError> {
    let hold = store::lock_hold(tx, generation).await?.ok_or(LedgerError::NoHold)?;
    match hold.stage() {
        Stage::Voided => return Ok(()),
        Stage::Posted(_) => return Err(LedgerError::AlreadySettled),
        Stage::Pending => {}
    }
    let windows = hold.payer().windows(hold.made_on);
    store::lock_windows(tx, &windows).await?;
    let change = Sums { held: Micros::ZERO.minus(hold.amount())?, ..Sums::default() };
    store::add(tx, &each(&windows, change)).await?;
    Ok(store::resolve_hold(tx, ctx, &hold, None).await?)
}

/// Where every cap of this person's work stands now.
pub async fn caps_of(
    conn: &mut Conn,
    ctx: &Ctx,
    organisation: OrganisationId,
    workspace: WorkspaceId,
    person: PersonId,
) -> Result<Vec<CapState>, LedgerError> {
    let payer = Payer { organisation, workspace, person };
    let day = ctx.clock.today();
    let standings = store::windows(conn, &payer.windows(day)).await?.into_iter().collect();
    let caps = store::caps::of_payers(conn, &[payer]).await?;
    Ok(states(&caps, payer, &standings, day)?)
}

/// Whether work of this price would be admitted now. Nothing is set aside.
pub async fn quote(
    conn: &mut Conn,
    ctx: &Ctx,
    organisation: OrganisationId,
    workspace: WorkspaceId,
    person: PersonId,
    amount: Money,
) -> Result<Quote, LedgerError> {
    refuse_negative(amount.micros)?;
    let caps = caps_of(conn, ctx, organisation, workspace, person).await?;
    let allowed = caps.iter().all(|cap| cap.admits(amount.micros));
    let caps = caps.into_iter().map(|cap| cap.after(amount.micros)).collect::<Result<_, _>>()?;
    Ok(Quote { allowed, caps })
}

/// Windows whose running sums are not what their holds and postings add up to. There are none, ever.
pub async fn verify(conn: &mut Conn) -> Result<Vec<Drift>, DbError> {
    store::drift(conn).await
}

/// Where the caps stand that work of this payer must fit.
fn states(caps: &[Cap], payer: Payer, standings: &Standings, day: NaiveDate) -> Result<Vec<CapState>, Overflow> {
    let windows = payer.windows(day);
    let state = |cap: &Cap| {
        let same = |window: &&Window| (window.scope, window.period) == (cap.subject.scope(), cap.period);
        let counted = windows.iter().find(same).and_then(|window| standings.get(window));
        CapState::new(cap, counted.copied().unwrap_or_default(), day)
    };
    payer.caps_in_force(caps).map(state).collect()
}

/// What a window counts must fit in 64 bits even when everything that is set aside is charged.
fn refuse_overflow<'a>(sums: impl IntoIterator<Item = &'a Sums>, more: Micros) -> Result<(), Overflow> {
    sums.into_iter().try_for_each(|sums| sums.spent.plus(sums.held)?.plus(more).map(drop))
}

fn refuse_negative(amount: Micros) -> Result<(), LedgerError> {
    if amount < Micros::ZERO { Err(LedgerError::Negative) } else { Ok(()) }
}
