//! From caps and sums to what the page shows. Words and numbers only; nothing here asks the database.

use super::{
    desk::{Desk, name},
    views::{
        CapDeletion, CapLevels, CapPeriod, CapRefill, CapRow, CapScope, CapSheet, CapStat, CapUse, CapsAsk, CapsPage,
        NewCap,
    },
};
use crate::{
    base::{
        ids::PersonId,
        money::{Micros, Money},
    },
    ledger::model::{Cap, CapState, Period, Subject, Sums, Warning},
    web::{
        format,
        frame::Place,
        page::PageFrame,
        parts::{AdminPlace, Choice, Field, Meter},
    },
};

/// What was typed for each period, with what is wrong with it.
#[derive(Debug)]
pub struct Typed(pub Vec<(Period, String, Option<String>)>);

pub fn page(
    frame: PageFrame,
    desk: &Desk,
    open: Option<Subject>,
    sheet: Option<CapSheet>,
    ask: Option<CapsAsk>,
) -> CapsPage {
    let rows = rows(desk, open);
    let heading = heading(&rows);
    CapsPage {
        frame: frame.titled("Spend caps", Place::Admin),
        here: AdminPlace::Caps,
        heading,
        stats: stats(desk),
        rows,
        sheet,
        ask,
        currency: desk.organisation.currency.to_string(),
    }
}

fn show(money: Money) -> String {
    format::money(money.micros.0, money.currency.as_str())
}

/// Spent and set aside in per mille of the limit.
fn meter(state: &CapState) -> Meter {
    let used = i128::from(state.spent.micros.0) + i128::from(state.held.micros.0);
    Meter::of(used, i128::from(state.limit.micros.0))
}

fn heading(rows: &[CapRow]) -> String {
    let used = |row: &CapRow| row.used.as_ref().map_or(0, |used| used.meter.per_mille);
    let full = rows.iter().filter(|row| used(row) >= 1000).count();
    let close = rows.iter().filter(|row| (800..1000).contains(&used(row))).count();
    let caps = |count: usize| if count == 1 { "One cap is".to_owned() } else { format!("{count} caps are") };
    match (full, close) {
        (0, 0) => "Spend caps".to_owned(),
        (0, close) => format!("{} close to the limit", caps(close)),
        (full, 0) => format!("{} used up", caps(full)),
        (full, 1) => format!("{} used up, one is close", caps(full)),
        (full, close) => format!("{} used up, {close} are close", caps(full)),
    }
}

fn stats(desk: &Desk) -> Vec<CapStat> {
    let sums = |period| desk.counted.iter().find(|(of, _)| *of == period).map(|(_, sums)| *sums).unwrap_or_default();
    let subject = Subject::Organisation(desk.organisation.id);
    let spent = |period: Period, name: String, starts_again: String| {
        let state = desk.cap(subject, period).and_then(|(_, state)| state.as_ref());
        CapStat {
            name,
            amount: amount(desk, sums(period).spent),
            of: state.map(|state| format!("of {}", show(state.limit))).unwrap_or_default(),
            meter: state.map(meter),
            note: if state.is_some() { starts_again } else { "No cap".to_owned() },
        }
    };
    let next_month = refills(desk, Period::Month, "%-d %B");
    vec![
        spent(Period::Month, desk.now.format("Spent in %B").to_string(), format!("Starts again on {next_month}")),
        spent(Period::Day, "Spent today".to_owned(), "Starts again at midnight UTC".to_owned()),
        set_aside(desk, sums(Period::Total)),
        spent(Period::Total, "Spent in total".to_owned(), "Does not start again".to_owned()),
    ]
}

fn set_aside(desk: &Desk, sums: Sums) -> CapStat {
    let note = match sums.held {
        Micros::ZERO => "Nothing is running",
        _ => "For work that runs or waits. What is not used comes back.",
    };
    CapStat {
        name: "Set aside".to_owned(),
        amount: amount(desk, sums.held),
        of: String::new(),
        meter: None,
        note: note.to_owned(),
    }
}

fn amount(desk: &Desk, micros: Micros) -> String {
    show(Money::new(micros, desk.organisation.currency))
}

fn refills(desk: &Desk, period: Period, shape: &str) -> String {
    period.refills_at(desk.now.date_naive()).map(|at| at.format(shape).to_string()).unwrap_or_default()
}

/// The organisation, the default, workspaces, then people: whoever has least room first.
fn rows(desk: &Desk, open: Option<Subject>) -> Vec<CapRow> {
    let mut subjects: Vec<Subject> = Vec::new();
    for (cap, _) in &desk.caps {
        if !subjects.contains(&cap.subject) {
            subjects.push(cap.subject);
        }
    }
    let mut rows: Vec<_> = subjects.into_iter().map(|subject| (subject, row(desk, subject, open))).collect();
    rows.sort_by_key(|(subject, row)| {
        let used = row.used.as_ref().map_or(0, |used| used.meter.per_mille);
        (place(*subject), std::cmp::Reverse(used), row.name.clone())
    });
    rows.into_iter().map(|(_, row)| row).collect()
}

fn place(subject: Subject) -> u8 {
    match subject {
        Subject::Organisation(_) => 0,
        Subject::EachPerson => 1,
        Subject::Workspace(_) => 2,
        Subject::Person(_) => 3,
    }
}

fn scope(subject: Subject) -> CapScope {
    match subject {
        Subject::Organisation(_) => CapScope::Organisation,
        Subject::EachPerson => CapScope::Default,
        Subject::Workspace(_) => CapScope::Workspace,
        Subject::Person(_) => CapScope::Person,
    }
}

fn row(desk: &Desk, subject: Subject, open: Option<Subject>) -> CapRow {
    let limit = |period| match desk.cap(subject, period) {
        Some((cap, Some(state))) if state.refilled.micros > Micros::ZERO => {
            format!("{} + {} added", show(cap.limit), show(state.refilled))
        }
        Some((cap, _)) => show(cap.limit),
        None => "–".to_owned(),
    };
    let caps = desk.caps_of(subject);
    let tightest = caps.iter().filter_map(|(_, state)| state.as_ref()).max_by_key(|state| meter(state).per_mille);
    CapRow {
        scope: scope(subject),
        name: name(desk, subject).unwrap_or_else(|| "A workspace".to_owned()),
        note: note(desk, subject, tightest),
        day: limit(Period::Day),
        month: limit(Period::Month),
        total: limit(Period::Total),
        used: tightest.map(|state| CapUse { meter: meter(state), left: show(state.left) }),
        href: desk.address(subject),
        open: open == Some(subject),
    }
}

fn note(desk: &Desk, subject: Subject, tightest: Option<&CapState>) -> String {
    match (subject, tightest) {
        (Subject::Organisation(_), _) => persons(desk.people),
        (Subject::EachPerson, _) => format!("who has no cap of their own, {}", persons(others(desk))),
        (_, Some(state)) => match refills(desk, state.period, "%-d %B").as_str() {
            "" => "does not refill".to_owned(),
            day => format!("refills on {day}"),
        },
        (_, None) => String::new(),
    }
}

fn persons(count: u64) -> String {
    if count == 1 { "1 person".to_owned() } else { format!("{} people", format::count(count)) }
}

fn others(desk: &Desk) -> u64 {
    desk.people.saturating_sub(u64::try_from(desk.capped_people()).unwrap_or_default())
}

/// What a subject's windows of now have counted, and the marks that they have passed.
#[derive(Debug, Default)]
pub struct Counted {
    pub sums: Vec<(Period, Sums)>,
    pub warnings: Vec<Warning>,
}

pub fn sheet(desk: &Desk, subject: Subject, name: &str, counted: &Counted, typed: Option<&Typed>) -> CapSheet {
    let own = !desk.caps_of(subject).is_empty();
    let note = match subject {
        Subject::Organisation(_) | Subject::Workspace(_) => "Shared by everybody in it",
        Subject::EachPerson => "Counts for each person without a cap of their own",
        Subject::Person(_) if own => "A cap of their own takes the default's place, period by period",
        Subject::Person(_) => "The default counts",
    };
    CapSheet {
        scope: scope(subject),
        subject: match subject {
            Subject::Person(_) | Subject::Workspace(_) => desk.word(subject),
            Subject::Organisation(_) | Subject::EachPerson => String::new(),
        },
        name: name.to_owned(),
        note: note.to_owned(),
        stuck: stuck(desk, subject),
        periods: Period::ALL.map(|period| self::period(desk, subject, period, counted, typed)).to_vec(),
        audit: "/admin/audit?action=caps.set".to_owned(),
    }
}

fn stuck(desk: &Desk, subject: Subject) -> Option<(String, String)> {
    let caps = desk.caps_of(subject);
    let full = caps.iter().filter_map(|(_, state)| state.as_ref()).find(|state| state.left.micros <= Micros::ZERO)?;
    let until = match refills(desk, full.period, "%-d %B, %H:%M UTC").as_str() {
        "" => "until the limit is raised".to_owned(),
        time => format!("until {time}, or until the limit is raised"),
    };
    Some(("Nothing is left".to_owned(), format!("New requests are refused {until}. A refused request costs nothing.")))
}

fn period(desk: &Desk, subject: Subject, period: Period, counted: &Counted, typed: Option<&Typed>) -> CapPeriod {
    let standing = desk.cap(subject, period);
    let kept = || Field::of(standing.map(|(cap, _)| cap.limit.micros.decimal()).unwrap_or_default());
    let typed = typed.and_then(|Typed(all)| all.iter().find(|(of, ..)| *of == period));
    let sums = counted.sums.iter().find(|(of, _)| *of == period).map(|(_, sums)| *sums);
    let spent = sums.map(|sums| amount(desk, sums.spent));
    let (word, label, when) = match period {
        Period::Day => ("day", "A day", "today".to_owned()),
        Period::Month => ("month", "A month", desk.now.format("in %B").to_string()),
        Period::Total => ("total", "In total", "ever".to_owned()),
    };
    CapPeriod {
        period: word,
        label,
        amount: typed.map_or_else(kept, |(_, text, fault)| Field { value: text.clone(), error: fault.clone() }),
        spent_note: match spent {
            Some(spent) => format!("{spent} {when}"),
            None => format!("For each of {}", persons(others(desk))),
        },
        cap: in_force(desk, subject, period, sums).map(|(cap, state)| levels(desk, subject, &cap, &state, counted)),
    }
}

/// The cap that counts for a subject: its own, or for a person without one the default, with their own sums.
pub fn in_force(desk: &Desk, subject: Subject, period: Period, sums: Option<Sums>) -> Option<(Cap, CapState)> {
    if let Some((cap, state)) = desk.cap(subject, period) {
        return Some((*cap, state.clone()?));
    }
    let (cap, _) = matches!(subject, Subject::Person(_)).then(|| desk.cap(Subject::EachPerson, period)).flatten()?;
    let state = CapState::new(cap, sums.unwrap_or_default(), desk.now.date_naive()).ok()?;
    Some((*cap, state))
}

fn levels(desk: &Desk, subject: Subject, cap: &Cap, state: &CapState, counted: &Counted) -> CapLevels {
    let ask = |what: &str| format!("{}&ask={what}&cap={}", desk.address(subject), cap.id);
    let marks = counted
        .warnings
        .iter()
        .filter(|warning| warning.window.period == cap.period && warning.limit == state.limit.micros);
    let marks: Vec<String> =
        marks.map(|warning| format!("{} % on {}", warning.percent, warning.at.format("%-d %B, %H:%M UTC"))).collect();
    let refills = match refills(desk, cap.period, "%-d %B, %H:%M UTC") {
        never if never.is_empty() => "never".to_owned(),
        time => time,
    };
    CapLevels {
        id: cap.id.to_string(),
        meter: meter(state),
        spent: show(state.spent),
        held: show(state.held),
        left: show(state.left),
        refilled: (state.refilled.micros > Micros::ZERO).then(|| show(state.refilled)),
        refills,
        warned: (!marks.is_empty()).then(|| marks.join(", ")),
        ask_refill: ask("refill"),
        ask_delete: (cap.subject == subject).then(|| ask("delete")),
    }
}

pub fn refill(
    desk: &Desk,
    subject: Subject,
    name: &str,
    (cap, state): &(Cap, CapState),
    [amount, reason]: [Field; 2],
) -> CapRefill {
    let until = match refills(desk, cap.period, "%-d %B, %H:%M UTC") {
        never if never.is_empty() => "Counts for good".to_owned(),
        time => format!("Counts until {time}"),
    };
    CapRefill {
        id: cap.id.to_string(),
        person: if cap.subject == subject { String::new() } else { desk.word(subject) },
        cap: format!("{}, for {name}", rule(cap)),
        left: show(state.left),
        counts: until,
        amount,
        reason,
        back: desk.address(subject),
    }
}

pub fn new_cap(desk: &Desk, people: &[(PersonId, String)]) -> NewCap {
    let now = match default_rule(desk).as_str() {
        "" => "Until then nothing limits them but the organisation's own caps.".to_owned(),
        rule => format!("Until then the default counts for them: {rule}."),
    };
    NewCap {
        people: people.iter().map(|(id, name)| Choice::new(id.to_string(), name, "")).collect(),
        day: Field::default(),
        month: Field::default(),
        total: Field::default(),
        now,
    }
}

/// "€20.00 a day, €120.00 a month"
fn default_rule(desk: &Desk) -> String {
    let rules: Vec<_> = desk.caps_of(Subject::EachPerson).into_iter().map(|(cap, _)| rule(cap)).collect();
    rules.join(", ")
}

fn rule(cap: &Cap) -> String {
    let period = match cap.period {
        Period::Day => "a day",
        Period::Month => "a month",
        Period::Total => "in total",
    };
    format!("{} {period}", show(cap.limit))
}

pub fn deletion(desk: &Desk, cap: &Cap) -> CapDeletion {
    let whose = match cap.subject {
        Subject::EachPerson => "each person without a cap of their own".to_owned(),
        subject => name(desk, subject).unwrap_or_else(|| "a workspace".to_owned()),
    };
    let default =
        matches!(cap.subject, Subject::Person(_)).then(|| desk.cap(Subject::EachPerson, cap.period)).flatten();
    let then = match default {
        Some((default, _)) => format!("The default counts: {}", rule(default)),
        None => "No limit of this kind".to_owned(),
    };
    CapDeletion {
        id: cap.id.to_string(),
        cap: format!("{} for {whose}", rule(cap)),
        then,
        back: desk.address(cap.subject),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use askama::Template;

    use super::*;
    use crate::{
        base::{
            clock::Clock,
            ids::{CapId, OrganisationId},
        },
        ledger::ops::Standing,
        organisation::model::Organisation,
        web::frame::samples::frame,
    };

    fn standing(clock: &Clock, subject: Subject, period: Period, limit: i64, spent: i64, held: i64) -> Standing {
        let now = clock.now();
        let limit = Money::new(Micros(limit), "EUR".parse().unwrap());
        let cap = Cap { id: CapId::new(clock), subject, period, limit, created_at: now, updated_at: now };
        let sums = Sums { held: Micros(held), spent: Micros(spent), ..Sums::default() };
        let state = (subject != Subject::EachPerson).then(|| CapState::new(&cap, sums, now.date_naive()).unwrap());
        (cap, state)
    }

    fn desk() -> (Desk, Subject) {
        let clock = Clock::fixed();
        let (organisation, person) = (OrganisationId::new(&clock), PersonId::new(&clock));
        let whole = Subject::Organisation(organisation);
        let caps = vec![
            standing(&clock, Subject::Person(person), Period::Total, 10_000_000, 9_000_000, 1_500_000),
            standing(&clock, Subject::EachPerson, Period::Total, 50_000_000, 0, 0),
            standing(&clock, whole, Period::Month, 90_000_000, 76_500_000, 0),
        ];
        let desk = Desk {
            organisation: Organisation { id: organisation, name: "Halden".into(), currency: "EUR".parse().unwrap() },
            caps,
            counted: vec![(Period::Month, Sums { spent: Micros(76_500_000), ..Sums::default() })],
            names: HashMap::from([(person, "Yuki <Tanaka>".to_owned())]),
            workspaces: HashMap::new(),
            people: 3,
            now: clock.now(),
        };
        (desk, Subject::Person(person))
    }

    #[test]
    fn rows_come_from_the_top_down_and_the_heading_says_who_is_stuck() {
        let (desk, person) = desk();
        let rows = rows(&desk, Some(person));
        let scopes: Vec<_> = rows.iter().map(|row| row.scope).collect();
        assert_eq!(scopes, [CapScope::Organisation, CapScope::Default, CapScope::Person]);
        assert_eq!(heading(&rows), "One cap is used up, one is close");
        assert_eq!(rows[0].note, "3 people");
        assert_eq!(rows[1].note, "who has no cap of their own, 2 people");
        assert_eq!((rows[2].note.as_str(), rows[2].open), ("does not refill", true));
        let used = rows[2].used.as_ref().unwrap();
        assert_eq!((used.meter.per_mille, used.left.as_str()), (1050, "−€0.50"));
    }

    #[test]
    fn a_row_adds_up_after_a_refill() {
        let (mut desk, person) = desk();
        let (cap, state) = desk.caps.first_mut().unwrap();
        let sums = Sums { refilled: Micros(20_000), ..Sums::default() };
        *state = Some(CapState::new(cap, sums, desk.now.date_naive()).unwrap());
        let row = row(&desk, person, None);
        assert_eq!((row.total.as_str(), row.used.unwrap().left.as_str()), ("€10.00 + €0.02 added", "€10.02"));
    }

    #[test]
    fn a_limit_of_nothing_is_used_up() {
        let clock = Clock::fixed();
        let (_, state) = standing(&clock, desk().1, Period::Day, 0, 0, 0);
        assert_eq!(meter(&state.unwrap()).per_mille, 1000);
    }

    #[test]
    fn a_sheet_has_the_limits_to_edit_what_is_stuck_and_what_was_typed_wrong() {
        let (desk, person) = desk();
        let spent = Sums { spent: Micros(9_000_000), ..Sums::default() };
        let counted = Counted { sums: Period::ALL.map(|period| (period, spent)).to_vec(), warnings: Vec::new() };
        let plain = sheet(&desk, person, "Yuki", &counted, None);
        let amounts: Vec<_> = plain.periods.iter().map(|period| period.amount.value.as_str()).collect();
        assert_eq!(amounts, ["", "", "10.00"]);
        assert_eq!(plain.periods[1].spent_note, "€9.00 in November");
        assert_eq!(
            plain.stuck.unwrap().1,
            "New requests are refused until the limit is raised. A refused request costs nothing."
        );
        assert_eq!(plain.periods[2].cap.as_ref().unwrap().refills, "never");
        let typed = Typed(vec![(Period::Day, "ten".into(), Some("Write an amount.".into()))]);
        let wrong = sheet(&desk, person, "Yuki", &counted, Some(&typed));
        assert_eq!(wrong.periods[0].amount, Field::wrong("ten", "Write an amount."));
    }

    #[test]
    fn deleting_says_what_counts_afterwards() {
        let (desk, person) = desk();
        let own = deletion(&desk, &desk.cap(person, Period::Total).unwrap().0);
        assert_eq!(own.then, "The default counts: €50.00 in total");
        let rule = deletion(&desk, &desk.cap(Subject::EachPerson, Period::Total).unwrap().0);
        assert_eq!(
            (rule.cap.as_str(), rule.then.as_str()),
            ("€50.00 in total for each person without a cap of their own", "No limit of this kind")
        );
        assert_eq!(new_cap(&desk, &[]).now, "Until then the default counts for them: €50.00 in total.");
    }

    #[test]
    fn names_are_text_on_the_page() {
        let (desk, person) = desk();
        let rows = rows(&desk, None);
        let page = CapsPage {
            frame: frame("Spend caps", Place::Admin),
            here: AdminPlace::Caps,
            heading: heading(&rows),
            stats: stats(&desk),
            rows,
            sheet: Some(sheet(&desk, person, "Yuki <Tanaka>", &Counted::default(), None)),
            ask: None,
            currency: "EUR".into(),
        };
        let html = page.render().unwrap();
        assert!(html.contains("Yuki") && !html.contains("<Tanaka>"));
        assert!(html.contains("Spent in November") && html.contains("of €90.00"));
    }
}
