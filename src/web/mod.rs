//! Everything that rooms' edges share about HTTP: guards, bodies, problems, routes, pages. Knows no room.

pub mod client;
pub mod cookies;
pub mod csv;
pub mod document;
pub mod door;
pub mod errors;
pub mod extract;
mod faults;
pub mod format;
pub mod frame;
pub mod guard;
pub mod headers;
pub mod look;
pub mod multipart;
pub mod page;
pub mod parts;
pub mod picture;
pub mod problem;
pub mod route;
pub mod statics;
pub mod thumb;
