//! Setting money aside, charging it, giving it back; and where the caps stand.
//!
//! `hold`, `settle` and `release` run in the transaction of the act that they pay for, so that work is never accepted
//! without its hold and never ended without its settlement.

use std::collections::HashMap;

mod caps;
mod spending;

pub use caps::{Standing, counted, delete_cap, find_cap, list_caps, set_cap, set_caps};
pub use spending::{Spending, spent_with_providers, this_month};

use super::{
    error::LedgerError,
    model::{CapState, NewHold, Payer, Quote, ReachedCap, Settled, Sums, Window},
    store::{self, Entry, Hold, Stage},
};
use crate::{
    base::{
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

/// Sets aside the most that a generation can cost, or refuses with the tightest cap and changes nothing.
pub async fn hold(tx: &mut Tx, ctx: &Ctx, new: &NewHold) -> Result<HoldId, LedgerError> {
    let amount = new.amount.micros;
    refuse_negative(amount)?;
    let windows = new.payer().windows(ctx.clock.today());
    // Caps are read under the locks: whoever changes one takes the organisation's window first.
    let sums = store::lock_windows(tx, &windows).await?;
    if let Some(reached) = tightest_reached(tx, ctx, new.payer(), &sums, amount).await? {
        return Err(LedgerError::CapReached(Box::new(reached)));
    }
    refuse_overflow(&sums, amount)?;
    store::add(tx, &windows, amount, Micros::ZERO).await?;
    Ok(store::create_hold(tx, ctx, new).await?)
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
    refuse_overflow(&sums, settled.overage)?;
    store::add(tx, &windows, Micros::ZERO.minus(hold.amount())?, actual).await?;
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
    store::add(tx, &windows, Micros::ZERO.minus(hold.amount())?, Micros::ZERO).await?;
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
    let sums = store::windows(conn, &payer.windows(ctx.clock.today())).await?;
    states(conn, ctx, payer, &sums).await
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

async fn states(
    conn: &mut Conn,
    ctx: &Ctx,
    payer: Payer,
    sums: &[(Window, Sums)],
) -> Result<Vec<CapState>, LedgerError> {
    let day = ctx.clock.today();
    let sums: HashMap<_, _> = sums.iter().map(|(window, sums)| ((window.scope, window.period), *sums)).collect();
    let caps = store::caps::in_force(conn, payer).await?;
    let state = |cap: &_| {
        let super::model::Cap { subject, period, .. } = *cap;
        let counted = sums.get(&(subject.scope(), period)).copied().unwrap_or_default();
        CapState::new(cap, counted, day)
    };
    Ok(caps.iter().map(state).collect::<Result<_, _>>()?)
}

/// Of the caps that have no room for `amount`, the one that leaves least.
async fn tightest_reached(
    tx: &mut Tx,
    ctx: &Ctx,
    payer: Payer,
    sums: &[(Window, Sums)],
    amount: Micros,
) -> Result<Option<ReachedCap>, LedgerError> {
    let states = states(tx, ctx, payer, sums).await?;
    let reached = states.iter().filter(|state| !state.admits(amount));
    Ok(reached.min_by_key(|state| state.left.micros).map(ReachedCap::from))
}

/// What a window counts must fit in 64 bits even when everything that is set aside is charged.
fn refuse_overflow(sums: &[(Window, Sums)], more: Micros) -> Result<(), Overflow> {
    sums.iter().try_for_each(|(_, sums)| sums.spent.plus(sums.held)?.plus(more).map(drop))
}

fn refuse_negative(amount: Micros) -> Result<(), LedgerError> {
    if amount < Micros::ZERO { Err(LedgerError::Negative) } else { Ok(()) }
}
