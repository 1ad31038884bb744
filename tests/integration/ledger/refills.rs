//! Room that is added to one window, and whoever is warned before there is none left.

use chrono::Duration;
use renderkeep::{
    base::{ids::PersonId, paging::PageRequest},
    ledger::{
        error::LedgerError,
        model::{CapFilter, Payer, Period, Subject},
        ops::{self, Refill},
    },
    platform::idempotency::{Answer, Once},
};
use serde_json::{Value, json};

use super::{House, admitted, euros};
use crate::{
    studio::{cap, quick, standing},
    support::app::TestApp,
};

impl House {
    async fn refill(&self, subject: Subject, micros: i64, once: &Once) -> Result<Answer, LedgerError> {
        let grant = self.ctx.grant().unwrap();
        let (filter, page) = (CapFilter::default(), PageRequest::first(50));
        let caps = ops::list_caps(&self.ctx, self.app(), &grant, &filter, &page).await.unwrap();
        let own = caps.items[0].0;
        let person = match (own.subject, subject) {
            (Subject::EachPerson, Subject::Person(person)) => Some(person),
            _ => None,
        };
        let refill = Refill { cap: own.id, person, amount: euros(micros), reason: "the trade fair" };
        let render = |state: &_| Answer {
            status: 200,
            location: None,
            body: serde_json::to_value(state).unwrap(),
            replayed: false,
        };
        ops::refill_cap(&self.ctx, self.app(), &refill, once, render).await
    }

    /// Percent and limit of every warning, in their order.
    async fn warned(&self) -> Vec<(i32, i64)> {
        let client = crate::support::postgres::connect(&self.test.database.url()).await;
        let rows = client
            .query("select percent, limit_micros from cap_warnings order by limit_micros, percent", &[])
            .await
            .unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

#[tokio::test]
async fn a_refill_gives_room_in_its_window_and_in_no_other() {
    let house = House::new().await;
    house.cap_person(Period::Day, 100).await;
    house.held(100).await;
    assert_eq!(admitted(&[house.hold(&house.wish(1)).await]), 0);
    let person = Subject::Person(house.payer.person);
    let state = house.refill(person, 50, &Once::unkeyed()).await.unwrap().body;
    assert_eq!((&state["limit"]["micros"], &state["left"]["micros"]), (&json!(150), &json!(50)), "{state}");
    assert_eq!(house.only().await, [0, 100, 50]);
    house.held(50).await;
    assert_eq!(admitted(&[house.hold(&house.wish(1)).await]), 0);
    assert_eq!(house.count("audit_entries where action = 'caps.refill' and reason is not null").await, 1);

    house.app().clock.advance(Duration::days(1));
    assert_eq!(house.only().await, [0, 0, 100], "tomorrow has its own hundred and no more");
    house.balances().await;
}

#[tokio::test]
async fn who_lives_by_the_default_is_refilled_alone() {
    let house = House::new().await;
    house.cap(Subject::EachPerson, Period::Month, 10).await;
    house.held(10).await;
    let colleague = Payer { person: PersonId::new(&house.app().clock), ..house.payer };
    house.people(&[colleague]).await;
    assert!(
        matches!(house.refill(Subject::EachPerson, 5, &Once::unkeyed()).await, Err(LedgerError::Invalid(_))),
        "whose?"
    );
    let nobody = Subject::Person(PersonId::new(&house.app().clock));
    assert!(matches!(house.refill(nobody, 5, &Once::unkeyed()).await, Err(LedgerError::Invalid(_))));
    house.refill(Subject::Person(house.payer.person), 5, &Once::unkeyed()).await.unwrap();
    assert_eq!(admitted(&[house.hold(&house.wish(5)).await, house.hold(&house.wish(1)).await]), 1);
    assert_eq!(admitted(&[house.hold(&house.wish_of(colleague, 11)).await]), 0, "nobody else has more than before");
}

#[tokio::test]
async fn a_refill_that_is_sent_twice_counts_once_and_one_of_nothing_is_refused() {
    let house = House::new().await;
    house.cap_person(Period::Total, 10).await;
    let person = Subject::Person(house.payer.person);
    let once = Once::keyed("POST refill".to_owned(), "one", [1; 32]);
    let first = house.refill(person, 7, &once).await.unwrap();
    let again = house.refill(person, 7, &once).await.unwrap();
    assert!(!first.replayed && again.replayed && first.body == again.body);
    for amount in [0, -7, i64::MAX] {
        let refused = house.refill(person, amount, &Once::unkeyed()).await;
        assert!(matches!(refused, Err(LedgerError::Invalid(_) | LedgerError::TooLarge(_))), "{amount}");
    }
    assert_eq!(house.only().await, [0, 0, 17]);
}

#[tokio::test]
async fn each_mark_of_a_limit_is_noted_once() {
    let house = House::new().await;
    house.cap_person(Period::Month, 100).await;
    house.held(49).await;
    assert_eq!(house.warned().await, []);
    let released = house.held(1).await;
    assert_eq!(house.warned().await, [(50, 100)]);
    house.release(released).await.unwrap();
    house.held(1).await;
    assert_eq!(house.warned().await, [(50, 100)], "the same mark again");
    let last = house.held(50).await;
    assert_eq!(house.warned().await, [(50, 100), (80, 100), (100, 100)], "two marks at once");
    house.refill(Subject::Person(house.payer.person), 100, &Once::unkeyed()).await.unwrap();
    assert_eq!(house.states().await[0].warning, Some(50));
    // More than was set aside is billed: that alone passes a mark of the new limit.
    house.settle(last, 130).await.unwrap();
    assert_eq!(house.warned().await[3..], [(80, 200)]);
    assert_eq!(house.states().await[0].warning, Some(80));
}

#[tokio::test]
async fn nothing_is_noted_for_work_that_was_refused() {
    let house = House::new().await;
    house.cap_person(Period::Month, 100).await;
    assert_eq!(admitted(&[house.hold(&house.wish(101)).await]), 0);
    assert_eq!(house.warned().await, []);
}

#[tokio::test]
async fn people_are_told_what_is_left_and_owners_add_to_it_on_the_page() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    cap(&owner, "organisation", "month", 25_000).await;
    let one = owner.post("/api/v1/generations", &quick("one")).await.json();
    owner.wait(one["id"].as_str().unwrap()).await;
    let me = owner.get("/api/v1/me").await.json();
    assert_eq!(me["caps"][0]["warning"], 80, "{me}");
    let page = |path: &'static str| {
        let request = owner.request("GET", path).header("Accept", "text/html");
        async { String::from_utf8(owner.send(request).await.body.to_vec()).unwrap() }
    };
    assert!(page("/activity").await.contains("spend cap for this month is used to 80 %"));
    let refused = owner.post("/api/v1/generations", &quick("two")).await;
    assert_eq!(refused.status, 402);

    let caps = page("/admin/caps?open=organisation").await;
    assert!(caps.contains("Warned at 50 % on") && caps.contains("80 % on"), "{caps}");
    let id = owner.get("/api/v1/admin/caps").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/admin/caps/{id}/refill");
    let body = |micros: i64| json!({"amount": {"micros": micros, "currency": "EUR"}, "reason": "the trade fair"});
    let wrong: Value = owner.post(&path, &body(0)).await.json();
    assert_eq!(wrong["fields"][0]["name"], "amount.micros", "{wrong}");
    assert_eq!(owner.post(&path, &body(15_000)).await.status, 200);
    assert_eq!(standing(&owner).await, (20_000, 0, 20_000));
    assert_eq!(owner.post("/api/v1/generations", &quick("two")).await.status, 202);
}
