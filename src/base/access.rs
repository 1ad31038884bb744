//! Roles, scopes and permissions: the one place that says who may do what.
//!
//! A permission is a type. `web::guard::Guard<P>` refuses a request whose actor lacks it, `Ctx::grant` turns it into a
//! `Grant<P>`, and a room's store takes the grant: a query that nobody authorised does not compile.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ids::{OrganisationId, PersonId, WorkspaceId};

/// What a person is in the organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Owner,
    Member,
}

impl Role {
    pub const ALL: [Self; 2] = [Self::Owner, Self::Member];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Member => "member",
        }
    }
}

/// What a token may be used for. A session has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// See own things.
    Read,
    /// Make, change and delete own things.
    Write,
    /// The admin API, as far as the person's roles reach.
    Admin,
    /// Make and revoke own tokens.
    Tokens,
}

impl Scope {
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Admin, Self::Tokens];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Tokens => "tokens",
        }
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one of the known words")]
pub struct UnknownWord;

impl FromStr for Role {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownWord)
    }
}

impl FromStr for Scope {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(UnknownWord)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// What one kind of act needs.
pub trait Permission: 'static {
    const NAME: &'static str;
    /// Roles that have it. Empty: everybody, signed in or not.
    const ROLES: &'static [Role];
    const SCOPE: Scope;
    /// Also for a person who must choose a new password first.
    const BEFORE_NEW_PASSWORD: bool = false;
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident, $text:literal, [$($role:ident),*], $scope:ident $(, $before:literal)?;)*) => {
        $(
            $(#[$doc])*
            pub enum $name {}
            impl Permission for $name {
                const NAME: &'static str = $text;
                const ROLES: &'static [Role] = &[$(Role::$role),*];
                const SCOPE: Scope = Scope::$scope;
                $(const BEFORE_NEW_PASSWORD: bool = $before;)?
            }
        )*
        /// Every permission with the roles that have it and the scope a token needs, for the access matrix.
        pub const PERMISSIONS: &[(&str, &[Role], Scope)] = &[$(($text, $name::ROLES, $name::SCOPE)),*];
    };
}

permissions! {
    /// Anybody, signed in or not. A visible choice.
    Public, "public", [], Read, true;
    /// End the own session, choose a new password.
    OwnSession, "own_session", [Owner, Member], Write, true;
    /// See who one is: profile, sessions.
    ProfileRead, "profile.read", [Owner, Member], Read;
    /// Change the own profile, password and sessions.
    ProfileEdit, "profile.edit", [Owner, Member], Write;
    TokensRead, "tokens.read", [Owner, Member], Read;
    TokensEdit, "tokens.edit", [Owner, Member], Tokens;
    LibraryRead, "library.read", [Owner, Member], Read;
    LibraryEdit, "library.edit", [Owner, Member], Write;
    StudioRead, "studio.read", [Owner, Member], Read;
    StudioEdit, "studio.edit", [Owner, Member], Write;
    ModelsRead, "models.read", [Owner, Member], Read;
    PeopleRead, "people.read", [Owner], Admin;
    PeopleEdit, "people.edit", [Owner], Admin;
    ProvidersRead, "providers.read", [Owner], Admin;
    ProvidersEdit, "providers.edit", [Owner], Admin;
    CapsRead, "caps.read", [Owner], Admin;
    CapsEdit, "caps.edit", [Owner], Admin;
    /// What was charged for one's own work.
    StatementRead, "statement.read", [Owner, Member], Read;
    /// What was charged for everybody's.
    StatementsRead, "statements.read", [Owner], Admin;
    /// End a generation whose outcome the provider never told.
    GenerationsResolve, "generations.resolve", [Owner], Admin;
    EgressRead, "egress.read", [Owner], Admin;
    EgressEdit, "egress.edit", [Owner], Admin;
    AuditRead, "audit.read", [Owner], Admin;
    HealthRead, "health.read", [Owner], Admin;
}

/// Proof that an act was authorised: for whom, in which workspace. Made by `Ctx::grant` alone.
pub struct Grant<P: Permission> {
    person: PersonId,
    organisation: OrganisationId,
    workspace: WorkspaceId,
    permission: PhantomData<fn() -> P>,
}

impl<P: Permission> Grant<P> {
    pub(in crate::base) fn new(person: PersonId, organisation: OrganisationId, workspace: WorkspaceId) -> Self {
        Self { person, organisation, workspace, permission: PhantomData }
    }

    pub fn person(&self) -> PersonId {
        self.person
    }

    pub fn organisation(&self) -> OrganisationId {
        self.organisation
    }

    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }
}
