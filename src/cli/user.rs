//! `renderkeep user add`: one more person, by whoever runs the machine.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{out, place::Place, token::mail};
use crate::{
    accounts::model::{Mail, Name},
    base::{access::Role, error::FieldFault},
    organisation::{self, model::NewPerson},
};

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Make a person, and print their one-time password and nothing else.
    Add(Add),
}

#[derive(Debug, Args)]
pub(super) struct Add {
    #[command(flatten)]
    place: Place,
    /// The mail address with which they sign in.
    #[arg(long, value_name = "MAIL", value_parser = mail)]
    mail: Mail,
    /// Their name.
    #[arg(long, value_parser = name)]
    name: Name,
    /// What they may do: member or owner.
    #[arg(long, default_value = "member", value_parser = role)]
    role: Role,
}

pub(super) async fn add(add: Add) -> anyhow::Result<ExitCode> {
    let (ctx, platform) = add.place.open().await?;
    let new = NewPerson { mail: add.mail, name: add.name, role: add.role };
    let made = organisation::ops::add_person_from_console(&ctx, &platform, new).await.map_err(out::told)?;
    out::say(&made.one_time_password);
    Ok(ExitCode::SUCCESS)
}

fn name(text: &str) -> Result<Name, String> {
    text.parse().map_err(|fault: FieldFault| fault.message)
}

fn role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|_| format!("It is one of {}.", Role::ALL.map(Role::as_str).join(", ")))
}
