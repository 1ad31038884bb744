//! Renderkeep: an organisation's own server for making images with generative models.
//!
//! The floors, from the ground up; imports point down, never up (`tests/architecture` checks it):
//!
//! ```text
//! 5  app cli            doors: put everything together
//! 4  <room>/http pages  edges: the only place in a room that knows HTTP or HTML
//! 3  web                guards, problems, routes, frame; knows no room
//! 2  <room>             accounts organisation ledger inference library studio: model, store, ops
//! 1  platform supervisor
//! 0  base config
//! ```

pub mod accounts;
pub mod app;
pub mod base;
pub mod cli;
pub mod config;
pub mod console;
pub mod inference;
pub mod ledger;
pub mod library;
pub mod organisation;
pub mod platform;
pub mod studio;
pub mod supervisor;
pub mod web;
