//! The organisation of this server, its workspace, and who may do what in them.
//!
//! Owns the tables `organisations`, `workspaces`, `organisation_members` and `workspace_members`. Who somebody is comes
//! from the room `accounts`; what they may do is said here. The first start founds the organisation.

pub mod error;
pub mod http;
pub mod model;
pub mod ops;
pub mod pages;
mod store;

pub use error::OrganisationError;
pub use store::{DATA_MAP, SEALED};
