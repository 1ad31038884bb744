//! What a statement says is what the caps have counted, line by line.

use chrono::Duration;
use renderkeep::{
    base::{ids::PersonId, paging::PageRequest},
    ledger::{
        model::{Payer, Period},
        ops::statement,
        statement::{Line, Month},
    },
};

use super::House;
use crate::{
    studio::{cap, quick},
    support::app::{Client, TestApp},
};

impl House {
    /// All lines of a month, read in pages of two.
    async fn lines(&self, month: Month, person: Option<PersonId>) -> Vec<Line> {
        let (grant, mut page, mut lines) = (self.ctx.grant().unwrap(), PageRequest::first(2), Vec::new());
        loop {
            let found = statement::all_lines(self.app(), &grant, month, person, &page).await.unwrap();
            lines.extend(found.items);
            match found.next {
                Some(last) => page.before = Some(last),
                None => return lines,
            }
        }
    }
}

#[tokio::test]
async fn the_lines_of_a_month_add_up_to_what_its_caps_have_counted() {
    let house = House::new().await;
    let colleague = Payer { person: PersonId::new(&house.app().clock), ..house.payer };
    for (payer, held, actual) in [
        (house.payer, 10, Some(10)),
        (house.payer, 10, Some(4)),
        (house.payer, 10, Some(17)),
        (colleague, 10, Some(9)),
        (house.payer, 10, Some(0)),
        (house.payer, 10, None),
        (colleague, 5, Some(5)),
    ] {
        let wish = house.wish_of(payer, held);
        house.hold(&wish).await.unwrap();
        match actual {
            Some(0) => house.release(wish.generation).await.unwrap(),
            Some(actual) => drop(house.settle(wish.generation, actual).await.unwrap()),
            None => {}
        }
        house.app().clock.advance(Duration::seconds(1));
    }
    let month = Month::of(house.app().clock.today());
    let all = house.lines(month, None).await;
    let charged: Vec<i64> = all.iter().map(|line| line.charged.micros.0).collect();
    assert_eq!(charged, [5, 9, 17, 4, 10], "newest first, and nothing that cost nothing");
    assert_eq!(all[2].overage.micros.0, 7);
    let own = house.lines(month, Some(house.payer.person)).await;
    assert_eq!(own.iter().map(|line| line.charged.micros.0).collect::<Vec<_>>(), [17, 4, 10]);
    let (grant, app) = (house.ctx.grant().unwrap(), house.app());
    let whole = statement::all_counted(app, &grant, month).await.unwrap();
    assert_eq!((whole.sums.spent.0, whole.sums.held.0, whole.months), (45, 10, vec![month]));
    let people = statement::by_person(app, &grant, month).await.unwrap();
    let people: Vec<_> = people.into_iter().map(|(person, sums)| (person, sums.spent.0, sums.held.0)).collect();
    assert_eq!(people, [(house.payer.person, 31, 10), (colleague.person, 14, 0)]);
}

#[tokio::test]
async fn work_counts_in_the_month_in_which_it_was_accepted() {
    let house = House::new().await;
    house.cap_person(Period::Month, 100).await;
    let month = Month::of(house.app().clock.today());
    let under_way = house.held(30).await;
    house.app().clock.advance(Duration::days(31));
    house.settle(under_way, 30).await.unwrap();
    assert_eq!(house.only().await, [0, 0, 100], "nothing is carried over");
    let next = Month::of(house.app().clock.today());
    assert_ne!(month, next);
    assert_eq!(house.lines(next, None).await, []);
    let lines = house.lines(month, None).await;
    assert_eq!((lines.len(), lines[0].charged.micros.0), (1, 30));
    assert!(lines[0].charged_at.date_naive() >= next.first_day(), "charged later");
    house.balances().await;
}

async fn table(client: &Client, path: &str) -> Vec<Vec<String>> {
    let reply = client.get(path).await;
    assert_eq!((reply.status, &reply.headers["content-type"]), (200, &"text/csv; charset=utf-8".parse().unwrap()));
    let mut reader = csv::ReaderBuilder::new().from_reader(reply.body.as_ref());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[tokio::test]
async fn everybody_reads_their_own_and_owners_read_all() {
    let app = TestApp::start().await;
    let (owner, member) = (app.owner().await, app.member("ana@example.org").await);
    cap(&owner, "organisation", "month", 1_000_000).await;
    for client in [&owner, &member, &member] {
        let made = client.post("/api/v1/generations", &quick("a gradient")).await.json();
        client.wait(made["id"].as_str().unwrap()).await;
    }
    let lines = |reply: &crate::support::app::Reply| reply.json()["items"].as_array().unwrap().clone();
    let own = lines(&member.get("/api/v1/statement").await);
    assert_eq!(own.len(), 2);
    assert!(own.iter().all(|line| line["charged"]["micros"] == 20_000 && line["overage"]["micros"] == 0), "{own:?}");
    assert_eq!(lines(&owner.get("/api/v1/admin/statement?limit=2").await).len(), 2);
    assert_eq!(lines(&owner.get("/api/v1/statement?month=2020-01").await).len(), 0);
    for wrong in ["2026", "2026-13", "november"] {
        assert_eq!(owner.get(&format!("/api/v1/statement?month={wrong}")).await.status, 422, "{wrong}");
    }
    for path in ["/api/v1/admin/statement", "/api/v1/admin/statement/export"] {
        assert_eq!(member.get(path).await.status, 403, "{path}");
    }

    let own = table(&member, "/api/v1/statement/export").await;
    assert_eq!(own.len(), 2);
    assert_eq!(
        own[0][4..],
        ["Somebody", &own[0][5], "demo/painter", "demo", &own[0][8], "EUR", "0.02", "0.02", "0.00"]
    );
    assert_eq!(table(&owner, "/api/v1/admin/statement/export").await.len(), 3);
    let person = &own[0][3];
    assert_eq!(table(&owner, &format!("/api/v1/admin/statement/export?person={person}")).await, own);
    let log = owner.get("/api/v1/admin/audit?action=ledger.export").await;
    assert_eq!(lines(&log).len(), 2, "each export of everybody's statement is audited");

    let page = |client: Client, path: &'static str| async move {
        let request = client.request("GET", path).header("Accept", "text/html");
        String::from_utf8(client.send(request).await.body.to_vec()).unwrap()
    };
    assert!(page(member.clone(), "/activity/statement").await.contains("You were charged €0.04"));
    let all = page(owner.clone(), "/admin/statements").await;
    assert!(all.contains("Everybody was charged €0.06") && all.contains("66 %"), "{all}");
}
