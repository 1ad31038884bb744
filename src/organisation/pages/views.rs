//! What the People page shows.

use askama::Template;

use crate::web::format::{Pager, When};
use crate::web::frame::Frame;
use crate::web::parts::{AdminPlace, Choice, Field, Meter};

/// `GET /admin/people`; also the answer to the post that made a person.
#[derive(Template)]
#[template(path = "organisation/templates/people.html")]
pub struct PeoplePage {
    pub frame: Frame,
    pub here: AdminPlace,
    pub active: u64,
    pub deactivated: u64,
    /// The list shows those who are switched off.
    pub showing_deactivated: bool,
    /// What was searched for.
    pub query: String,
    pub people: Vec<PersonRow>,
    pub pager: Pager,
    /// The list as it is, without sheet and dialog: where closing leads.
    pub list: String,
    /// Address of the list with the dialog for a new person.
    pub add: String,
    pub sheet: Option<PersonSheet>,
    pub ask: Option<PeopleAsk>,
    pub made: Option<MadePerson>,
}

/// The dialog that the address asks for.
#[derive(Clone, Debug)]
pub enum PeopleAsk {
    Add(AddPerson),
    Deactivate(Deactivation),
}

/// The form for a new person.
#[derive(Clone, Debug)]
pub struct AddPerson {
    pub name: Field,
    pub mail: Field,
    pub roles: Vec<Choice>,
}

/// What switching a person off would do.
#[derive(Clone, Debug)]
pub struct Deactivation {
    pub id: String,
    pub name: String,
    /// "2 sessions, 1 API token"
    pub ends: String,
    /// "1 running generation", or "Nothing is running"
    pub goes_on: String,
    /// "388 pictures and all postings"
    pub stays: String,
    /// Where the dialog leads when it is closed: the open sheet.
    pub back: String,
}

impl Deactivation {
    fn title(&self) -> String {
        format!("Deactivate {}", self.name)
    }
}

/// A person who was just made or got a new password: the only time that it is shown.
#[derive(Clone)]
pub struct MadePerson {
    pub name: String,
    pub mail: String,
    pub one_time_password: String,
}

/// One person of the list.
#[derive(Clone, Debug)]
pub struct PersonRow {
    pub id: String,
    pub name: String,
    pub mail: String,
    pub initials: String,
    /// 1 to 5, from `parts::hue`.
    pub hue: u8,
    pub role: String,
    pub owner: bool,
    /// Has not chosen a password yet.
    pub invited: bool,
    pub deactivated: bool,
    /// "€57.60 of €120.00", or "€57.60" without a cap.
    pub spent: String,
    pub meter: Option<Meter>,
    pub seen: Option<When>,
    pub href: String,
    /// The sheet beside the list is about this person.
    pub open: bool,
}

/// One person, beside the list.
#[derive(Clone, Debug)]
pub struct PersonSheet {
    pub id: String,
    pub name: String,
    pub mail: String,
    pub role: String,
    pub since: When,
    pub seen: Option<When>,
    pub invited: bool,
    pub deactivated: Option<When>,
    /// Oneself: one cannot switch oneself off.
    pub oneself: bool,
    /// "€1.80 left"
    pub left: Option<String>,
    /// "€118.20 of €120.00"
    pub spent: String,
    pub meter: Option<Meter>,
    /// "Refills on 1 December", or empty.
    pub refill: String,
    pub sessions: Vec<PersonSession>,
    pub tokens: u64,
    /// Address of the dialog that asks before switching off.
    pub ask_deactivate: String,
    /// The person's rows elsewhere.
    pub egress: String,
    pub audit: String,
    pub caps: String,
}

/// A browser of somebody else: no more is shown than ending it needs.
#[derive(Clone, Debug)]
pub struct PersonSession {
    pub browser: String,
    pub seen: When,
}

/// Sample pages in every state.
#[cfg(test)]
pub mod samples {
    use super::*;
    use crate::web::frame::{Place, initials, samples::frame};
    use crate::web::parts::{hue, samples::when};

    fn row(id: &str, name: &str, role: &str, spent: &str, per_mille: Option<u64>, seen: Option<&str>) -> PersonRow {
        PersonRow {
            id: id.into(),
            name: name.into(),
            mail: format!("{}@example.org", name.to_lowercase().replace(' ', ".")),
            initials: initials(name),
            hue: hue(id),
            role: role.into(),
            owner: role == "Owner",
            invited: seen.is_none(),
            deactivated: false,
            spent: spent.into(),
            meter: per_mille.map(|per_mille| Meter { per_mille, share: format!("{} %", per_mille / 10) }),
            seen: seen.map(when),
            href: format!("/admin/people?open={id}"),
            open: false,
        }
    }

    /// The list with nothing open.
    pub fn page() -> PeoplePage {
        PeoplePage {
            frame: frame("People", Place::Admin),
            here: AdminPlace::People,
            active: 84,
            deactivated: 2,
            showing_deactivated: false,
            query: String::new(),
            people: vec![
                row("per_1", "Mara Lindqvist", "Owner", "€57.60 of €120.00", Some(480), Some("now")),
                row("per_2", "Noor Haddad", "Owner", "€12.30 of €120.00", Some(102), Some("4 min ago")),
                row("per_3", "Hannah Vogel", "Member", "€0.00 of €20.00", Some(0), Some("1 h ago")),
                row("per_4", "Tomás Ferreira", "Member", "€118.20 of €120.00", Some(985), Some("2 h ago")),
                row("per_5", "Aisha Rahman", "Member", "€64.00 of €120.00", Some(533), Some("3 h ago")),
                row("per_6", "Yuki Tanaka", "Member", "€120.00 of €120.00", Some(1000), Some("yesterday")),
                row("per_7", "Elif Demir", "Member", "€3.10", None, Some("3 Nov")),
                row("per_8", "Luca Moretti", "Member", "€0.00 of €120.00", Some(0), None),
            ],
            pager: Pager {
                range: "1 to 8 of 84 people".into(),
                newer: None,
                older: Some("/admin/people?cursor=b2xk".into()),
            },
            list: "/admin/people".into(),
            add: "/admin/people?ask=add".into(),
            sheet: None,
            ask: None,
            made: None,
        }
    }

    fn sheet() -> PersonSheet {
        PersonSheet {
            id: "per_4".into(),
            name: "Tomás Ferreira".into(),
            mail: "tomas.ferreira@example.org".into(),
            role: "Member".into(),
            since: when("3 March"),
            seen: Some(when("2 h ago")),
            invited: false,
            deactivated: None,
            oneself: false,
            left: Some("€1.80 left".into()),
            spent: "€118.20 of €120.00".into(),
            meter: Some(Meter { per_mille: 985, share: "98 %".into() }),
            refill: "Refills on 1 December.".into(),
            sessions: vec![
                PersonSession { browser: "Firefox on Windows".into(), seen: when("2 h ago") },
                PersonSession { browser: "Safari on iPhone".into(), seen: when("yesterday") },
            ],
            tokens: 1,
            ask_deactivate: "/admin/people?open=per_4&ask=deactivate".into(),
            egress: "/admin/egress?person=per_4".into(),
            audit: "/admin/audit?actor=per_4".into(),
            caps: "/admin/caps?open=per_4".into(),
        }
    }

    fn with_sheet(sheet: PersonSheet) -> PeoplePage {
        let mut page = page();
        for row in &mut page.people {
            row.open = row.id == sheet.id;
        }
        PeoplePage { sheet: Some(sheet), ..page }
    }

    fn add(name: Field, mail: Field) -> PeopleAsk {
        let roles = vec![Choice::new("member", "Member", "member"), Choice::new("owner", "Owner", "member")];
        PeopleAsk::Add(AddPerson { name, mail, roles })
    }

    fn deactivation() -> PeopleAsk {
        PeopleAsk::Deactivate(Deactivation {
            id: "per_4".into(),
            name: "Tomás Ferreira".into(),
            ends: "2 sessions, 1 API token".into(),
            goes_on: "1 running generation".into(),
            stays: "388 pictures, and every posting".into(),
            back: "/admin/people?open=per_4".into(),
        })
    }

    /// Every state with the name of its file.
    pub fn pages() -> Vec<(&'static str, PeoplePage)> {
        let off = PersonSheet { deactivated: Some(when("18 November")), sessions: vec![], tokens: 0, ..sheet() };
        let me = PersonSheet {
            oneself: true,
            invited: true,
            seen: None,
            meter: None,
            left: None,
            spent: "€3.10".into(),
            refill: String::new(),
            sessions: vec![],
            ..sheet()
        };
        let made = MadePerson {
            name: "Ida Lund".into(),
            mail: "ida.lund@example.org".into(),
            one_time_password: "amber-violin-7402-quay".into(),
        };
        let nobody = PeoplePage { people: vec![], query: "zzz".into(), pager: Pager::default(), ..page() };
        let wrong =
            add(Field::of("Ida Lund"), Field::wrong("noor.haddad@example.org", "Noor Haddad has this mail already."));
        let mut gone = page();
        gone.showing_deactivated = true;
        gone.people.truncate(2);
        gone.people.iter_mut().for_each(|row| row.deactivated = true);
        vec![
            ("admin-people", page()),
            ("admin-people-nobody", nobody),
            ("admin-people-deactivated", gone),
            ("admin-people-open", with_sheet(sheet())),
            ("admin-people-off", with_sheet(off)),
            ("admin-people-oneself", with_sheet(me)),
            ("admin-people-add", PeoplePage { ask: Some(add(Field::default(), Field::default())), ..page() }),
            ("admin-people-add-wrong", PeoplePage { ask: Some(wrong), ..page() }),
            ("admin-people-deactivate", PeoplePage { ask: Some(deactivation()), ..with_sheet(sheet()) }),
            ("admin-people-made", PeoplePage { made: Some(made), ..page() }),
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
    fn the_dialog_names_the_consequence_and_posts_to_the_person() {
        let html = html("admin-people-deactivate");
        assert!(html.contains("2 sessions, 1 API token"));
        assert!(html.contains(r#"action="/admin/people/per_4/deactivate""#));
    }

    #[test]
    fn a_one_time_password_is_only_on_the_page_that_made_it() {
        assert!(html("admin-people-made").contains("amber-violin-7402-quay"));
        assert!(!html("admin-people").contains("amber-violin"));
    }

    #[test]
    fn whoever_was_seen_is_not_said_to_have_never_come() {
        let mut page = samples::page();
        let row = page.people.iter_mut().find(|row| row.seen.is_some()).unwrap();
        row.invited = true;
        page.people.retain(|row| row.seen.is_some());
        let html = page.render().unwrap();
        assert!(html.contains("No password chosen yet") && !html.contains("Not signed in yet"));
    }

    #[test]
    fn nobody_can_switch_off_oneself() {
        assert!(!html("admin-people-oneself").contains("ask=deactivate"));
        assert!(html("admin-people-open").contains("ask=deactivate"));
        assert!(html("admin-people-off").contains("/admin/people/per_4/reactivate"));
    }
}
