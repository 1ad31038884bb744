//! What the overview and the audit log show.

use askama::Template;

use crate::web::format::{Chip, Pager, When};
use crate::web::frame::{Frame, Tone};
use crate::web::parts::{AdminPlace, Choice, Field, Meter};

/// `GET /admin`
#[derive(Template)]
#[template(path = "console/templates/overview.html")]
pub struct OverviewPage {
    pub frame: Frame,
    pub here: AdminPlace,
    /// The message: "All is well at Halden & Voss", or "The picture store does not answer".
    pub heading: String,
    /// "Checked just now. Up for 23 days."
    pub about: String,
    pub health: Health,
    pub parts: Vec<HealthPart>,
    pub running: u64,
    pub waiting: u64,
    /// "Longest wait 41 s", or "Nothing waits"
    pub queue_note: String,
    /// "November"
    pub month: String,
    /// "€1,165.05"
    pub spent: String,
    /// "of €3,000.00", or empty without a cap.
    pub spent_of: String,
    pub spent_meter: Option<Meter>,
    pub spent_note: String,
    /// "214 MB"
    pub egress: String,
    /// "to 2 places"
    pub egress_to: String,
    pub egress_note: String,
    /// Answers whose outcome is not known, and other things that need a person.
    pub waits_for_you: Vec<Waiting>,
}

/// The state of the whole server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Well,
    /// Works, but something needs a look.
    Strained,
    Broken,
}

impl Health {
    const fn kind(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Strained => "warn",
            Self::Broken => "bad",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Well => "Healthy",
            Self::Strained => "Strained",
            Self::Broken => "Not healthy",
        }
    }
}

/// One part that is watched.
#[derive(Clone, Debug)]
pub struct HealthPart {
    /// "Database"
    pub name: String,
    /// "PostgreSQL 15.9, supervised"
    pub about: String,
    pub tone: Tone,
    /// "Answers", "Restarting"
    pub state: String,
    /// "2 ms", "3 restarts today"
    pub detail: String,
}

impl HealthPart {
    // Success is quiet: only what is not well gets a filled badge.
    fn kind(&self) -> &'static str {
        if self.tone == Tone::Ok { "plain" } else { self.tone.class() }
    }
}

/// Something that only a person can decide.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub icon: &'static str,
    pub title: String,
    pub text: String,
    pub act: String,
    pub href: String,
}

/// `GET /admin/unknown`
#[derive(Template)]
#[template(path = "console/templates/unknown.html")]
pub struct UnknownPage {
    pub frame: Frame,
    pub here: AdminPlace,
    pub generations: Vec<UnknownRow>,
    pub pager: Pager,
    pub ask: Option<Settlement>,
}

/// A generation whose outcome nobody knows.
#[derive(Clone, Debug)]
pub struct UnknownRow {
    /// "house/painter, 2 pictures"
    pub what: String,
    pub provider: String,
    pub person: String,
    pub sent: When,
    /// "€0.08"
    pub held: String,
    /// Where it is settled.
    pub href: String,
    /// Its calls in the egress ledger.
    pub calls: String,
}

/// The dialog that settles one: what the provider billed, and how that is known.
#[derive(Clone, Debug)]
pub struct Settlement {
    pub id: String,
    pub row: UnknownRow,
    /// `nothing` or `billed`; empty until somebody says so.
    pub billing: Field,
    pub amount: Field,
    /// The amount that was asked about once: sent again, it is meant.
    pub sure: String,
    pub reason: Field,
    pub currency: String,
    pub back: String,
}

/// `GET /admin/audit`
#[derive(Template)]
#[template(path = "console/templates/audit.html")]
pub struct AuditPage {
    pub frame: Frame,
    pub here: AdminPlace,
    pub actors: Vec<Choice>,
    pub actions: Vec<Choice>,
    pub outcomes: Vec<Choice>,
    pub since: Vec<Choice>,
    /// The active filters; pressing one removes it.
    pub chips: Vec<Chip>,
    /// The place that the newest checkpoint vouches for, and when it was signed.
    pub attested: Option<(i64, When)>,
    pub entries: Vec<AuditRow>,
    pub pager: Pager,
    pub sheet: Option<AuditSheet>,
}

/// One act.
#[derive(Clone, Debug)]
pub struct AuditRow {
    /// "Cap changed"
    pub action: String,
    /// "Mara Lindqvist", "Server"
    pub actor: String,
    /// "Yuki Tanaka, month"
    pub object: String,
    pub outcome: Outcome,
    /// Empty when none was given.
    pub reason: String,
    pub at: When,
    pub href: String,
    pub open: bool,
}

/// How an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Refused,
    Failed,
}

impl Outcome {
    const fn kind(self) -> &'static str {
        match self {
            Self::Done => "plain",
            Self::Refused => "warn",
            Self::Failed => "bad",
        }
    }

    const fn icon(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Refused => "none",
            Self::Failed => "bad",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Done => "Done",
            Self::Refused => "Refused",
            Self::Failed => "Failed",
        }
    }
}

/// One entry, beside the list.
#[derive(Clone, Debug)]
pub struct AuditSheet {
    pub id: String,
    pub action: String,
    /// The code behind the words: "ledger.cap.set"
    pub code: String,
    pub actor: String,
    pub object: String,
    pub object_id: String,
    pub outcome: Outcome,
    pub reason: String,
    pub at: When,
    pub request: String,
    /// What changed, field by field.
    pub changes: Vec<Change>,
    /// All entries of this object.
    pub object_href: String,
    pub earlier: Option<String>,
    pub later: Option<String>,
    /// The list as it is, without the sheet.
    pub back: String,
}

/// One field before and after.
#[derive(Clone, Debug)]
pub struct Change {
    pub field: String,
    pub before: String,
    pub after: String,
}

/// Sample pages in every state.
#[cfg(test)]
pub mod samples {
    use super::*;
    use crate::web::frame::{Place, samples::frame};
    use crate::web::parts::samples::when;

    fn part(name: &str, about: &str, tone: Tone, state: &str, detail: &str) -> HealthPart {
        HealthPart { name: name.into(), about: about.into(), tone, state: state.into(), detail: detail.into() }
    }

    fn overview() -> OverviewPage {
        OverviewPage {
            frame: frame("Overview", Place::Admin),
            here: AdminPlace::Overview,
            heading: "All is well at Halden & Voss".into(),
            about: "Checked just now. Up for 23 days.".into(),
            health: Health::Well,
            parts: vec![
                part("Database", "PostgreSQL 15.9, supervised", Tone::Ok, "Answers", "2 ms"),
                part("Picture store", "MinIO, supervised", Tone::Ok, "Answers", "5 ms"),
                part("Workers", "2 in this process", Tone::Ok, "Work", "claimed 3 s ago"),
                part("Disk", "data directory", Tone::Ok, "Enough", "1.42 TB of 4.0 TB used"),
            ],
            running: 7,
            waiting: 3,
            queue_note: "Longest wait 41 s.".into(),
            month: "November".into(),
            spent: "€1,165.05".into(),
            spent_of: "of €3,000.00".into(),
            spent_meter: Some(Meter { per_mille: 388, share: "38 %".into() }),
            spent_note: "€1,834.95 left until 1 December.".into(),
            egress: "214 MB".into(),
            egress_to: "to 2 places".into(),
            egress_note: "391 calls, 1 refused at the door.".into(),
            waits_for_you: vec![],
        }
    }

    /// All well, strained with something to decide, broken.
    pub fn overviews() -> Vec<(&'static str, OverviewPage)> {
        let mut broken = overview();
        broken.heading = "The picture store does not answer".into();
        broken.about = "Checked 4 seconds ago. New pictures wait; nothing is lost and nothing is charged.".into();
        broken.health = Health::Broken;
        if let Some(store) = broken.parts.get_mut(1) {
            *store = part(
                "Picture store",
                "MinIO, supervised",
                Tone::Bad,
                "Does not answer",
                "restarted 3 times, next try in 8 s",
            );
        }
        let strained = OverviewPage {
            heading: "One thing waits for you".into(),
            health: Health::Strained,
            waits_for_you: vec![Waiting {
                icon: "clock",
                title: "1 generation has no known outcome".into(),
                text: "studio-gpu-1 took it and never answered. €0.04 stays set aside.".into(),
                act: "See it".into(),
                href: "/admin/audit?action=generation.unknown".into(),
            }],
            ..overview()
        };
        vec![("admin-overview", overview()), ("admin-overview-strained", strained), ("admin-overview-broken", broken)]
    }

    fn entry(action: &str, actor: &str, object: &str, outcome: Outcome, reason: &str, at: &str) -> AuditRow {
        AuditRow {
            action: action.into(),
            actor: actor.into(),
            object: object.into(),
            outcome,
            reason: reason.into(),
            at: when(at),
            href: format!("/admin/audit?open={at}"),
            open: false,
        }
    }

    fn choices(first: &str, rest: &[&str]) -> Vec<Choice> {
        std::iter::once(Choice::new("", first, ""))
            .chain(rest.iter().map(|label| Choice::new(*label, *label, "")))
            .collect()
    }

    fn audit() -> AuditPage {
        AuditPage {
            frame: frame("Audit", Place::Admin),
            here: AdminPlace::Audit,
            actors: choices("Anybody", &["Mara Lindqvist", "Noor Haddad", "Server"]),
            actions: choices("Any act", &["Cap changed", "Person deactivated", "Signed in"]),
            outcomes: choices("Any outcome", &["Done", "Refused", "Failed"]),
            since: choices("Any time", &["Today", "7 days", "30 days"]),
            chips: vec![],
            attested: Some((48_211, when("13:40"))),
            entries: vec![
                entry(
                    "Cap changed",
                    "Mara Lindqvist",
                    "Yuki Tanaka, month",
                    Outcome::Done,
                    "Two more projects since Monday",
                    "13:40",
                ),
                entry("Person added", "Mara Lindqvist", "Ida Lund", Outcome::Done, "", "13:12"),
                entry(
                    "Sign-in refused",
                    "Unknown",
                    "noor.haddad@example.org",
                    Outcome::Refused,
                    "Five tries did not fit",
                    "12:57",
                ),
                entry(
                    "Call refused",
                    "Server",
                    "Redirect to 10.4.0.12 from images.example.net",
                    Outcome::Refused,
                    "Private address, not declared local",
                    "11:20",
                ),
                entry(
                    "Overage posted",
                    "Server",
                    "Generation gen_01jd8…, €0.02",
                    Outcome::Done,
                    "The provider billed more than was set aside",
                    "10:48",
                ),
                entry("Provider tested", "Noor Haddad", "studio-gpu-1", Outcome::Failed, "Connection refused", "10:02"),
                entry("Signed in", "Aisha Rahman", "Edge on Windows, 10.4.2.0/24", Outcome::Done, "", "09:12"),
            ],
            pager: Pager {
                range: "1 to 7 of 48,211 entries".into(),
                newer: None,
                older: Some("/admin/audit?cursor=b2xk".into()),
            },
            sheet: None,
        }
    }

    fn changed() -> AuditSheet {
        AuditSheet {
            id: "aud_01jd8z".into(),
            action: "Cap changed".into(),
            code: "ledger.cap.set".into(),
            actor: "Mara Lindqvist".into(),
            object: "Yuki Tanaka, month".into(),
            object_id: "cap_01jd8z5yq3e0rrv0g7x5n2m4kc".into(),
            outcome: Outcome::Done,
            reason: "Two more projects since Monday".into(),
            at: when("today, 13:40"),
            request: "req_8f1c0a72".into(),
            changes: vec![Change {
                field: "Limit".into(),
                before: "€100.00 a month".into(),
                after: "€120.00 a month".into(),
            }],
            object_href: "/admin/audit?object=cap_01jd8z5yq3e0rrv0g7x5n2m4kc".into(),
            earlier: Some("/admin/audit?open=aud_1".into()),
            later: None,
            back: "/admin/audit".into(),
        }
    }

    /// The log, filtered, empty, with an entry open.
    pub fn audits() -> Vec<(&'static str, AuditPage)> {
        let chip = |label: &str| Chip { label: label.into(), href: "/admin/audit".into(), on: true, removes: true };
        let filtered = AuditPage { chips: vec![chip("Who: Server"), chip("Outcome: Refused")], ..audit() };
        let none = AuditPage {
            chips: vec![chip("Act: Person deactivated")],
            entries: vec![],
            pager: Pager::default(),
            ..audit()
        };
        let mut open = audit();
        if let Some(first) = open.entries.first_mut() {
            first.open = true;
        }
        open.sheet = Some(changed());
        let mut refused = audit();
        refused.sheet =
            Some(AuditSheet { outcome: Outcome::Refused, changes: vec![], reason: String::new(), ..changed() });
        vec![
            ("admin-audit", audit()),
            ("admin-audit-filtered", filtered),
            ("admin-audit-none", none),
            ("admin-audit-open", open),
            ("admin-audit-refused", refused),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overview_leads_with_what_is_wrong() {
        for ((name, page), word) in samples::overviews().into_iter().zip(["Healthy", "no known outcome", "Not healthy"])
        {
            let html = page.render().unwrap();
            assert!(html.contains(word), "{name}");
            assert!(html.contains(&page.heading.replace('&', "&#38;")), "{name}");
        }
    }

    #[test]
    fn the_audit_log_renders_in_every_state() {
        for (name, page) in samples::audits() {
            let html = page.render().unwrap();
            assert_eq!(html.contains("<tbody>"), !page.entries.is_empty(), "{name}");
            assert_eq!(html.contains("ledger.cap.set"), page.sheet.is_some(), "{name}");
        }
    }
}
