//! The page of spend caps: the list, one subject's caps beside it, and the forms that set and delete them.

mod desk;
mod show;
pub mod views;

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;

use desk::Desk;
use show::Typed;
use views::{CapSheet, CapsAsk};

use super::{
    error::LedgerError,
    model::{Period, Scope, Subject},
    ops,
};
use crate::{
    base::{
        access::{CapsEdit, CapsRead, Grant},
        ctx::Ctx,
        error::{Invalid, NotFound},
        ids::CapId,
        money::{Currency, Micros, Money, NotAnAmount},
    },
    platform::Platform,
    web::{
        extract::{Form, Query, path_id},
        guard::Guard,
        page::{self, PageFrame},
        problem::Problem,
        route::{Route, get, post},
    },
};

pub fn routes() -> Vec<Route> {
    vec![
        get("/admin/caps", caps_page),
        post("/admin/caps", save_caps),
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
    let counted = ops::counted(ctx, app, grant, subject).await?;
    Ok(show::sheet(desk, subject, &name, &counted, typed))
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
