//! What the page of caps is made from: every cap with where it stands, and the names of those they are for.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::{
    accounts::{self, model::PeopleFilter},
    base::{
        access::{CapsRead, Grant, PeopleRead},
        ctx::Ctx,
        error::NotFound,
        ids::{PersonId, WorkspaceId},
        paging::PageRequest,
    },
    ledger::{
        error::LedgerError,
        model::{CapFilter, Period, Scope, Subject, Sums},
        ops::{self, Standing},
    },
    organisation::{self, model::Organisation},
    platform::Platform,
    web::problem::Problem,
};

/// As many as one page can show with sense.
const MOST: u32 = 1000;

pub struct Desk {
    pub organisation: Organisation,
    pub caps: Vec<Standing>,
    /// The organisation's own sums.
    pub counted: Vec<(Period, Sums)>,
    pub names: HashMap<PersonId, String>,
    pub workspaces: HashMap<WorkspaceId, String>,
    /// Active accounts.
    pub people: u64,
    pub now: DateTime<Utc>,
}

impl Desk {
    pub async fn open(ctx: &Ctx, app: &Platform, grant: &Grant<CapsRead>) -> Result<Self, Problem> {
        let people_grant = ctx.grant::<PeopleRead>()?;
        let caps = ops::list_caps(ctx, app, grant, &CapFilter::default(), &PageRequest::first(MOST)).await?.items;
        let conn = &mut app.db.read().await.map_err(LedgerError::from)?;
        let organisation = organisation::ops::organisation(conn).await?;
        let with_caps: Vec<PersonId> = caps.iter().filter_map(|(cap, _)| person(cap.subject)).collect();
        let names = accounts::ops::named(conn, &app.keys, &with_caps).await?.into_iter().collect();
        let workspaces = organisation::ops::workspaces_of(conn, grant.person()).await?;
        let (active, _) = accounts::ops::counts(conn, &people_grant).await?;
        let counted = ops::counted(ctx, app, grant, Subject::Organisation(organisation.id)).await?;
        Ok(Self {
            organisation,
            caps,
            counted,
            names,
            workspaces: workspaces.into_iter().map(|workspace| (workspace.id, workspace.name)).collect(),
            people: u64::try_from(active).unwrap_or_default(),
            now: ctx.clock.now(),
        })
    }

    /// Caps of one subject, by period.
    pub fn caps_of(&self, subject: Subject) -> Vec<&Standing> {
        let mut caps: Vec<_> = self.caps.iter().filter(|(cap, _)| cap.subject == subject).collect();
        caps.sort_by_key(|(cap, _)| cap.period);
        caps
    }

    pub fn cap(&self, subject: Subject, period: Period) -> Option<&Standing> {
        self.caps.iter().find(|(cap, _)| cap.subject == subject && cap.period == period)
    }

    /// Those who have a cap of their own.
    pub fn capped_people(&self) -> usize {
        let mut people: Vec<PersonId> = self.caps.iter().filter_map(|(cap, _)| person(cap.subject)).collect();
        people.sort();
        people.dedup();
        people.len()
    }

    /// The word in the page's address.
    pub fn word(&self, subject: Subject) -> String {
        match subject {
            Subject::Organisation(_) => "organisation".to_owned(),
            Subject::EachPerson => "default".to_owned(),
            Subject::Workspace(id) => id.to_string(),
            Subject::Person(id) => id.to_string(),
        }
    }

    pub fn address(&self, subject: Subject) -> String {
        format!("/admin/caps?open={}", self.word(subject))
    }

    pub fn subject(&self, word: &str) -> Option<Subject> {
        match word {
            "organisation" => Some(Subject::Organisation(self.organisation.id)),
            "default" => Some(Subject::EachPerson),
            id => self.subject_of(Scope::Person, id).or_else(|| self.subject_of(Scope::Workspace, id)),
        }
    }

    /// As a form says it: a scope, and an id or nothing.
    pub fn subject_of(&self, scope: Scope, id: &str) -> Option<Subject> {
        match (scope, id) {
            (Scope::Organisation, "") => Some(Subject::Organisation(self.organisation.id)),
            (Scope::Person, "") => Some(Subject::EachPerson),
            (Scope::Person, id) => id.parse().ok().map(Subject::Person),
            (Scope::Workspace, id) => id.parse().ok().map(Subject::Workspace),
            (Scope::Organisation, _) => None,
        }
    }
}

fn person(subject: Subject) -> Option<PersonId> {
    match subject {
        Subject::Person(id) => Some(id),
        Subject::Organisation(_) | Subject::Workspace(_) | Subject::EachPerson => None,
    }
}

pub fn name(desk: &Desk, subject: Subject) -> Option<String> {
    match subject {
        Subject::Organisation(_) => Some(desk.organisation.name.clone()),
        Subject::EachPerson => Some("Everybody else".to_owned()),
        Subject::Workspace(id) => desk.workspaces.get(&id).map(|name| format!("{name}, workspace")),
        Subject::Person(id) => desk.names.get(&id).cloned(),
    }
}

/// Also of somebody without a cap; whoever is not known is not there.
pub async fn name_of(app: &Platform, desk: &Desk, subject: Subject) -> Result<String, Problem> {
    if let Some(name) = name(desk, subject) {
        return Ok(name);
    }
    let id = person(subject).ok_or(NotFound)?;
    let conn = &mut app.db.read().await.map_err(LedgerError::from)?;
    let named = accounts::ops::named(conn, &app.keys, &[id]).await?;
    Ok(named.into_iter().next().map(|(_, name)| name).ok_or(NotFound)?)
}

/// Active people who have no cap of their own yet, by name.
pub async fn people_without(ctx: &Ctx, app: &Platform, desk: &Desk) -> Result<Vec<(PersonId, String)>, Problem> {
    let grant = ctx.grant::<PeopleRead>()?;
    let active = PeopleFilter { active: Some(true), ..PeopleFilter::default() };
    let conn = &mut app.db.read().await.map_err(LedgerError::from)?;
    let people = accounts::ops::list(conn, &app.keys, &grant, &active, &PageRequest::first(MOST)).await?;
    let without = people.items.into_iter().filter(|person| !desk.names.contains_key(&person.id));
    let mut without: Vec<_> = without.map(|person| (person.id, person.name)).collect();
    without.sort_by_key(|(_, name)| name.to_lowercase());
    Ok(without)
}
