//! Generations whose outcome nobody knows, with people's names, and the dialog that settles one.

use std::collections::HashMap;

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;

use super::address;
use crate::{
    accounts::ops as accounts,
    base::{
        access::GenerationsResolve,
        error::{Fault, FieldFault, Invalid},
        ids::{GenerationId, PersonId},
        money::{Currency, Micros, Money, NotAnAmount},
        paging::{Page, PageRequest, USUAL},
    },
    console::pages::views::{Settlement, UnknownPage, UnknownRow},
    inference::{self, model::Offer},
    studio::{self, error::StudioError, ops::Lost},
    web::{
        errors::{Act, ErrorPage},
        extract::{Form, Query, path_id},
        format::{self, Pager, When},
        frame::{Flash, Place, Tone},
        guard::Guard,
        page::{self, PageFrame},
        parts::{AdminPlace, Field},
        problem::Problem,
    },
};

pub const UNKNOWN: &str = "/admin/unknown";
/// More than was set aside: a provider may bill that, and a slip of the keyboard may look like it.
const ABOVE_HOLD: &str = "above_hold";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Look {
    /// The generation that the dialog is about.
    settle: String,
    cursor: Option<String>,
}

pub async fn unknown_page(
    guard: Guard<GenerationsResolve>,
    query: Query<Look>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let look = &query.value;
    let page = query.page(&guard.app.keys, UNKNOWN, None, look.cursor.as_deref())?;
    let lost = studio::ops::lost(&mut *guard.app.db.read().await?, &guard.grant()?, &page).await?;
    let older = query.list(&guard.app.keys, UNKNOWN, lost.clone()).next_cursor;
    let pager = Pager {
        range: String::new(),
        newer: look.cursor.as_ref().map(|_| UNKNOWN.to_owned()),
        older: older.map(|cursor| address(UNKNOWN, &[("cursor", &cursor)])),
    };
    let ask = match look.settle.as_str() {
        "" => None,
        id => match ask(&guard, path_id(id)?, &SettleForm::default(), &[]).await? {
            Some(ask) => Some(ask),
            // The list that led here was older than that.
            None => {
                let flash =
                    Flash::new(Tone::Info, "This generation is not waiting to be settled. Nothing was changed.");
                return Ok(page::told(UNKNOWN, &flash));
            }
        },
    };
    let generations = rows(&guard, &lost).await?;
    page::ok(&view(frame, generations, pager, ask))
}

fn view(frame: PageFrame, generations: Vec<UnknownRow>, pager: Pager, ask: Option<Settlement>) -> UnknownPage {
    UnknownPage {
        frame: frame.titled("Unknown outcomes", Place::Admin),
        here: AdminPlace::Overview,
        generations,
        pager,
        ask,
    }
}

async fn rows(guard: &Guard<GenerationsResolve>, lost: &Page<Lost>) -> Result<Vec<UnknownRow>, Problem> {
    let people: Vec<PersonId> = lost.items.iter().map(|lost| lost.person).collect();
    let names: HashMap<_, _> =
        accounts::named(&mut *guard.app.db.read().await?, &guard.app.keys, &people).await?.into_iter().collect();
    let offers = inference::ops::all_models(&guard.app, &guard.ctx.grant()?).await?;
    Ok(lost.items.iter().map(|lost| row(guard, lost, &names, &offers)).collect())
}

fn row(
    guard: &Guard<GenerationsResolve>,
    lost: &Lost,
    names: &HashMap<PersonId, String>,
    offers: &[Offer],
) -> UnknownRow {
    let id = lost.id.to_string();
    // A model that was removed since is named as programs name it.
    let offer = offers.iter().find(|offer| offer.model.id == lost.model);
    let model = offer.map_or(&lost.model, |offer| &offer.model.title);
    let provider = offer.map_or(&lost.provider, |offer| &offer.provider.title);
    UnknownRow {
        what: format!("{model}, {}", format::plural(u64::from(lost.count), "picture")),
        provider: provider.clone(),
        person: names.get(&lost.person).cloned().unwrap_or_else(|| lost.person.to_string()),
        sent: When::new(lost.sent_at, guard.ctx.clock.now()),
        held: format::money(lost.held.0, currency(guard).as_str()),
        href: address(UNKNOWN, &[("settle", &id)]),
        calls: address("/admin/egress", &[("person", &lost.person.to_string())]),
    }
}

fn currency(guard: &Guard<GenerationsResolve>) -> Currency {
    guard.app.config.organisation.currency
}

async fn ask(
    guard: &Guard<GenerationsResolve>,
    id: GenerationId,
    typed: &SettleForm,
    faults: &[FieldFault],
) -> Result<Option<Settlement>, Problem> {
    let found = studio::ops::find_lost(&mut *guard.app.db.read().await?, &guard.grant()?, id).await?;
    let lost = Page { items: found.into_iter().collect(), next: None };
    let Some(row) = rows(guard, &lost).await?.pop() else { return Ok(None) };
    let field = |name: &str, value: &str| {
        let fault = faults.iter().find(|fault| fault.name == name);
        Field { value: value.to_owned(), error: fault.map(|fault| fault.message.clone()) }
    };
    Ok(Some(Settlement {
        id: id.to_string(),
        billing: field("billing", typed.billing.map_or("", Billing::word)),
        amount: field("charged.micros", &typed.amount),
        sure: if faults.iter().any(|fault| fault.code == ABOVE_HOLD) { typed.amount.clone() } else { String::new() },
        reason: field("reason", &typed.reason),
        currency: currency(guard).to_string(),
        back: UNKNOWN.to_owned(),
        row,
    }))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettleForm {
    /// Nothing is meant by leaving it out: it cannot be undone.
    #[serde(default)]
    billing: Option<Billing>,
    amount: String,
    reason: String,
    /// The amount, once it was asked about.
    #[serde(default)]
    sure: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Billing {
    Nothing,
    Billed,
}

impl Billing {
    fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Billed => "billed",
        }
    }
}

impl SettleForm {
    fn charged(&self, currency: Currency) -> Result<Money, Invalid> {
        let wrong = |fault: NotAnAmount| match fault {
            NotAnAmount::TooLarge => Invalid::field("charged.micros", "out_of_range", "The most is 1,000,000."),
            _ => Invalid::field("charged.micros", "malformed", "Write an amount such as 0.04, with up to six places."),
        };
        let micros = match self.billing {
            None => return Err(Invalid::field("billing", "required", "Say whether the provider billed it.")),
            Some(Billing::Nothing) => Micros::ZERO,
            Some(Billing::Billed) => self.amount.parse::<Micros>().map_err(wrong)?,
        };
        Ok(Money::new(micros, currency))
    }
}

/// What is to be charged. Above what was set aside it must be said twice.
async fn meant(
    guard: &Guard<GenerationsResolve>,
    id: GenerationId,
    form: &SettleForm,
) -> Result<Result<Money, Invalid>, Problem> {
    let charged = match form.charged(currency(guard)) {
        Ok(charged) => charged,
        Err(invalid) => return Ok(Err(invalid)),
    };
    let lost = studio::ops::find_lost(&mut *guard.app.db.read().await?, &guard.grant()?, id).await?;
    Ok(match lost {
        Some(lost) if charged.micros > lost.held && form.sure != form.amount => {
            let money = |micros: Micros| format::money(micros.0, charged.currency.as_str());
            let (charged, held) = (money(charged.micros), money(lost.held));
            let message =
                format!("{charged} is more than the {held} that were set aside. If it is right, settle again.");
            Err(Invalid::field("charged.micros", ABOVE_HOLD, message))
        }
        _ => Ok(charged),
    })
}

pub async fn settle(
    guard: Guard<GenerationsResolve>,
    id: web::Path<String>,
    form: Form<SettleForm>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let id: GenerationId = path_id(&id)?;
    let settled = match meant(&guard, id, &form.0).await? {
        Ok(charged) => studio::ops::resolve(&guard.ctx, &guard.app, id, charged, &form.0.reason).await.map(drop),
        Err(invalid) => Err(StudioError::from(invalid)),
    };
    let error = match settled {
        Ok(()) => return Ok(page::see_other(UNKNOWN)),
        Err(StudioError::NotUnknown) => return settled_already(&guard, frame),
        Err(error) => error,
    };
    let faults = error.fields();
    if faults.is_empty() {
        return Err(error.into());
    }
    let Some(ask) = ask(&guard, id, &form.0, &faults).await? else { return settled_already(&guard, frame) };
    let lost = studio::ops::lost(&mut *guard.app.db.read().await?, &guard.grant()?, &PageRequest::first(USUAL)).await?;
    let generations = rows(&guard, &lost).await?;
    page::html(StatusCode::UNPROCESSABLE_ENTITY, &view(frame, generations, Pager::default(), Some(ask)))
}

/// A form that was refused stays at the address that took it. Whoever comes back there gets the dialog anew.
pub async fn settle_again(_guard: Guard<GenerationsResolve>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let id: GenerationId = path_id(&id)?;
    Ok(page::see_other(&address(UNKNOWN, &[("settle", &id.to_string())])))
}

/// Of two who settle the same generation the first is heard.
fn settled_already(guard: &Guard<GenerationsResolve>, frame: PageFrame) -> Result<HttpResponse, Problem> {
    let status = StatusCode::CONFLICT;
    let text = "Another owner settled it meanwhile, or you did in another window. Nothing was changed now; the audit log says what was settled and by whom.";
    let frame = frame.titled("Settled already", Place::Admin);
    let told = ErrorPage::other(frame, status.as_u16(), "This is settled already", text, guard.ctx.request.as_str());
    let acts = vec![Act::new("/admin", "Back to the overview"), Act::new(UNKNOWN, "What is still unknown")];
    page::html(status, &ErrorPage { acts, ..told })
}
