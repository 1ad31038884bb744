//! `renderkeep token create`: an API token for a person, by whoever runs the machine.

use std::{num::IntErrorKind, process::ExitCode};

use chrono::Duration;
use clap::{Args, Subcommand};

use super::{out, place::Place};
use crate::{
    accounts::{
        self,
        model::{Mail, Name, NewToken},
    },
    base::{access::Scope, error::FieldFault},
};

/// Longer than this does not end in any calendar.
const LONGEST: Duration = Duration::days(36_500);

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token for a person, and print it and nothing else.
    Create(Create),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    place: Place,
    /// The person's mail address.
    #[arg(long, value_name = "MAIL", value_parser = mail)]
    person: Mail,
    /// What it may be used for: read, write, admin, tokens. May be repeated; read and write when not given.
    #[arg(long = "scope", value_name = "S", value_parser = scope)]
    scopes: Vec<Scope>,
    /// When it ends, in s, m, h or d: 90d. Never when not given.
    #[arg(long, value_name = "TERM", value_parser = term)]
    expires: Option<Duration>,
}

pub(super) async fn create(create: Create) -> anyhow::Result<ExitCode> {
    let (ctx, platform) = create.place.open().await?;
    let name: Name =
        "Made on the command line".parse().map_err(|fault: FieldFault| anyhow::Error::msg(fault.message))?;
    let scopes = if create.scopes.is_empty() { vec![Scope::Read, Scope::Write] } else { create.scopes };
    let new = NewToken { name, scopes, expires_at: create.expires.map(|term| ctx.clock.now() + term) };
    let made = accounts::ops::create_token(&ctx, &platform, &create.person, new).await.map_err(out::told)?;
    out::say(&made.token);
    Ok(ExitCode::SUCCESS)
}

pub(super) fn mail(text: &str) -> Result<Mail, String> {
    text.parse().map_err(|fault: FieldFault| fault.message)
}

fn scope(text: &str) -> Result<Scope, String> {
    text.parse().map_err(|_| format!("It is one of {}.", Scope::ALL.map(Scope::as_str).join(", ")))
}

/// `90d`: a number and one of s, m, h, d.
fn term(text: &str) -> Result<Duration, String> {
    let wrong = || "It is a number and s, m, h or d, such as 90d.".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number = match text.strip_suffix(unit).ok_or_else(wrong)?.parse::<i64>() {
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => i64::MAX,
        number => number.map_err(|_| wrong())?,
    };
    match Duration::try_seconds(number.saturating_mul(seconds)) {
        _ if number < 1 => Err("It must be at least 1s.".to_owned()),
        Some(term) if term <= LONGEST => Ok(term),
        _ => Err(format!("It is too far away; the most is {}d.", LONGEST.num_days())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_numbers_with_units() {
        assert_eq!(term("90d"), Ok(Duration::days(90)));
        assert_eq!(term("15m"), Ok(Duration::minutes(15)));
        assert_eq!(term("36500d"), Ok(LONGEST));
        let table = [
            (&["", "d", "90", "1w", "1.5h", "é"][..], "such as 90d"),
            (&["0d", "0s", "-1d"], "at least 1s"),
            (&["36501d", "999999999999999d", "99999999999999999999d"], "the most is 36500d"),
        ];
        for (texts, said) in table {
            for text in texts {
                assert!(term(text).unwrap_err().contains(said), "{text}");
            }
        }
    }
}
