//! Organisation, workspaces, members.

use crate::{
    accounts::model::{Mail, Name, Person},
    base::{
        access::Role,
        ids::{OrganisationId, WorkspaceId},
        money::Currency,
    },
};

#[derive(Clone, Debug)]
pub struct Organisation {
    pub id: OrganisationId,
    pub name: String,
    pub currency: Currency,
}

#[derive(Clone, Debug)]
pub struct Workspace {
    pub id: WorkspaceId,
    pub name: String,
    pub role: WorkspaceRole,
}

/// What a person is in a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceRole {
    Manager,
    Editor,
    Viewer,
}

impl WorkspaceRole {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manager => "manager",
            Self::Editor => "editor",
            Self::Viewer => "viewer",
        }
    }
}

/// Where a person belongs and as what.
#[derive(Clone, Debug)]
pub struct Membership {
    pub organisation: OrganisationId,
    /// The workspace that things are made in.
    pub workspace: WorkspaceId,
    pub roles: Vec<Role>,
}

/// A person with their roles.
#[derive(Clone, Debug)]
pub struct Member {
    pub person: Person,
    pub roles: Vec<Role>,
}

impl Member {
    /// The role that says most.
    pub fn role(&self) -> Role {
        self.roles.iter().copied().min().unwrap_or(Role::Member)
    }
}

#[derive(Clone, Debug)]
pub struct NewPerson {
    pub mail: Mail,
    pub name: Name,
    pub role: Role,
}

/// A person who was just made: the only time that the one-time password is known.
#[derive(Clone)]
pub struct MadePerson {
    pub member: Member,
    pub one_time_password: String,
}

/// How the first owner gets in until they have chosen a password.
#[derive(Clone)]
pub struct FirstPassword {
    pub mail: String,
    pub one_time_password: String,
}
