//! The People page: everybody with what they have spent this month, one of them beside the list, and the dialogs.

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;

use super::address;
use crate::{
    accounts::{
        model::{Mail, Name, PeopleFilter, Session},
        ops as accounts,
        pages::browser,
    },
    base::{
        access::{PeopleEdit, PeopleRead, Role},
        ctx::Ctx,
        error::{FieldFault, Invalid},
        ids::PersonId,
        money::{Micros, Money},
    },
    ledger::{
        self,
        model::{CapState, Subject},
        ops::Spending,
    },
    organisation::{
        OrganisationError,
        model::{MadePerson as Made, Member, NewPerson},
        ops as organisation,
        pages::views::{
            AddPerson, Deactivation, MadePerson, PeopleAsk, PeoplePage, PersonRow, PersonSession, PersonSheet,
        },
    },
    platform::{Platform, idempotency::Once},
    web::{
        extract::{Form, Query, first_answer, path_id},
        format::{self, Pager, When},
        frame::{Place, initials},
        guard::Guard,
        page::{self, PageFrame},
        parts::{AdminPlace, Choice, Field, Meter, hue},
        problem::Problem,
    },
};

const PEOPLE: &str = "/admin/people";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Look {
    state: State,
    q: String,
    open: String,
    ask: Option<Ask>,
    cursor: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    #[default]
    Active,
    Deactivated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ask {
    Add,
    Deactivate,
}

impl Look {
    /// The address of this list with somebody or something open in it.
    fn with(&self, open: &str, ask: &str, cursor: &str) -> String {
        let state = if self.state == State::Deactivated { "deactivated" } else { "" };
        address(PEOPLE, &[("state", state), ("q", &self.q), ("open", open), ("ask", ask), ("cursor", cursor)])
    }

    fn here(&self, open: &str, ask: &str) -> String {
        self.with(open, ask, self.cursor.as_deref().unwrap_or_default())
    }

    fn filter(&self) -> PeopleFilter {
        let search = Some(self.q.clone()).filter(|words| !words.is_empty());
        PeopleFilter { mail: None, active: Some(self.state == State::Active), search }
    }
}

pub async fn people_page(
    guard: Guard<PeopleRead>,
    query: Query<Look>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let keys = &guard.app.keys;
    let look = query.value.clone();
    let page = query.page(keys, PEOPLE, None, look.cursor.as_deref())?;
    let people = organisation::list_people(&guard.ctx, &guard.app, &look.filter(), &page).await?;
    let older = query.list(keys, PEOPLE, people.clone()).next_cursor;
    let desk = Desk { ctx: &guard.ctx, app: &guard.app, look: &look };
    let mut view = desk.view(frame, &people.items, older).await?;
    view.ask = desk.ask(view.sheet.as_ref());
    page::ok(&view)
}

/// What every part of the page is made from.
struct Desk<'a> {
    ctx: &'a Ctx,
    app: &'a Platform,
    look: &'a Look,
}

impl Desk<'_> {
    async fn view(&self, frame: PageFrame, people: &[Member], older: Option<String>) -> Result<PeoplePage, Problem> {
        let look = self.look;
        let grant = self.ctx.grant::<PeopleRead>()?;
        let (active, deactivated) = accounts::counts(&mut *self.app.db.read().await?, &grant).await?;
        let sheet = match look.open.is_empty() {
            true => None,
            false => Some(self.sheet(path_id(&look.open)?).await?),
        };
        Ok(PeoplePage {
            frame: frame.titled("People", Place::Admin),
            here: AdminPlace::People,
            active: u64::try_from(active).unwrap_or(0),
            deactivated: u64::try_from(deactivated).unwrap_or(0),
            showing_deactivated: look.state == State::Deactivated,
            query: look.q.clone(),
            people: self.rows(people).await?,
            pager: Pager {
                range: String::new(),
                newer: look.cursor.as_ref().map(|_| look.with("", "", "")),
                older: older.map(|cursor| look.with("", "", &cursor)),
            },
            list: look.here("", ""),
            add: look.here("", "add"),
            sheet,
            ask: None,
            made: None,
        })
    }

    async fn rows(&self, people: &[Member]) -> Result<Vec<PersonRow>, Problem> {
        let subjects: Vec<Subject> = people.iter().map(|member| Subject::Person(member.person.id)).collect();
        let mut conn = self.app.db.read().await?;
        let spending = ledger::ops::this_month(&mut conn, self.ctx, &subjects).await?;
        Ok(people.iter().zip(spending).map(|(member, spending)| self.row(member, &spending)).collect())
    }

    fn row(&self, member: &Member, spending: &Spending) -> PersonRow {
        let person = &member.person;
        let id = person.id.to_string();
        PersonRow {
            name: person.name.clone(),
            mail: person.mail.clone(),
            initials: initials(&person.name),
            hue: hue(&id),
            role: role(member.role()).to_owned(),
            owner: member.role() == Role::Owner,
            invited: person.must_change_password,
            deactivated: person.deactivated_at.is_some(),
            spent: self.spent(spending),
            meter: spending.cap.as_ref().map(meter),
            seen: person.last_seen_at.map(|at| When::new(at, self.ctx.clock.now())),
            href: self.look.here(&id, ""),
            open: self.look.open == id,
            id,
        }
    }

    fn spent(&self, spending: &Spending) -> String {
        match &spending.cap {
            Some(cap) => format!("{} of {}", money(cap.spent), money(cap.limit)),
            None => self.amount(spending.spent),
        }
    }

    fn amount(&self, micros: Micros) -> String {
        money(Money::new(micros, self.app.config.organisation.currency))
    }

    async fn sheet(&self, id: PersonId) -> Result<PersonSheet, Problem> {
        let (ctx, app) = (self.ctx, self.app);
        let grant = ctx.grant::<PeopleRead>()?;
        let member = organisation::find_person(ctx, app, id).await?;
        let sessions = accounts::sessions_of(ctx, app, &grant, id).await?;
        let tokens = accounts::tokens_of(ctx, app, &grant, id).await?;
        let subject = [Subject::Person(id)];
        let spending = ledger::ops::this_month(&mut *app.db.read().await?, ctx, &subject).await?;
        let spending = spending.into_iter().next().unwrap_or(Spending { spent: Micros::ZERO, cap: None });
        let now = ctx.clock.now();
        let (person, text) = (&member.person, id.to_string());
        let refill = spending.cap.as_ref().and_then(|cap| cap.refills_at);
        Ok(PersonSheet {
            name: person.name.clone(),
            mail: person.mail.clone(),
            role: role(member.role()).to_owned(),
            since: When::new(person.created_at, now),
            seen: person.last_seen_at.map(|at| When::new(at, now)),
            invited: person.must_change_password,
            deactivated: person.deactivated_at.map(|at| When::new(at, now)),
            oneself: ctx.acting()?.person == id,
            left: spending.cap.as_ref().map(|cap| format!("{} left", money(cap.left))),
            spent: self.spent(&spending),
            meter: spending.cap.as_ref().map(meter),
            refill: refill.map(|at| at.0.format("Refills on %-d %B.").to_string()).unwrap_or_default(),
            sessions: sessions.iter().map(|session| self.session(session)).collect(),
            tokens: u64::try_from(tokens).unwrap_or(0),
            ask_deactivate: self.look.here(&text, "deactivate"),
            egress: address("/admin/egress", &[("person", &text)]),
            audit: address("/admin/audit", &[("actor", &text)]),
            caps: "/admin/caps".to_owned(),
            id: text,
        })
    }

    fn session(&self, session: &Session) -> PersonSession {
        let seen = When::new(session.last_seen_at, self.ctx.clock.now());
        PersonSession { browser: browser(&session.user_agent), seen }
    }

    fn ask(&self, sheet: Option<&PersonSheet>) -> Option<PeopleAsk> {
        match (self.look.ask?, sheet) {
            (Ask::Add, _) => Some(PeopleAsk::Add(form(Field::default(), Field::default(), Role::Member))),
            (Ask::Deactivate, Some(sheet)) if !sheet.oneself && sheet.deactivated.is_none() => {
                Some(PeopleAsk::Deactivate(self.deactivation(sheet)))
            }
            (Ask::Deactivate, _) => None,
        }
    }

    fn deactivation(&self, sheet: &PersonSheet) -> Deactivation {
        let sessions = u64::try_from(sheet.sessions.len()).unwrap_or(0);
        Deactivation {
            id: sheet.id.clone(),
            name: sheet.name.clone(),
            ends: format!("{}, {}", format::plural(sessions, "session"), format::plural(sheet.tokens, "API token")),
            goes_on: "Work that was accepted, to its end".to_owned(),
            stays: "Every picture, and every posting".to_owned(),
            back: self.look.here(&sheet.id, ""),
        }
    }
}

fn money(money: Money) -> String {
    format::money(money.micros.0, money.currency.as_str())
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Owner => "Owner",
        Role::Member => "Member",
    }
}

/// How much of a cap is used or set aside.
pub(super) fn meter(cap: &CapState) -> Meter {
    let (limit, left) = (i128::from(cap.limit.micros.0), i128::from(cap.left.micros.0));
    Meter::of(limit - left, limit)
}

fn form(name: Field, mail: Field, chosen: Role) -> AddPerson {
    let choice = |of: Role| Choice::new(of.as_str(), role(of), chosen.as_str());
    AddPerson { name, mail, roles: vec![choice(Role::Member), choice(Role::Owner)] }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddForm {
    name: String,
    mail: String,
    role: Role,
}

impl AddForm {
    /// All faults at once, so that the form is corrected once.
    fn parse(&self) -> Result<NewPerson, Invalid> {
        match (self.mail.parse::<Mail>(), self.name.parse::<Name>()) {
            (Ok(mail), Ok(name)) => Ok(NewPerson { mail, name, role: self.role }),
            (mail, name) => Err(Invalid(mail.err().into_iter().chain(name.err()).collect())),
        }
    }

    fn again(&self, faults: &[FieldFault]) -> PeopleAsk {
        let field = |name: &str, value: &str| {
            let fault = faults.iter().find(|fault| fault.name == name);
            Field { value: value.to_owned(), error: fault.map(|fault| fault.message.clone()) }
        };
        PeopleAsk::Add(form(field("name", &self.name), field("mail", &self.mail), self.role))
    }
}

pub async fn add_person(
    guard: Guard<PeopleEdit>,
    form: Form<AddForm>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let (status, made, ask) = match add(&guard, &form.0).await {
        Ok(made) => (StatusCode::OK, Some(made), None),
        Err(error) => {
            let faults = crate::base::error::Fault::fields(&error);
            if faults.is_empty() {
                return Err(error.into());
            }
            (StatusCode::UNPROCESSABLE_ENTITY, None, Some(form.0.again(&faults)))
        }
    };
    let view = plain_list(&guard, frame).await?;
    page::html(status, &PeoplePage { made, ask, ..view })
}

async fn add(guard: &Guard<PeopleEdit>, form: &AddForm) -> Result<MadePerson, OrganisationError> {
    let mut shown = None;
    let answer = |made: &Made| {
        shown = Some(MadePerson {
            name: made.member.person.name.clone(),
            mail: made.member.person.mail.clone(),
            one_time_password: made.one_time_password.clone(),
        });
        first_answer(StatusCode::OK, None, &())
    };
    organisation::add_person(&guard.ctx, &guard.app, form.parse()?, &Once::unkeyed(), answer).await?;
    shown.ok_or_else(|| crate::base::error::NotFound.into())
}

/// The list as it is without filters, for pages that answer a form.
async fn plain_list(guard: &Guard<PeopleEdit>, frame: PageFrame) -> Result<PeoplePage, Problem> {
    let look = Look::default();
    let first = crate::base::paging::PageRequest::first(crate::base::paging::USUAL);
    let people = organisation::list_people(&guard.ctx, &guard.app, &look.filter(), &first).await?;
    let desk = Desk { ctx: &guard.ctx, app: &guard.app, look: &look };
    desk.view(frame, &people.items, None).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

pub async fn give_one_time_password(
    guard: Guard<PeopleEdit>,
    id: web::Path<String>,
    _form: Form<Nothing>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&id)?;
    let one_time = accounts::give_one_time_password(&guard.ctx, &guard.app, id).await?;
    let member = organisation::find_person(&guard.ctx, &guard.app, id).await?;
    let made = MadePerson { name: member.person.name, mail: member.person.mail, one_time_password: one_time.password };
    let view = plain_list(&guard, frame).await?;
    page::ok(&PeoplePage { made: Some(made), ..view })
}
