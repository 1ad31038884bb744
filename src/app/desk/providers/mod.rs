//! The page of providers and models: where a prompt may go, and what it costs.

use std::collections::HashMap;

use actix_web::HttpResponse;
use serde::Deserialize;

use super::address;
use crate::{
    base::{
        access::{EgressRead, ProvidersRead},
        ctx::Ctx,
        error::NotFound,
        ids::ProviderId,
        money::{Currency, Micros},
        paging::PageRequest,
    },
    inference::{
        model::{Model, Offer, ProviderKind, Task},
        ops::{self, ProviderView},
        pages::views::{
            Connection, Destination, ModelForm, ModelRow, ProviderRow, ProviderSheet, ProviderState, ProvidersAsk,
            ProvidersPage, Removal,
        },
        price::{PriceCard, Unit},
    },
    ledger,
    platform::{
        Platform,
        egress::ledger::{self as egress, Filter, Outcome},
    },
    web::{
        extract::{Query, path_id},
        format,
        frame::Place,
        guard::Guard,
        page::{self, PageFrame},
        parts::{AdminPlace, Choice, Field},
        problem::Problem,
    },
};

mod acts;
mod forms;

pub use acts::{
    add_provider, change_provider, put_model, remove_provider, switch_model, switch_provider, test_provider,
};

pub const PROVIDERS: &str = "/admin/providers";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Look {
    open: String,
    ask: Option<Ask>,
    /// The model that a dialog is about; empty for a new one.
    model: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ask {
    Add,
    Model,
    Remove,
}

/// The address of the page with something open in it.
fn at(open: &str, ask: &str, model: &str) -> String {
    address(PROVIDERS, &[("open", open), ("ask", ask), ("model", model)])
}

pub async fn providers_page(
    guard: Guard<ProvidersRead>,
    query: Query<Look>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let desk = Desk::open(&guard.ctx, &guard.app).await?;
    let look = &query.value;
    let open = if look.open.is_empty() { None } else { Some(path_id::<crate::base::ids::ProviderKind>(&look.open)?) };
    let ask = desk.ask(look, open)?;
    page::ok(&desk.view(frame, open, ask).await?)
}

/// What every part of the page is made from.
struct Desk<'a> {
    ctx: &'a Ctx,
    app: &'a Platform,
    providers: Vec<ProviderView>,
    offers: Vec<Offer>,
    spent: HashMap<ProviderId, Micros>,
    currency: Currency,
}

impl<'a> Desk<'a> {
    async fn open(ctx: &'a Ctx, app: &'a Platform) -> Result<Self, Problem> {
        let grant = ctx.grant::<ProvidersRead>()?;
        Ok(Self {
            ctx,
            app,
            providers: ops::list_providers(app, &grant).await?,
            offers: ops::all_models(app, &grant).await?,
            spent: ledger::ops::spent_with_providers(&mut *app.db.read().await?, ctx).await?.into_iter().collect(),
            currency: app.config.organisation.currency,
        })
    }

    async fn view(
        &self,
        frame: PageFrame,
        open: Option<ProviderId>,
        ask: Option<ProvidersAsk>,
    ) -> Result<ProvidersPage, Problem> {
        let mut rows = Vec::new();
        for view in &self.providers {
            rows.push(self.row(view, open).await?);
        }
        let sheet = match open {
            Some(id) => Some(self.sheet(self.find(id)?).await?),
            None => None,
        };
        Ok(ProvidersPage {
            frame: frame.titled("Providers and models", Place::Admin),
            here: AdminPlace::Providers,
            about: self.about(),
            providers: rows,
            sheet,
            ask,
            currency: self.currency.to_string(),
        })
    }

    fn find(&self, id: ProviderId) -> Result<&ProviderView, NotFound> {
        self.providers.iter().find(|view| view.provider.id == id).ok_or(NotFound)
    }

    fn about(&self) -> String {
        let off = self.providers.iter().filter(|view| !view.provider.enabled).count();
        let off = match off {
            0 => String::new(),
            1 => " One is off.".to_owned(),
            more => format!(" {more} are off."),
        };
        format!("Where a prompt may go, and what it costs.{off}")
    }

    fn models(&self, id: ProviderId) -> impl Iterator<Item = &Offer> {
        self.offers.iter().filter(move |offer| offer.provider.id == id)
    }

    fn models_on(&self, id: ProviderId) -> String {
        match (self.models(id).filter(|offer| offer.model.enabled).count(), self.models(id).count()) {
            (_, 0) => "None yet".to_owned(),
            (on, all) => format!("{on} of {all} on"),
        }
    }

    async fn row(&self, view: &ProviderView, open: Option<ProviderId>) -> Result<ProviderRow, Problem> {
        let id = view.provider.id;
        let spent = self.spent.get(&id).copied().unwrap_or_default();
        Ok(ProviderRow {
            name: view.provider.title.clone(),
            host: view.destination.as_ref().map_or_else(|| "built in".to_owned(), |place| place.name()),
            local: view.destination.as_ref().is_none_or(|place| place.local),
            models: self.models_on(id),
            spent: format::money(spent.0, self.currency.as_str()),
            state: self.state(view).await?,
            href: at(&id.to_string(), "", ""),
            open: open == Some(id),
        })
    }

    /// How the newest call there ended.
    async fn state(&self, view: &ProviderView) -> Result<ProviderState, Problem> {
        let Some(place) = &view.destination else {
            return Ok(if view.provider.enabled { ProviderState::Answers } else { ProviderState::Off });
        };
        if !view.provider.enabled || place.disabled_at.is_some() {
            return Ok(ProviderState::Off);
        }
        let filter = Filter { destination: Some(place.id), ..Filter::default() };
        let grant = self.ctx.grant::<EgressRead>()?;
        let newest = egress::list(&self.app.db, &grant, &filter, &PageRequest::first(1)).await?;
        Ok(match newest.items.first().map(|call| (call.outcome, call.status.unwrap_or(0))) {
            None => ProviderState::Untried,
            Some((Outcome::Answered, ..=399) | (Outcome::Open | Outcome::Cancelled, _)) => ProviderState::Answers,
            Some(_) => ProviderState::Failing,
        })
    }

    async fn sheet(&self, view: &ProviderView) -> Result<ProviderSheet, Problem> {
        let provider = &view.provider;
        let id = provider.id.to_string();
        let fixed = provider.managed;
        let since = provider.created_at.format("%-d %B %Y");
        let origin = if fixed && provider.kind == ProviderKind::OpenAi { ", set up in the configuration" } else { "" };
        Ok(ProviderSheet {
            name: provider.title.clone(),
            since: format!("Added {since}{origin}"),
            on: provider.enabled,
            connection: (!fixed).then(|| connection(view)),
            test: None,
            goes: self.goes(view).await?,
            models: self.models(provider.id).map(|offer| self.model(offer)).collect(),
            add_model: (!fixed).then(|| at(&id, "model", "")),
            calls: view.destination.as_ref().map_or_else(
                || "/admin/egress".to_owned(),
                |place| address("/admin/egress", &[("destination", &place.id.to_string())]),
            ),
            id,
        })
    }

    async fn goes(&self, view: &ProviderView) -> Result<Destination, Problem> {
        let Some(place) = &view.destination else {
            let nothing = || "Nothing".to_owned();
            let place = "This server: the painter is built in and needs no network".to_owned();
            return Ok(Destination { place, sent: nothing(), never: "Everything".to_owned(), left: nothing() });
        };
        let filter = Filter { destination: Some(place.id), ..Filter::default() };
        let shares = egress::shares(&self.app.db, &self.ctx.grant::<EgressRead>()?, &filter).await?;
        let bytes = shares.iter().map(|share| share.bytes_out).fold(0i64, i64::saturating_add);
        let side = if place.local { "in your house" } else { "outside your house" };
        Ok(Destination {
            place: format!("{}, {side}", place.name()),
            sent: "Prompt, parameters, reference pictures".to_owned(),
            never: "Names, mail addresses, file names".to_owned(),
            left: format::bytes(u64::try_from(bytes).unwrap_or(0)),
        })
    }

    fn model(&self, offer: &Offer) -> ModelRow {
        let model = &offer.model;
        ModelRow {
            id: model.id.clone(),
            title: model.title.clone(),
            about: about(model),
            price: self.price(offer.price.as_ref(), model),
            unpriced: offer.price.is_none(),
            on: model.enabled,
            edit: (!offer.provider.managed).then(|| at(&offer.provider.id.to_string(), "model", &model.id)),
        }
    }

    fn price(&self, card: Option<&PriceCard>, model: &Model) -> String {
        let Some(card) = card else { return "No price: cannot be used".to_owned() };
        match card.single(model.usual_size()) {
            Ok(single) if single.micros == Micros::ZERO => "Own hardware: free".to_owned(),
            Ok(single) => format!("{} a picture", format::money(single.micros.0, self.currency.as_str())),
            Err(_) => "Too large to be counted".to_owned(),
        }
    }

    fn ask(&self, look: &Look, open: Option<ProviderId>) -> Result<Option<ProvidersAsk>, NotFound> {
        Ok(match (look.ask, open) {
            (None, _) => None,
            (Some(Ask::Add), _) => Some(ProvidersAsk::Add(Connection::default())),
            (Some(_), None) => return Err(NotFound),
            (Some(Ask::Model), Some(id)) => Some(ProvidersAsk::Model(Box::new(self.model_form(id, &look.model)?))),
            (Some(Ask::Remove), Some(id)) => Some(ProvidersAsk::Remove(self.removal(self.find(id)?))),
        })
    }

    fn removal(&self, view: &ProviderView) -> Removal {
        let id = view.provider.id;
        let on = self.models(id).filter(|offer| offer.model.enabled).count();
        let all = u64::try_from(self.models(id).count()).unwrap_or(0);
        Removal {
            name: view.provider.title.clone(),
            models: format!("{}, {on} of them on", format::plural(all, "model")),
            running: "What waits or runs there may fail".to_owned(),
            back: at(&id.to_string(), "", ""),
            id: id.to_string(),
        }
    }

    /// The form of a model as it is, or of a new one.
    fn model_form(&self, provider: ProviderId, id: &str) -> Result<ModelForm, NotFound> {
        let view = self.find(provider)?;
        let back = at(&provider.to_string(), "", "");
        if id.is_empty() {
            return Ok(ModelForm {
                provider: provider.to_string(),
                existing: String::new(),
                id: Field::of(format!("{}/", view.provider.slug)),
                title: Field::default(),
                upstream: Field::default(),
                tasks: tasks(&[Task::TextToImage]),
                tasks_error: None,
                sizes: Field::of("1024x1024, 1536x1024, 1024x1536"),
                max_count: Field::of("4"),
                references: false,
                free: view.destination.as_ref().is_some_and(|place| place.local),
                price: Field::default(),
                back,
            });
        }
        let offer = self.models(provider).find(|offer| offer.model.id == id).ok_or(NotFound)?;
        let model = &offer.model;
        let sizes: Vec<String> = model.sizes.iter().map(ToString::to_string).collect();
        let single = offer.price.as_ref().and_then(per_image);
        Ok(ModelForm {
            provider: provider.to_string(),
            existing: model.id.clone(),
            id: Field::of(&model.id),
            title: Field::of(&model.title),
            upstream: Field::of(&model.upstream_name),
            tasks: tasks(&model.tasks),
            tasks_error: None,
            sizes: Field::of(sizes.join(", ")),
            max_count: Field::of(model.max_count.to_string()),
            references: model.max_references > 0,
            free: single == Some(Micros::ZERO),
            price: Field::of(single.filter(|micros| *micros != Micros::ZERO).map(Micros::decimal).unwrap_or_default()),
            back,
        })
    }
}

fn connection(view: &ProviderView) -> Connection {
    Connection {
        name: Field::of(&view.provider.title),
        base_url: Field::of(view.provider.base_url.clone().unwrap_or_default()),
        key_note: if view.provider.api_key.is_some() { "Kept sealed.".to_owned() } else { String::new() },
        key_error: None,
        local: view.destination.as_ref().is_some_and(|place| place.local),
        local_error: None,
    }
}

/// The price, if it is nothing but an amount for each picture.
fn per_image(card: &PriceCard) -> Option<Micros> {
    match card.components.as_slice() {
        [one] if one.unit == Unit::Image && one.when.is_empty() => Some(Micros(one.micros)),
        _ => None,
    }
}

fn tasks(chosen: &[Task]) -> Vec<Choice> {
    let label = |task| match task {
        Task::TextToImage => "Picture from text",
        Task::ImageToImage => "Picture from pictures",
        Task::Inpaint => "Repaint a part",
    };
    let choice = |task: Task| Choice {
        value: task.as_str().to_owned(),
        label: label(task).to_owned(),
        chosen: chosen.contains(&task),
    };
    Task::ALL.map(choice).to_vec()
}

/// "Generate, edit · 3 sizes · up to 4 at once · references"
fn about(model: &Model) -> String {
    let words = |task: &Task| match task {
        Task::TextToImage => "generate",
        Task::ImageToImage => "edit",
        Task::Inpaint => "repaint",
    };
    let tasks: Vec<_> = model.tasks.iter().map(words).collect();
    let sizes = format::plural(u64::try_from(model.sizes.len()).unwrap_or(0), "size");
    let references = if model.max_references > 0 { " · references" } else { "" };
    let mut text = format!("{} · {sizes} · up to {} at once{references}", tasks.join(", "), model.max_count);
    if let Some(first) = text.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    text
}
