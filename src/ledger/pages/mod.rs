//! The page of spend caps: the list, one subject's caps beside it, and the forms that set and delete them.

mod desk;
mod show;
pub mod statement_views;
pub mod views;

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;

use desk::Desk;
use show::{Counted, Typed};
use views::{CapSheet, CapsAsk};

use super::{
    error::LedgerError,
    model::{CapState, Period, Scope, Subject},
    ops,
};
use crate::{
    base::{
        access::{CapsEdit, CapsRead, Grant},
        ctx::Ctx,
        error::{Invalid, NotFound},
        ids::{CapId, PersonId},
        money::{Currency, Micros, Money, NotAnAmount},
    },
    platform::{Platform, idempotency::Once},
    web::{
        extract::{self, Form, Query, path_id},
        guard::Guard,
        page::{self, PageFrame},
        parts::Field,
        problem::Problem,
        route::{Route, get, post},
    },
};

pub fn routes() -> Vec<Route> {
    vec![
        get("/admin/caps", caps_page),
        post("/admin/caps", save_caps),
        post("/admin/caps/{id}/refill", refill_from_page),
        post("/admin/caps/{id}/delete", delete_from_page),
    ]
}

/// The whole state of the page is its address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    /// `organisation`, `default`, or the id of a workspace or person.
    open: Option<String>,
    ask: Option<Question>,
    /// Which cap the question is about.
    cap: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Question {
    New,
    Refill,
    Delete,
}

async fn caps_page(guard: Guard<CapsRead>, address: Query<Address>, frame: PageFrame) -> Result<HttpResponse, Problem> {
    let Guard { ctx, app, .. } = &guard;
    let grant = guard.grant()?;
    let address = address.value;
    let desk = Desk::open(ctx, app, &grant).await?;
    let open = address.open.as_deref().map(|open| desk.subject(open).ok_or(NotFound)).transpose()?;
    let sheet = match open {
        Some(subject) => Some(sheet(&guard.ctx, app, &grant, &desk, subject, None).await?),
        None => None,
    };
    let ask = match address.ask {
        Some(Question::New) => Some(CapsAsk::New(show::new_cap(&desk, &desk::people_without(ctx, app, &desk).await?))),
        Some(Question::Refill) => {
            let id: CapId = path_id(address.cap.as_deref().unwrap_or_default())?;
            let about = (open.ok_or(NotFound)?, id);
            Some(refill_dialog(ctx, app, &desk, about, [Field::default(), Field::default()]).await?)
        }
        Some(Question::Delete) => {
            let id: CapId = path_id(address.cap.as_deref().unwrap_or_default())?;
            Some(CapsAsk::Delete(show::deletion(&desk, &ops::find_cap(app, &grant, id).await?)))
        }
        None => None,
    };
    page::ok(&show::page(frame, &desk, open, sheet, ask))
}

async fn sheet(
    ctx: &Ctx,
    app: &Platform,
    grant: &Grant<CapsRead>,
    desk: &Desk,
    subject: Subject,
    typed: Option<&Typed>,
) -> Result<CapSheet, Problem> {
    let name = desk::name_of(app, desk, subject).await?;
    let counted = counted(ctx, app, grant, subject).await?;
    Ok(show::sheet(desk, subject, &name, &counted, typed))
}

async fn counted(ctx: &Ctx, app: &Platform, grant: &Grant<CapsRead>, subject: Subject) -> Result<Counted, LedgerError> {
    let sums = ops::counted(ctx, app, grant, subject).await?;
    Ok(Counted { sums, warnings: ops::warnings(ctx, app, grant, subject).await? })
}

/// The dialog that adds to the cap that counts for this subject.
async fn refill_dialog(
    ctx: &Ctx,
    app: &Platform,
    desk: &Desk,
    (subject, id): (Subject, CapId),
    fields: [Field; 2],
) -> Result<CapsAsk, Problem> {
    let counted = counted(ctx, app, &ctx.grant()?, subject).await?;
    let standing = counted
        .sums
        .iter()
        .filter_map(|(period, sums)| show::in_force(desk, subject, *period, Some(*sums)))
        .find(|(cap, _)| cap.id == id);
    let name = desk::name_of(app, desk, subject).await?;
    Ok(CapsAsk::Refill(show::refill(desk, subject, &name, &standing.ok_or(NotFound)?, fields)))
}

/// The three amounts of one subject. An empty one is no cap for that period.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CapsForm {
    scope: Scope,
    /// Empty: the organisation, or the default of each person. A form that does not say it changes nothing.
    subject: String,
    day: String,
    month: String,
    total: String,
}

impl CapsForm {
    fn amounts(&self) -> [(Period, &str); 3] {
        [(Period::Day, &self.day), (Period::Month, &self.month), (Period::Total, &self.total)]
            .map(|(period, text)| (period, text.trim()))
    }

    fn limits(&self, currency: Currency) -> Result<Vec<(Period, Option<Money>)>, Typed> {
        let read = |(period, text): (Period, &str)| match text {
            "" => Ok((period, None)),
            text => text.parse::<Micros>().map(|micros| (period, Some(Money::new(micros, currency)))),
        };
        let all = self.amounts().map(read);
        if all.iter().all(Result::is_ok) {
            return Ok(all.into_iter().flatten().collect());
        }
        let fault = |result: &Result<_, NotAnAmount>| result.as_ref().err().map(ToString::to_string);
        let typed = self.amounts().into_iter().zip(all.iter().map(fault));
        Err(Typed(typed.map(|((period, text), fault)| (period, text.to_owned(), fault)).collect()))
    }
}

async fn save_caps(guard: Guard<CapsEdit>, form: Form<CapsForm>, frame: PageFrame) -> Result<HttpResponse, Problem> {
    let Guard { ctx, app, .. } = &guard;
    let grant = ctx.grant::<CapsRead>()?;
    let desk = Desk::open(ctx, app, &grant).await?;
    let subject = desk
        .subject_of(form.0.scope, &form.0.subject)
        .ok_or_else(|| Problem::from(Invalid::field("subject", "unknown", "Choose whom the cap is for.")))?;
    match form.0.limits(desk.organisation.currency) {
        Ok(limits) => {
            ops::set_caps(ctx, app, subject, &limits).await?;
            Ok(page::see_other(&desk.address(subject)))
        }
        Err(typed) => {
            let sheet = sheet(ctx, app, &grant, &desk, subject, Some(&typed)).await?;
            page::html(StatusCode::UNPROCESSABLE_ENTITY, &show::page(frame, &desk, Some(subject), Some(sheet), None))
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefillForm {
    /// Whose window, where the cap is the default of each person; else empty.
    person: String,
    amount: String,
    reason: String,
}

async fn refill_from_page(
    guard: Guard<CapsEdit>,
    id: web::Path<String>,
    form: Form<RefillForm>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let Guard { ctx, app, .. } = &guard;
    let grant = ctx.grant::<CapsRead>()?;
    let RefillForm { person, amount, reason } = form.0;
    let id: CapId = path_id(&id)?;
    let cap = ops::find_cap(app, &grant, id).await?;
    let person: Option<PersonId> = if person.is_empty() { None } else { Some(path_id(&person)?) };
    let subject = person.map_or(cap.subject, Subject::Person);
    let desk = Desk::open(ctx, app, &grant).await?;
    let faults: [Option<String>; 2] = match amount.parse::<Micros>() {
        Err(fault) => [Some(fault.to_string()), None],
        Ok(micros) => {
            let amount = Money::new(micros, desk.organisation.currency);
            let refill = ops::Refill { cap: id, person, amount, reason: &reason };
            let render = |state: &CapState| extract::first_answer(StatusCode::OK, None, state);
            match ops::refill_cap(ctx, app, &refill, &Once::unkeyed(), render).await {
                Ok(_) => return Ok(page::see_other(&desk.address(subject))),
                Err(LedgerError::Invalid(Invalid(faults))) => {
                    let of =
                        |name: &str| faults.iter().find(|fault| fault.name == name).map(|fault| fault.message.clone());
                    let (amount, reason) = (of("amount.micros"), of("reason"));
                    // What is wrong with neither is wrong with the cap.
                    let rest = faults.first().map(|fault| fault.message.clone()).filter(|_| reason.is_none());
                    [amount.or(rest), reason]
                }
                Err(other) => return Err(other.into()),
            }
        }
    };
    let [of_amount, of_reason] = faults;
    let fields = [Field { value: amount, error: of_amount }, Field { value: reason, error: of_reason }];
    let ask = refill_dialog(ctx, app, &desk, (subject, id), fields).await?;
    let sheet = sheet(ctx, app, &grant, &desk, subject, None).await?;
    page::html(StatusCode::UNPROCESSABLE_ENTITY, &show::page(frame, &desk, Some(subject), Some(sheet), Some(ask)))
}

/// A form that says everything with its address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn delete_from_page(
    guard: Guard<CapsEdit>,
    id: web::Path<String>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Problem> {
    match ops::delete_cap(&guard.ctx, &guard.app, path_id(&id)?).await {
        // Somebody else was faster; it is gone, which is what was asked for.
        Ok(()) | Err(LedgerError::NotFound(_)) => Ok(page::see_other("/admin/caps")),
        Err(other) => Err(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(day: &str, month: &str, total: &str) -> CapsForm {
        let [day, month, total] = [day, month, total].map(str::to_owned);
        CapsForm { scope: Scope::Organisation, subject: String::new(), day, month, total }
    }

    #[test]
    fn empty_fields_are_no_caps_and_a_wrong_one_comes_back_with_its_fault() {
        let euro: Currency = "EUR".parse().unwrap();
        let limits = form("", " 20.5 ", "0").limits(euro).unwrap();
        let money = |micros| Some(Money::new(Micros(micros), euro));
        assert_eq!(limits, [(Period::Day, None), (Period::Month, money(20_500_000)), (Period::Total, money(0))]);
        let Typed(typed) = form("20", "-5", "ten").limits(euro).unwrap_err();
        let faults: Vec<_> = typed.iter().map(|(_, text, fault)| (text.as_str(), fault.is_some())).collect();
        assert_eq!(faults, [("20", false), ("-5", true), ("ten", true)]);
    }
}
