//! The only file that names this room's tables.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::model::{Membership, Organisation, Workspace, WorkspaceRole};
use crate::{
    base::{
        access::Role,
        data_map::{Category, Column, OnDeletion, Retention, Table, Whose},
        ids::{OrganisationId, PersonId, WorkspaceId},
    },
    platform::db::{
        Conn, DbError, Tx,
        questions::Sealed,
        schema::{organisation_members, organisations, workspace_members, workspaces},
    },
};

pub async fn organisation(conn: &mut Conn) -> Result<Option<Organisation>, DbError> {
    let row: Option<(OrganisationId, String, String)> = organisations::table
        .select((organisations::id, organisations::name, organisations::currency))
        .first(conn)
        .await
        .optional()?;
    Ok(row.and_then(|(id, name, currency)| Some(Organisation { id, name, currency: currency.parse().ok()? })))
}

/// Holds the organisation's row, so that changes to who owns it happen one after the other.
pub async fn lock(tx: &mut Tx) -> Result<(), DbError> {
    let _: Vec<Uuid> = organisations::table.select(organisations::id).for_update().load(&mut **tx).await?;
    Ok(())
}

/// Of several servers that start together one founds the organisation, the others find it.
pub async fn lock_founding(tx: &mut Tx) -> Result<(), DbError> {
    diesel::sql_query("lock table organisations in share row exclusive mode").execute(&mut **tx).await?;
    Ok(())
}

pub async fn found(
    tx: &mut Tx,
    organisation: &Organisation,
    workspace: (WorkspaceId, &str),
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::insert_into(organisations::table)
        .values((
            organisations::id.eq(organisation.id),
            organisations::name.eq(&organisation.name),
            organisations::currency.eq(organisation.currency.as_str()),
            organisations::created_at.eq(at),
        ))
        .execute(&mut **tx)
        .await?;
    diesel::insert_into(workspaces::table)
        .values((
            workspaces::id.eq(workspace.0),
            workspaces::organisation_id.eq(organisation.id),
            workspaces::name.eq(workspace.1),
            workspaces::created_at.eq(at),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The workspace that everybody belongs to: the oldest.
pub async fn default_workspace(conn: &mut Conn) -> Result<Option<WorkspaceId>, DbError> {
    Ok(workspaces::table.order(workspaces::id).select(workspaces::id).first(conn).await.optional()?)
}

pub async fn has_workspace(conn: &mut Conn, id: WorkspaceId) -> Result<bool, DbError> {
    Ok(diesel::select(diesel::dsl::exists(workspaces::table.find(id))).get_result(conn).await?)
}

pub async fn join(
    tx: &mut Tx,
    person: PersonId,
    organisation: OrganisationId,
    role: Role,
    workspace: (WorkspaceId, WorkspaceRole),
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::insert_into(organisation_members::table)
        .values((
            organisation_members::organisation_id.eq(organisation),
            organisation_members::person_id.eq(person),
            organisation_members::role.eq(role.as_str()),
            organisation_members::created_at.eq(at),
        ))
        .execute(&mut **tx)
        .await?;
    diesel::insert_into(workspace_members::table)
        .values((
            workspace_members::workspace_id.eq(workspace.0),
            workspace_members::person_id.eq(person),
            workspace_members::role.eq(workspace.1.as_str()),
            workspace_members::created_at.eq(at),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub async fn membership(conn: &mut Conn, person: PersonId) -> Result<Option<Membership>, DbError> {
    let rows: Vec<(OrganisationId, String, WorkspaceId)> = organisation_members::table
        .inner_join(workspace_members::table.on(workspace_members::person_id.eq(organisation_members::person_id)))
        .filter(organisation_members::person_id.eq(person))
        .order(workspace_members::workspace_id)
        .select((organisation_members::organisation_id, organisation_members::role, workspace_members::workspace_id))
        .load(conn)
        .await?;
    let Some((organisation, _, workspace)) = rows.as_slice().first().cloned() else { return Ok(None) };
    let mut roles: Vec<Role> = rows.iter().filter_map(|(_, role, _)| role.parse().ok()).collect();
    roles.sort();
    roles.dedup();
    Ok(Some(Membership { organisation, workspace, roles }))
}

pub async fn workspaces_of(conn: &mut Conn, person: PersonId) -> Result<Vec<Workspace>, DbError> {
    let rows: Vec<(WorkspaceId, String, String)> = workspace_members::table
        .inner_join(workspaces::table)
        .filter(workspace_members::person_id.eq(person))
        .order(workspaces::id)
        .select((workspaces::id, workspaces::name, workspace_members::role))
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|(id, name, role)| Workspace { id, name, role: workspace_role(&role) }).collect())
}

fn workspace_role(word: &str) -> WorkspaceRole {
    match word {
        "manager" => WorkspaceRole::Manager,
        "editor" => WorkspaceRole::Editor,
        _ => WorkspaceRole::Viewer,
    }
}

pub async fn roles_of(conn: &mut Conn, people: &[PersonId]) -> Result<HashMap<PersonId, Vec<Role>>, DbError> {
    let rows: Vec<(PersonId, String)> = organisation_members::table
        .filter(organisation_members::person_id.eq_any(people))
        .select((organisation_members::person_id, organisation_members::role))
        .load(conn)
        .await?;
    let mut roles: HashMap<PersonId, Vec<Role>> = HashMap::new();
    for (person, role) in rows {
        roles.entry(person).or_default().extend(role.parse::<Role>());
    }
    Ok(roles)
}

/// Owners, the first one first.
pub async fn owners(conn: &mut Conn) -> Result<Vec<PersonId>, DbError> {
    let owners = organisation_members::table.filter(organisation_members::role.eq(Role::Owner.as_str()));
    let ordered = owners.order((organisation_members::created_at, organisation_members::person_id));
    Ok(ordered.select(organisation_members::person_id).load(conn).await?)
}

const fn of_organisation(name: &'static str) -> Column {
    let keep = OnDeletion::Keep("describes the organisation, not a person");
    let forever = Retention::Forever("there is one organisation per server");
    Column::new(name, Category::Operation, Whose::Organisation, false, keep, forever)
}

/// A workspace's key is what its pictures and prompts are found by.
pub const SEALED: &[Sealed] =
    &[Sealed { what: "Workspaces", owners: "select id from workspaces where id > $1 order by 1 limit 1000" }];

pub const DATA_MAP: &[Table] = &[
    Table {
        name: "organisations",
        columns: &[
            of_organisation("id"),
            of_organisation("singleton"),
            of_organisation("name"),
            of_organisation("currency"),
            of_organisation("created_at"),
        ],
    },
    Table {
        name: "workspaces",
        columns: &[
            of_organisation("id"),
            of_organisation("organisation_id"),
            of_organisation("name"),
            of_organisation("created_at"),
        ],
    },
    Table {
        name: "organisation_members",
        columns: &[
            Column::personal("organisation_id", Category::Reference),
            Column::personal("person_id", Category::Reference),
            Column::personal("role", Category::Activity),
            Column::personal("created_at", Category::Activity),
        ],
    },
    Table {
        name: "workspace_members",
        columns: &[
            Column::personal("workspace_id", Category::Reference),
            Column::personal("person_id", Category::Reference),
            Column::personal("role", Category::Activity),
            Column::personal("created_at", Category::Activity),
        ],
    },
];
