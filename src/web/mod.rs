//! Everything that rooms' edges share about HTTP: guards, bodies, problems, routes. Knows no room.

pub mod document;
pub mod extract;
pub mod guard;
pub mod headers;
pub mod problem;
pub mod route;
