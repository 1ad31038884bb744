//! What the page of spend caps shows.

use askama::Template;

use crate::web::frame::Frame;
use crate::web::parts::{AdminPlace, Choice, Field, Meter};

/// `GET /admin/caps`
#[derive(Template)]
#[template(path = "ledger/templates/caps.html")]
pub struct CapsPage {
    pub frame: Frame,
    pub here: AdminPlace,
    /// The message: "One person is out of credit, two caps are close", or "Spend caps".
    pub heading: String,
    /// The organisation at a glance: month, day, set aside, total.
    pub stats: Vec<CapStat>,
    pub rows: Vec<CapRow>,
    pub sheet: Option<CapSheet>,
    pub ask: Option<CapsAsk>,
    /// "EUR"
    pub currency: String,
}

/// One number of the organisation.
#[derive(Clone, Debug)]
pub struct CapStat {
    /// "Spent in November"
    pub name: String,
    /// "€1,165.05"
    pub amount: String,
    /// "of €3,000.00", or empty without a cap.
    pub of: String,
    pub meter: Option<Meter>,
    pub note: String,
}

/// Whom a cap is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapScope {
    Organisation,
    /// Everybody without an own one.
    Default,
    Workspace,
    Person,
}

impl CapScope {
    /// The form field `scope`; the default is a person's cap without a subject.
    const fn value(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Workspace => "workspace",
            Self::Default | Self::Person => "person",
        }
    }

    const fn icon(self) -> &'static str {
        match self {
            Self::Organisation => "home",
            Self::Default | Self::Workspace => "people",
            Self::Person => "person",
        }
    }

    // The organisation stands above, people below it.
    const fn indent(self) -> &'static str {
        match self {
            Self::Organisation => "n0",
            Self::Default | Self::Workspace | Self::Person => "n1",
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct CapRow {
    pub scope: CapScope,
    pub name: String,
    /// "84 people", "refills on 1 December"
    pub note: String,
    /// "€20.00", "€20.00 + €5.00 added", or "–"
    pub day: String,
    pub month: String,
    pub total: String,
    /// The tightest of the caps; none for the default, which is a rule and has no spend of its own.
    pub used: Option<CapUse>,
    pub href: String,
    pub open: bool,
}

/// How far the tightest cap is used.
#[derive(Clone, Debug)]
pub struct CapUse {
    pub meter: Meter,
    /// "€1.80"
    pub left: String,
}

/// The caps of one subject, beside the list.
#[derive(Clone, Debug)]
pub struct CapSheet {
    pub scope: CapScope,
    /// Id of the person, or empty.
    pub subject: String,
    pub name: String,
    pub note: String,
    /// "Out of credit since yesterday, 16:40" and what follows from it.
    pub stuck: Option<(String, String)>,
    /// Day, month, total; always the three.
    pub periods: Vec<CapPeriod>,
    /// "/admin/audit?object=…"
    pub audit: String,
}

/// One period of a subject: the field for the amount, and what happened to it.
#[derive(Clone, Debug)]
pub struct CapPeriod {
    /// Form field: day, month or total.
    pub period: &'static str,
    /// "A day"
    pub label: &'static str,
    pub amount: Field,
    /// "€0.00 today": what counts although there may be no cap.
    pub spent_note: String,
    pub cap: Option<CapLevels>,
}

/// Where a cap stands: `limit = spent + held + left`.
#[derive(Clone, Debug)]
pub struct CapLevels {
    pub id: String,
    pub meter: Meter,
    pub spent: String,
    pub held: String,
    pub left: String,
    /// "€10.00": what was added to this window, as part of its limit.
    pub refilled: Option<String>,
    /// "1 December, 00:00 UTC", or "never"
    pub refills: String,
    /// "50 % on 12 November, 80 % on 19 November": the marks that were passed.
    pub warned: Option<String>,
    /// Address of the dialog that adds to it.
    pub ask_refill: String,
    /// Address of the dialog that asks before it is deleted; none for the default, which is not this subject's.
    pub ask_delete: Option<String>,
}

/// The dialog that the address asks for.
#[derive(Clone, Debug)]
pub enum CapsAsk {
    /// A cap for somebody without an own one.
    New(NewCap),
    Refill(CapRefill),
    Delete(CapDeletion),
}

/// The form that adds room to one window of a cap.
#[derive(Clone, Debug)]
pub struct CapRefill {
    pub id: String,
    /// Whose window, where the cap is the default of each person; else empty.
    pub person: String,
    /// "€20.00 a day, for Yuki Tanaka"
    pub cap: String,
    /// "€0.00"
    pub left: String,
    /// "Counts until 1 December, 00:00 UTC"
    pub counts: String,
    pub amount: Field,
    pub reason: Field,
    pub back: String,
}

/// The form of a cap for a person.
#[derive(Clone, Debug)]
pub struct NewCap {
    pub people: Vec<Choice>,
    pub day: Field,
    pub month: Field,
    pub total: Field,
    /// "Today the default counts for them: €120.00 a month."
    pub now: String,
}

impl NewCap {
    fn fields(&self) -> [(&'static str, &'static str, &Field); 3] {
        [("day", "A day", &self.day), ("month", "A month", &self.month), ("total", "In total", &self.total)]
    }
}

/// What deleting a cap would do.
#[derive(Clone, Debug)]
pub struct CapDeletion {
    pub id: String,
    /// "€120.00 a month for Yuki Tanaka"
    pub cap: String,
    /// "Then the default counts: €50.00 a month"
    pub then: String,
    pub back: String,
}

/// Sample pages in every state.
#[cfg(test)]
pub mod samples {
    use super::*;
    use crate::web::frame::{Place, samples::frame};

    fn meter(per_mille: u64) -> Meter {
        Meter { per_mille, share: format!("{} %", per_mille / 10) }
    }

    fn stat(name: &str, amount: &str, of: &str, per_mille: Option<u64>, note: &str) -> CapStat {
        CapStat {
            name: name.into(),
            amount: amount.into(),
            of: of.into(),
            meter: per_mille.map(meter),
            note: note.into(),
        }
    }

    fn row(scope: CapScope, name: &str, note: &str, amounts: [&str; 3], used: Option<(u64, &str)>) -> CapRow {
        let [day, month, total] = amounts.map(String::from);
        let used = used.map(|(per_mille, left)| CapUse { meter: meter(per_mille), left: left.into() });
        CapRow {
            scope,
            name: name.into(),
            note: note.into(),
            day,
            month,
            total,
            used,
            href: format!("/admin/caps?open={name}"),
            open: false,
        }
    }

    fn page() -> CapsPage {
        CapsPage {
            frame: frame("Spend caps", Place::Admin),
            here: AdminPlace::Caps,
            heading: "One person is out of credit, one is close".into(),
            stats: vec![
                stat("Spent in November", "€1,165.05", "of €3,000.00", Some(388), "Starts again on 1 December"),
                stat("Spent today", "€41.20", "of €250.00", Some(165), "Starts again at midnight UTC"),
                stat("Set aside", "€2.87", "", None, "For 7 running and 3 waiting. What is not used comes back."),
                stat("Since 3 March", "€9,840.00", "", None, "No cap on the total"),
            ],
            rows: vec![
                row(
                    CapScope::Organisation,
                    "Halden & Voss",
                    "84 people",
                    ["€250.00", "€3,000.00", "–"],
                    Some((388, "€1,834.95")),
                ),
                row(
                    CapScope::Default,
                    "Everybody else",
                    "who has no own cap, 79 people",
                    ["€20.00", "€120.00", "–"],
                    None,
                ),
                row(
                    CapScope::Person,
                    "Tomás Ferreira",
                    "refills on 1 December",
                    ["€20.00", "€120.00", "–"],
                    Some((985, "€1.80")),
                ),
                row(
                    CapScope::Person,
                    "Mara Lindqvist",
                    "refills on 1 December",
                    ["–", "€200.00", "–"],
                    Some((288, "€142.40")),
                ),
                row(
                    CapScope::Person,
                    "Yuki Tanaka",
                    "refills on 1 December",
                    ["€20.00", "€120.00", "€1,000.00"],
                    Some((1000, "€0.00")),
                ),
            ],
            sheet: None,
            ask: None,
            currency: "EUR".into(),
        }
    }

    fn period(
        period: &'static str,
        label: &'static str,
        amount: &str,
        spent_note: &str,
        levels: Option<(u64, &str, &str)>,
    ) -> CapPeriod {
        CapPeriod {
            period,
            label,
            amount: Field::of(amount),
            spent_note: spent_note.into(),
            cap: levels.map(|(per_mille, spent, left)| CapLevels {
                id: format!("cap_{period}"),
                meter: meter(per_mille),
                spent: spent.into(),
                held: "€0.04".into(),
                left: left.into(),
                refilled: (period == "month").then(|| "€10.00".into()),
                refills: "1 December, 00:00 UTC".into(),
                warned: (per_mille >= 500).then(|| "50 % on 12 November, 80 % on 19 November".into()),
                ask_refill: format!("/admin/caps?open=per_6&ask=refill&cap=cap_{period}"),
                ask_delete: Some(format!("/admin/caps?open=per_6&ask=delete&cap=cap_{period}")),
            }),
        }
    }

    fn yuki() -> CapSheet {
        CapSheet {
            scope: CapScope::Person,
            subject: "per_6".into(),
            name: "Yuki Tanaka".into(),
            note: "Own caps instead of the default".into(),
            stuck: Some((
                "Out of credit since yesterday, 16:40".into(),
                "3 requests were refused after that. None was charged.".into(),
            )),
            periods: vec![
                period("day", "A day", "20.00", "€0.00 today", Some((0, "€0.00", "€20.00"))),
                period("month", "A month", "120.00", "€120.00 in November", Some((1000, "€119.96", "€0.00"))),
                period("total", "In total", "", "€611.40 ever", None),
            ],
            audit: "/admin/audit?object=per_6".into(),
        }
    }

    fn default_rule() -> CapSheet {
        CapSheet {
            scope: CapScope::Default,
            subject: String::new(),
            name: "Everybody else".into(),
            note: "Counts for each person without a cap of their own".into(),
            stuck: None,
            periods: vec![
                CapPeriod {
                    amount: Field::wrong("twenty", "Write an amount such as 20 or 20.00."),
                    ..period("day", "A day", "", "For each of 79 people", None)
                },
                period("month", "A month", "120.00", "For each of 79 people", None),
                period("total", "In total", "", "For each of 79 people", None),
            ],
            audit: "/admin/audit?object=cap_2".into(),
        }
    }

    /// Every state with the name of its file.
    pub fn pages() -> Vec<(&'static str, CapsPage)> {
        let mut open = page();
        open.rows.iter_mut().for_each(|row| row.open = row.name == "Yuki Tanaka");
        open.sheet = Some(yuki());
        let rule = CapsPage { sheet: Some(default_rule()), ..page() };
        let people = ["Aisha Rahman", "Elif Demir"].map(|name| Choice::new(name, name, "Elif Demir")).to_vec();
        let new = NewCap {
            people,
            day: Field::default(),
            month: Field::wrong("-5", "Write an amount of zero or more."),
            total: Field::default(),
            now: "Until then the default counts for them: €20.00 a day, €120.00 a month.".into(),
        };
        let deletion = CapDeletion {
            id: "cap_month".into(),
            cap: "€120.00 a month for Yuki Tanaka".into(),
            then: "The default counts: €120.00 a month".into(),
            back: "/admin/caps?open=per_6".into(),
        };
        let refill = CapRefill {
            id: "cap_month".into(),
            person: "per_6".into(),
            cap: "€120.00 a month, for Yuki Tanaka".into(),
            left: "€0.00".into(),
            counts: "Counts until 1 December, 00:00 UTC".into(),
            amount: Field::wrong("-5", "Write an amount of zero or more."),
            reason: Field::of("The trade fair"),
            back: "/admin/caps?open=per_6".into(),
        };
        let none = CapsPage {
            heading: "Spend caps".into(),
            stats: vec![
                stat("Spent in November", "€0.00", "", None, "No cap"),
                stat("Spent today", "€0.00", "", None, "No cap"),
                stat("Set aside", "€0.00", "", None, "Nothing is running"),
            ],
            rows: vec![],
            ..page()
        };
        vec![
            ("admin-caps", page()),
            ("admin-caps-none", none),
            ("admin-caps-open", open),
            ("admin-caps-default-wrong", rule),
            ("admin-caps-new", CapsPage { ask: Some(CapsAsk::New(new)), ..page() }),
            ("admin-caps-refill", CapsPage { ask: Some(CapsAsk::Refill(refill)), sheet: Some(yuki()), ..page() }),
            ("admin-caps-delete", CapsPage { ask: Some(CapsAsk::Delete(deletion)), sheet: Some(yuki()), ..page() }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(name: &str) -> String {
        let pages = samples::pages();
        pages.iter().find(|(page, _)| *page == name).unwrap().1.render().unwrap()
    }

    #[test]
    fn every_state_renders() {
        for (name, page) in samples::pages() {
            assert!(page.render().unwrap().contains("<h1"), "{name}");
        }
    }

    #[test]
    fn the_sheet_posts_the_three_amounts_of_its_subject() {
        let html = html("admin-caps-open");
        for field in [
            r#"name="scope" value="person""#,
            r#"name="subject" value="per_6""#,
            r#"name="day""#,
            r#"name="month""#,
            r#"name="total""#,
        ] {
            assert!(html.contains(field), "{field}");
        }
        assert!(html.contains("Out of credit since yesterday"));
    }

    #[test]
    fn a_full_cap_is_said_in_colour_icon_and_word() {
        let html = html("admin-caps");
        assert!(html.contains(r#"class="icon-text bad""#) && html.contains("100 %"));
    }

    #[test]
    fn deleting_says_what_counts_then() {
        let html = html("admin-caps-delete");
        assert!(
            html.contains("The default counts: €120.00 a month")
                && html.contains(r#"action="/admin/caps/cap_month/delete""#)
        );
    }

    #[test]
    fn without_any_cap_the_page_says_what_that_means() {
        assert!(html("admin-caps-none").contains("Nothing is capped"));
    }
}
