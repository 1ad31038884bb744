//! People and how they prove who they are: passwords, sessions, API tokens.
//!
//! Owns the tables `people`, `sessions`, `api_tokens` and `sign_in_failures`. What a person may do is the room
//! `organisation`'s to say; this room only says who it is. Secrets are kept as hashes: passwords as Argon2id, session
//! cookies and tokens (256 random bits each) as SHA-256.

pub mod error;
pub mod http;
pub mod jobs;
pub mod model;
pub mod ops;
pub mod pages;
mod passwords;
mod store;
mod throttle;

pub use error::AccountsError;
pub use store::{DATA_MAP, SEALED};
