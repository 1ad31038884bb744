//! Who is acting, in which request, at what time: the first argument of every use case.

use std::fmt;

use super::{
    access::{Grant, Permission, Role, Scope},
    clock::Clock,
    error::{Fault, Kind},
    ids::{OrganisationId, PersonId, SessionId, TokenId, WorkspaceId},
};

#[derive(Clone, Debug)]
pub struct Ctx {
    pub actor: Actor,
    pub request: RequestId,
    pub clock: Clock,
}

#[derive(Clone, Debug)]
pub enum Actor {
    /// Nobody has signed in.
    Nobody,
    /// The server itself; the word says which part.
    System(&'static str),
    Person(Box<Acting>),
}

/// A person with everything that decides what they may do now.
#[derive(Clone, Debug)]
pub struct Acting {
    pub person: PersonId,
    pub name: String,
    pub mail: String,
    pub organisation: OrganisationId,
    pub workspace: WorkspaceId,
    pub roles: Vec<Role>,
    pub scopes: Vec<Scope>,
    pub credential: Credential,
    pub must_change_password: bool,
}

/// How the person proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    Session(SessionId),
    Token(TokenId),
    /// A command on the machine itself, which needs the files that only its administrator can read.
    Console,
}

/// Names one request in answers, logs and audit rows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(String);

impl RequestId {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Why an act was not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("Sign in, or send an API token, to do this.")]
    NotSignedIn,
    #[error(
        "The API token that was sent is not valid: it is unknown, expired or revoked, or its person was deactivated."
    )]
    InvalidToken,
    #[error("Your role does not include this. An owner of the organisation can do it.")]
    RoleLacks,
    #[error("This token's scopes do not include this. Make one with the scope that is needed.")]
    ScopeLacks,
    #[error("Choose a new password first: sign in in the browser with the one-time password.")]
    NewPasswordFirst,
}

impl Fault for Denied {
    fn kind(&self) -> Kind {
        match self {
            Self::NotSignedIn | Self::InvalidToken => Kind::Unauthenticated,
            _ => Kind::Forbidden,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotSignedIn | Self::InvalidToken => "auth.required",
            Self::NewPasswordFirst => "auth.new_password_required",
            Self::RoleLacks | Self::ScopeLacks => "auth.forbidden",
        }
    }
}

impl Ctx {
    pub fn new(actor: Actor, request: RequestId, clock: Clock) -> Self {
        Self { actor, request, clock }
    }

    /// The server acting for itself, outside any request.
    pub fn system(part: &'static str, clock: Clock) -> Self {
        Self::new(Actor::System(part), RequestId::new(part), clock)
    }

    pub fn acting(&self) -> Result<&Acting, Denied> {
        match &self.actor {
            Actor::Person(acting) => Ok(acting),
            Actor::Nobody | Actor::System(_) => Err(Denied::NotSignedIn),
        }
    }

    /// Whether the actor has the permission at all.
    pub fn check<P: Permission>(&self) -> Result<(), Denied> {
        if P::ROLES.is_empty() {
            return Ok(());
        }
        let acting = self.acting()?;
        if !P::ROLES.iter().any(|role| acting.roles.contains(role)) {
            return Err(Denied::RoleLacks);
        }
        if !acting.scopes.contains(&P::SCOPE) {
            return Err(Denied::ScopeLacks);
        }
        // A token was made by somebody who could prove who they are; the rule is for passwords handed out.
        let by_password = matches!(acting.credential, Credential::Session(_));
        if by_password && acting.must_change_password && !P::BEFORE_NEW_PASSWORD {
            return Err(Denied::NewPasswordFirst);
        }
        Ok(())
    }

    /// Proof that this person may act in their workspace.
    pub fn grant<P: Permission>(&self) -> Result<Grant<P>, Denied> {
        self.check::<P>()?;
        let acting = self.acting()?;
        Ok(Grant::new(acting.person, acting.organisation, acting.workspace))
    }
}
