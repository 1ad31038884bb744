//! Caps as an owner sets them: which one counts, from when, and what may not be set.

use renderkeep::{
    base::{
        access::{CapsRead, Role},
        ctx::{Actor, Ctx},
        error::Fault,
        ids::{CapId, PersonId},
        paging::PageRequest,
    },
    ledger::{
        error::LedgerError,
        model::{CapFilter, NewCap, Period, Scope, Subject},
        ops,
    },
};

use super::{House, admitted, euros};

#[tokio::test]
async fn a_cap_set_later_counts_what_was_spent_before() {
    let house = House::new().await;
    let generation = house.held(50).await;
    house.held(20).await;
    house.settle(generation, 40).await.unwrap();
    for (subject, period) in [
        (Subject::Organisation(house.payer.organisation), Period::Total),
        (Subject::Workspace(house.payer.workspace), Period::Month),
        (Subject::Person(house.payer.person), Period::Day),
    ] {
        house.cap(subject, period, 100).await;
    }
    for state in house.states().await {
        assert_eq!((state.spent, state.held, state.left), (euros(40), euros(20), euros(40)), "{state:?}");
        assert_eq!(state.refills_at.is_none(), state.period == Period::Total);
    }
}

#[tokio::test]
async fn the_default_counts_for_each_person_alone_until_they_have_a_cap_of_their_own() {
    let house = House::new().await;
    house.cap(Subject::EachPerson, Period::Day, 10).await;
    house.cap(Subject::EachPerson, Period::Month, 50).await;
    let colleague = renderkeep::ledger::model::Payer { person: PersonId::new(&house.app().clock), ..house.payer };
    house.held(10).await;
    assert_eq!(admitted(&[house.hold(&house.wish(1)).await]), 0);
    assert_eq!(admitted(&[house.hold(&house.wish_of(colleague, 10)).await]), 1, "their own day");
    house.cap_person(Period::Day, 30).await;
    assert_eq!(admitted(&[house.hold(&house.wish(20)).await]), 1);
    assert_eq!(admitted(&[house.hold(&house.wish_of(colleague, 1)).await]), 0);
    let states = house.states().await;
    let seen: Vec<_> = states.iter().map(|state| (state.period, state.limit, state.subject.is_some())).collect();
    assert_eq!(seen, [(Period::Day, euros(30), true), (Period::Month, euros(50), false)]);
    house.balances().await;
}

#[tokio::test]
async fn lowering_a_cap_below_what_was_spent_stops_new_work_and_nothing_else() {
    let house = House::new().await;
    house.cap_person(Period::Month, 100).await;
    let generation = house.held(80).await;
    house.cap_person(Period::Month, 50).await;
    assert_eq!(house.only().await, [0, 80, -30]);
    assert_eq!(admitted(&[house.hold(&house.wish(1)).await]), 0);
    house.settle(generation, 70).await.unwrap();
    assert_eq!(house.only().await, [70, 0, -20]);
    house.balances().await;
}

#[tokio::test]
async fn there_is_one_cap_per_subject_and_period_and_each_change_is_audited() {
    let house = House::new().await;
    let new = |limit| NewCap { subject: Subject::EachPerson, period: Period::Day, limit: euros(limit) };
    let (first, _) = ops::set_cap(&house.ctx, house.app(), &new(10)).await.unwrap();
    let (second, state) = ops::set_cap(&house.ctx, house.app(), &new(20)).await.unwrap();
    assert_eq!((first.id, second.limit), (second.id, euros(20)));
    assert!(state.is_none(), "the default has no sums of its own");
    let changed = "audit_entries where action = 'caps.set' and actor_kind = 'person'
        and details->>'limit_micros' = '20' and details->>'limit_micros_before' = '10'";
    assert_eq!(house.count(changed).await, 1);
    ops::delete_cap(&house.ctx, house.app(), first.id).await.unwrap();
    assert_eq!(house.count("audit_entries where action = 'caps.delete'").await, 1);
    assert_eq!(house.states().await, []);
    let gone = ops::delete_cap(&house.ctx, house.app(), first.id).await.unwrap_err();
    assert_eq!(gone.code(), "not_found");
    assert_eq!(house.count("audit_entries where action = 'caps.delete'").await, 1);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_field_and_not_stored() {
    let house = House::new().await;
    let own = Subject::Person(house.payer.person);
    let clock = &house.app().clock;
    let dollars = renderkeep::base::money::Money { currency: "USD".parse().unwrap(), ..euros(5) };
    let cases = [
        (NewCap { subject: own, period: Period::Day, limit: dollars }, "limit.currency"),
        (NewCap { subject: own, period: Period::Day, limit: euros(-1) }, "limit.micros"),
        (NewCap { subject: Subject::Person(PersonId::new(clock)), period: Period::Day, limit: euros(5) }, "subject"),
        (
            NewCap {
                subject: Subject::Workspace(PersonId::new(clock).uuid().into()),
                period: Period::Day,
                limit: euros(5),
            },
            "subject",
        ),
        (
            NewCap {
                subject: Subject::Organisation(PersonId::new(clock).uuid().into()),
                period: Period::Day,
                limit: euros(5),
            },
            "subject",
        ),
    ];
    for (new, field) in cases {
        let error = ops::set_cap(&house.ctx, house.app(), &new).await.unwrap_err();
        assert_eq!(error.code(), "request.invalid", "{error:?}");
        assert_eq!(error.fields().iter().map(|fault| fault.name.as_str()).collect::<Vec<_>>(), [field]);
    }
    assert_eq!(house.count("caps").await + house.count("audit_entries").await, 0);
}

#[tokio::test]
async fn only_owners_set_and_delete_caps() {
    let house = House::new().await;
    house.cap_person(Period::Day, 5).await;
    let mut acting = house.ctx.acting().unwrap().clone();
    acting.roles = vec![Role::Member];
    let member = Ctx { actor: Actor::Person(Box::new(acting)), ..house.ctx.clone() };
    let new = NewCap { subject: Subject::EachPerson, period: Period::Day, limit: euros(5_000) };
    for actor in [member, Ctx { actor: Actor::Nobody, ..house.ctx.clone() }] {
        assert!(matches!(ops::set_cap(&actor, house.app(), &new).await, Err(LedgerError::Denied(_))));
        let id = CapId::new(&house.app().clock);
        assert!(matches!(ops::delete_cap(&actor, house.app(), id).await, Err(LedgerError::Denied(_))));
        assert!(actor.grant::<CapsRead>().is_err());
    }
    assert_eq!(house.count("caps").await, 1);
}

#[tokio::test]
async fn the_list_has_every_cap_newest_first_with_where_it_stands() {
    let house = House::new().await;
    house.cap(Subject::EachPerson, Period::Day, 10).await;
    house.cap(Subject::Organisation(house.payer.organisation), Period::Month, 90).await;
    house.cap_person(Period::Total, 50).await;
    house.held(7).await;
    let grant = house.ctx.grant::<CapsRead>().unwrap();
    let list = async |filter: CapFilter, limit| {
        ops::list_caps(&house.ctx, house.app(), &grant, &filter, &PageRequest::first(limit)).await.unwrap()
    };
    let all = list(CapFilter::default(), 50).await;
    let seen: Vec<_> = all
        .items
        .iter()
        .map(|(cap, state)| (cap.subject.scope(), cap.period, state.as_ref().map(|state| state.left.micros.0)))
        .collect();
    assert_eq!(
        seen,
        [
            (Scope::Person, Period::Total, Some(43)),
            (Scope::Organisation, Period::Month, Some(83)),
            (Scope::Person, Period::Day, None),
        ]
    );
    let mut page = PageRequest::first(2);
    let first = ops::list_caps(&house.ctx, house.app(), &grant, &CapFilter::default(), &page).await.unwrap();
    page.before = first.next;
    let second = ops::list_caps(&house.ctx, house.app(), &grant, &CapFilter::default(), &page).await.unwrap();
    assert_eq!((first.items.len(), second.items.len(), second.next), (2, 1, None));
    let filters = [
        CapFilter { scope: Some(Scope::Organisation), ..CapFilter::default() },
        CapFilter { subject: Some(house.payer.person.uuid()), ..CapFilter::default() },
        CapFilter { period: Some(Period::Day), ..CapFilter::default() },
    ];
    for filter in filters {
        assert_eq!(list(filter, 50).await.items.len(), 1, "{filter:?}");
    }
}
