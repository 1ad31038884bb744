//! `renderkeep doctor`: looks whether everything is in order, beside a server that runs or not, and says what to do.
//!
//! Nothing is changed. A part that is away is a finding, and the rest is looked at all the same. Every finding has a
//! stable code; docs/doctor.md lists them.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{
    out,
    place::{AnyPlace, Place},
    version::VERSION,
};
use crate::{
    base::finding::{Finding, Severity},
    config::Config,
};

mod certificate;
mod clock;
mod machine;
mod parts;
mod permissions;

#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    place: AnyPlace,
    /// For programs.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    /// Whether no finding is a problem.
    good: bool,
    findings: Vec<Finding>,
}

pub(super) async fn doctor(doctor: Doctor) -> anyhow::Result<ExitCode> {
    let place = Place::from(doctor.place);
    if !place.is_known() {
        out::complain(&anyhow::anyhow!(
            "There is no /etc/renderkeep/config.toml and no setting in the environment. Name what to look at: --data DIR of \
             `renderkeep up`, or --config FILE."
        ));
        return Ok(ExitCode::from(2));
    }
    let mut findings = match place.load() {
        Ok(config) => examine(&place, config).await,
        Err(error) => vec![Finding::problem(
            "configuration.invalid",
            format!("{error}"),
            "Correct what it names; `renderkeep config example` shows a complete file.",
        )],
    };
    for finding in &mut findings {
        finding.found = sentence(&finding.found);
    }
    let good = findings.iter().all(|finding| finding.severity < Severity::Problem);
    let report = Report { version: VERSION, good, findings };
    out::say(&if doctor.json { serde_json::to_string_pretty(&report)? } else { for_people(&report) });
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn examine(place: &Place, config: Config) -> Vec<Finding> {
    let mut findings = vec![Finding::ok("configuration.valid", "The settings are complete and valid.")];
    findings.extend(permissions::look(place, &config));
    findings.extend(machine::disks(place, &config));
    findings.push(machine::decoders(&config.sandbox).await);
    findings.extend(certificate::look(&config));
    findings.push(machine::attested(&config));
    findings.extend(Box::pin(parts::look(place, config)).await);
    findings
}

/// Causes are joined with colons, also those that are sentences.
fn sentence(found: &str) -> String {
    let joined = found.replace(".: ", ": ");
    if joined.ends_with('.') { joined } else { format!("{joined}.") }
}

fn for_people(report: &Report) -> String {
    let lines = report.findings.iter().map(|finding| {
        let mark = match finding.severity {
            Severity::Ok => "good",
            Severity::Warning => "warn",
            Severity::Problem => "BAD ",
        };
        let advice = finding.advice.as_deref().map_or(String::new(), |advice| format!(" {advice}"));
        format!("{mark}  {:<24} {}{advice}", finding.code, finding.found)
    });
    let lines: Vec<String> = lines.collect();
    format!("Renderkeep {}\n{}", report.version, lines.join("\n"))
}
