//! Money on a real Postgres: what is set aside, charged, given back and refused, one at a time and all at once.

use chrono::Duration;
use diesel_async::SimpleAsyncConnection;
use futures::future::join_all;
use renderkeep::{
    base::{
        access::{Role, Scope as TokenScope},
        clock::Clock,
        ctx::{Acting, Actor, Credential, Ctx, RequestId},
        error::{Fault, Kind},
        ids::{GenerationId, OrganisationId, PersonId, ProviderId, WorkspaceId},
        money::{Micros, Money},
    },
    ledger::{
        error::LedgerError,
        model::{CapState, NewCap, NewHold, Payer, Period, Scope, Settled, Subject},
        ops,
    },
    platform::{Platform, db::DbError},
};

use crate::support::{self, TestPlatform, postgres::connect};

mod caps;
mod doors;
mod model;
mod refills;
mod safeguards;
mod statements;

/// A platform with one organisation's owner, and somebody who works there.
pub struct House {
    pub test: TestPlatform,
    pub ctx: Ctx,
    pub payer: Payer,
    pub provider: ProviderId,
}

impl House {
    pub async fn new() -> Self {
        let mut test = support::platform().await;
        // Stands still, so that no test meets a real midnight.
        test.platform.clock = Clock::fixed();
        let clock = &test.platform.clock;
        let payer = Payer {
            organisation: OrganisationId::new(clock),
            workspace: WorkspaceId::new(clock),
            person: PersonId::new(clock),
        };
        let owner = Acting {
            person: PersonId::new(clock),
            name: "Owner".to_owned(),
            mail: "owner@example.org".to_owned(),
            organisation: payer.organisation,
            workspace: payer.workspace,
            roles: vec![Role::Owner],
            scopes: TokenScope::ALL.to_vec(),
            credential: Credential::Console,
            must_change_password: false,
        };
        let ctx = Ctx::new(Actor::Person(Box::new(owner)), RequestId::new("test"), clock.clone());
        let provider = ProviderId::new(clock);
        let house = Self { test, ctx, payer, provider };
        house.people(&[payer]).await;
        house
    }

    pub fn app(&self) -> &Platform {
        &self.test.platform
    }

    /// Rows for those whom caps may name.
    pub async fn people(&self, payers: &[Payer]) {
        let client = connect(&self.test.database.url()).await;
        for payer in payers {
            let (organisation, workspace, person) =
                (payer.organisation.uuid(), payer.workspace.uuid(), payer.person.uuid());
            client
                .batch_execute(&format!(
                    "insert into organisations (id, name, currency, created_at) values ('{organisation}', 'Example', 'EUR', now())
                         on conflict do nothing;
                     insert into workspaces (id, organisation_id, name, created_at)
                         values ('{workspace}', '{organisation}', 'Studio', now()) on conflict do nothing;
                     insert into people (id, mail, mail_hash, name, words, password_hash, password_changed_at, created_at)
                         values ('{person}', 'sealed', sha256('{person}'), 'sealed', '{{}}', '', now(), now())
                         on conflict do nothing;
                     insert into organisation_members (organisation_id, person_id, role, created_at)
                         values ('{organisation}', '{person}', 'member', now()) on conflict do nothing;
                     insert into workspace_members (workspace_id, person_id, role, created_at)
                         values ('{workspace}', '{person}', 'editor', now()) on conflict do nothing;"
                ))
                .await
                .unwrap();
        }
    }

    pub fn wish(&self, micros: i64) -> NewHold {
        self.wish_of(self.payer, micros)
    }

    pub fn wish_of(&self, payer: Payer, micros: i64) -> NewHold {
        NewHold {
            generation: GenerationId::new(&self.app().clock),
            organisation: payer.organisation,
            workspace: payer.workspace,
            person: payer.person,
            provider: self.provider,
            price_card: None,
            amount: euros(micros),
        }
    }

    pub async fn hold(&self, wish: &NewHold) -> Result<(), LedgerError> {
        self.app().db.write("test.hold", async |tx| ops::hold(tx, &self.ctx, wish).await.map(drop)).await
    }

    /// Sets aside `micros` that must fit.
    pub async fn held(&self, micros: i64) -> GenerationId {
        let wish = self.wish(micros);
        self.hold(&wish).await.unwrap();
        wish.generation
    }

    pub async fn settle(&self, generation: GenerationId, micros: i64) -> Result<Settled, LedgerError> {
        let actual = Micros(micros);
        self.app().db.write("test.settle", async |tx| ops::settle(tx, &self.ctx, generation, actual).await).await
    }

    pub async fn release(&self, generation: GenerationId) -> Result<(), LedgerError> {
        self.app().db.write("test.release", async |tx| ops::release(tx, &self.ctx, generation).await).await
    }

    pub async fn cap(&self, subject: Subject, period: Period, micros: i64) {
        let new = NewCap { subject, period, limit: euros(micros) };
        ops::set_cap(&self.ctx, self.app(), &new).await.unwrap();
    }

    pub async fn cap_person(&self, period: Period, micros: i64) {
        self.cap(Subject::Person(self.payer.person), period, micros).await;
    }

    pub async fn states(&self) -> Vec<CapState> {
        let Payer { organisation, workspace, person } = self.payer;
        let conn = &mut self.app().db.read().await.unwrap();
        ops::caps_of(conn, &self.ctx, organisation, workspace, person).await.unwrap()
    }

    /// `spent`, `held` and `left` of the only cap.
    pub async fn only(&self) -> [i64; 3] {
        let states = self.states().await;
        assert_eq!(states.len(), 1, "{states:?}");
        let state = &states[0];
        [state.spent, state.held, state.left].map(|money| money.micros.0)
    }

    /// Everything that the ledger holds, to show that nothing changed.
    pub async fn books(&self) -> Vec<String> {
        let client = connect(&self.test.database.url()).await;
        let mut books = Vec::new();
        for table in ["holds", "ledger_accounts", "ledger_transactions", "ledger_postings", "caps", "cap_windows"] {
            // Windows that count nothing are the same as none.
            let rows = format!(
                "select t::text from {table} t where not (to_jsonb(t) @> '{{\"held_micros\": 0, \"spent_micros\": 0}}') order by 1"
            );
            books.extend(
                client
                    .query(&rows, &[])
                    .await
                    .unwrap()
                    .iter()
                    .map(|row| format!("{table} {}", row.get::<_, String>(0))),
            );
        }
        books
    }

    /// Every window is what its holds and postings add up to, and every posting has its counterpart.
    pub async fn balances(&self) {
        let drift = ops::verify(&mut self.app().db.read().await.unwrap()).await.unwrap();
        assert_eq!(drift, [], "windows differ from their entries");
        let client = connect(&self.test.database.url()).await;
        let uneven = "select count(*) from (select 1 from ledger_postings group by transaction_id
            having sum(amount_micros) <> 0 or count(*) <> 2) uneven";
        assert_eq!(client.query_one(uneven, &[]).await.unwrap().get::<_, i64>(0), 0);
        let total = "select coalesce(sum(amount_micros), 0)::bigint from ledger_postings";
        assert_eq!(client.query_one(total, &[]).await.unwrap().get::<_, i64>(0), 0);
    }

    pub async fn count(&self, from: &str) -> i64 {
        let client = connect(&self.test.database.url()).await;
        client.query_one(&format!("select count(*) from {from}"), &[]).await.unwrap().get(0)
    }
}

pub fn euros(micros: i64) -> Money {
    Money::new(Micros(micros), "EUR".parse().unwrap())
}

fn admitted<T>(results: &[Result<T, LedgerError>]) -> usize {
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(matches!(error, LedgerError::CapReached(_)), "{error:?}");
    }
    results.iter().filter(|result| result.is_ok()).count()
}

#[tokio::test]
async fn what_is_held_is_charged_once_and_the_rest_comes_back() {
    let house = House::new().await;
    house.cap_person(Period::Month, 100).await;
    let generation = house.held(40).await;
    assert_eq!(house.only().await, [0, 40, 60]);
    let settled = house.settle(generation, 30).await.unwrap();
    assert_eq!(settled, Settled { charged: Micros(30), overage: Micros::ZERO });
    assert_eq!(house.only().await, [30, 0, 70]);
    assert_eq!(house.settle(generation, 99).await.unwrap(), settled, "the first call decides");
    assert!(matches!(house.release(generation).await, Err(LedgerError::AlreadySettled)));
    assert_eq!(house.only().await, [30, 0, 70]);
    house.balances().await;
}

#[tokio::test]
async fn what_is_released_comes_back_whole_and_is_never_charged() {
    let house = House::new().await;
    house.cap_person(Period::Day, 100).await;
    let before = house.only().await;
    let generation = house.held(100).await;
    house.release(generation).await.unwrap();
    house.release(generation).await.unwrap();
    assert!(matches!(house.settle(generation, 5).await, Err(LedgerError::AlreadyReleased)));
    assert_eq!(house.only().await, before);
    assert_eq!(house.count("ledger_postings").await, 0);
    house.balances().await;
}

#[tokio::test]
async fn a_second_hold_for_one_generation_is_refused_and_changes_nothing() {
    let house = House::new().await;
    let wish = house.wish(5);
    house.hold(&wish).await.unwrap();
    let books = house.books().await;
    assert!(matches!(house.hold(&wish).await, Err(LedgerError::Db(DbError::Query(_)))));
    assert_eq!(house.books().await, books);
}

#[tokio::test]
async fn overage_is_posted_flagged_audited_and_exactly_what_was_billed_above_the_hold() {
    let house = House::new().await;
    house.cap_person(Period::Total, 100).await;
    let generation = house.held(80).await;
    let settled = house.settle(generation, 130).await.unwrap();
    assert_eq!(settled, Settled { charged: Micros(130), overage: Micros(50) });
    assert_eq!(house.only().await, [130, 0, -30], "the cap is overrun, and says so");
    assert_eq!(house.count("ledger_transactions where kind = 'charge'").await, 1);
    let flagged = "ledger_transactions act join ledger_postings on transaction_id = act.id
        where kind = 'overage' and amount_micros = 50";
    assert_eq!(house.count(flagged).await, 1);
    let audited = "audit_entries where action = 'ledger.overage' and (details->>'overage_micros')::bigint = 50";
    assert_eq!(house.count(audited).await, 1);
    assert_eq!(admitted(&[house.hold(&house.wish(1)).await]), 0);
    assert_eq!(admitted(&[house.hold(&house.wish(0)).await]), 1, "what costs nothing fits an overrun cap");
    house.balances().await;
}

#[tokio::test]
async fn nothing_is_posted_for_work_that_cost_nothing() {
    let house = House::new().await;
    let generation = house.held(10).await;
    house.settle(generation, 0).await.unwrap();
    assert_eq!(house.count("ledger_transactions").await, 0);
    assert_eq!(house.count("holds where state = 'posted' and actual_micros = 0").await, 1);
    house.balances().await;
}

#[tokio::test]
async fn fifty_at_once_on_room_for_two_admit_exactly_two() {
    let house = House::new().await;
    house.cap(Subject::Organisation(house.payer.organisation), Period::Month, 25).await;
    let wishes: Vec<_> = (0..50).map(|_| house.wish(10)).collect();
    let results = join_all(wishes.iter().map(|wish| house.hold(wish))).await;
    assert_eq!(admitted(&results), 2);
    assert_eq!(house.only().await, [0, 20, 5]);
    house.balances().await;
}

#[tokio::test]
async fn two_tabs_at_once_for_the_last_credit_exactly_one_wins_fifty_times_in_a_row() {
    let house = House::new().await;
    house.cap_person(Period::Total, 7).await;
    for round in 0..50 {
        let (one, other) = (house.wish(7), house.wish(7));
        let results = futures::join!(house.hold(&one), house.hold(&other));
        let won = admitted(&[results.0, results.1]);
        assert_eq!(won, 1, "round {round}");
        // Whichever it was: give it back for the next round.
        for wish in [one, other] {
            match house.release(wish.generation).await {
                Ok(()) | Err(LedgerError::NoHold) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    }
    house.balances().await;
}

#[tokio::test]
async fn many_payers_who_share_caps_in_every_combination_never_block_each_other_for_good() {
    let house = House::new().await;
    let clock = &house.app().clock;
    let workspaces: Vec<_> = (0..3).map(|_| WorkspaceId::new(clock)).collect();
    let people: Vec<_> = (0..4).map(|_| PersonId::new(clock)).collect();
    house.cap(Subject::Organisation(house.payer.organisation), Period::Month, 100).await;
    house.cap(Subject::EachPerson, Period::Day, 30).await;
    let organisation = house.payer.organisation;
    // Shuffled by a fixed stride, so that neighbours never come in the order of the locks.
    let payers: Vec<_> = (0..60)
        .map(|at| at * 7 % 12)
        .map(|at| Payer { organisation, workspace: workspaces[at % 3], person: people[at / 3] })
        .collect();
    let wishes: Vec<_> = payers.iter().map(|payer| house.wish_of(*payer, 5)).collect();
    let work = wishes.iter().enumerate().map(async |(at, wish)| {
        house.hold(wish).await?;
        if at % 2 == 0 { house.settle(wish.generation, 5).await.map(drop) } else { Ok(()) }
    });
    let results = join_all(work).await;
    assert_eq!(admitted(&results), 20, "the organisation has room for twenty");
    house.balances().await;
}

#[tokio::test]
async fn a_hold_resolves_once_whoever_races_for_it() {
    let house = House::new().await;
    house.cap_person(Period::Total, 1_000_000).await;
    let mut expected = 0;
    for round in 0..15 {
        let generation = house.held(10).await;
        let (first, void, second) =
            futures::join!(house.settle(generation, 4), house.release(generation), house.settle(generation, 25));
        let charged = match (&first, &void, &second) {
            (Ok(one), Err(LedgerError::AlreadySettled), Ok(other)) => {
                assert_eq!(one, other, "both learn what was decided");
                one.charged.0
            }
            (Err(LedgerError::AlreadyReleased), Ok(()), Err(LedgerError::AlreadyReleased)) => 0,
            other => panic!("round {round}: {other:?}"),
        };
        assert!([0, 4, 25].contains(&charged));
        expected += charged;
        assert_eq!(house.only().await, [expected, 0, 1_000_000 - expected]);
    }
    house.balances().await;
}

#[tokio::test]
async fn work_that_is_under_way_at_midnight_counts_in_the_day_it_was_made_in() {
    let house = House::new().await;
    house.cap_person(Period::Day, 100).await;
    let (settled, released) = (house.held(60).await, house.held(40).await);
    assert_eq!(admitted(&[house.hold(&house.wish(1)).await]), 0);
    house.app().clock.advance(Duration::days(1));
    assert_eq!(house.only().await, [0, 0, 100], "a new day, and nobody reset a counter");
    house.settle(settled, 60).await.unwrap();
    house.release(released).await.unwrap();
    assert_eq!(house.only().await, [0, 0, 100], "nothing is carried over");
    assert_eq!(house.count("cap_windows where held_micros <> 0").await, 0);
    house.balances().await;
}

#[tokio::test]
async fn an_undone_transaction_sets_nothing_aside() {
    let house = House::new().await;
    house.cap_person(Period::Total, 100).await;
    let books = house.books().await;
    let wish = house.wish(60);
    let undone: Result<(), LedgerError> = house
        .app()
        .db
        .write("test.undone", async |tx| {
            ops::hold(tx, &house.ctx, &wish).await?;
            tx.batch_execute("select 1").await?;
            Err(LedgerError::NoHold)
        })
        .await;
    assert!(undone.is_err());
    assert_eq!(house.books().await, books);
}

#[tokio::test]
async fn extreme_amounts_are_refused_and_never_wrap() {
    let house = House::new().await;
    let most = house.held(i64::MAX).await;
    let books = house.books().await;
    let refused = house.hold(&house.wish(1)).await;
    assert!(matches!(refused, Err(LedgerError::TooLarge(_))), "{refused:?}");
    assert_eq!(house.books().await, books);
    for below in [-1, i64::MIN] {
        assert!(matches!(house.hold(&house.wish(below)).await, Err(LedgerError::Negative)));
        assert!(matches!(house.settle(most, below).await, Err(LedgerError::Negative)));
    }
    assert_eq!(house.books().await, books);
    house.settle(most, i64::MAX).await.unwrap();
    assert!(matches!(house.hold(&house.wish(1)).await, Err(LedgerError::TooLarge(_))));
    house.cap_person(Period::Total, 0).await;
    assert_eq!(house.only().await, [i64::MAX, 0, -i64::MAX]);
    let Payer { organisation, workspace, person } = house.payer;
    let conn = &mut house.app().db.read().await.unwrap();
    let quote = ops::quote(conn, &house.ctx, organisation, workspace, person, euros(i64::MAX)).await;
    assert!(matches!(quote, Err(LedgerError::TooLarge(_))));
    house.balances().await;
}

#[tokio::test]
async fn a_bill_too_large_to_be_counted_changes_nothing_and_the_hold_stays() {
    let house = House::new().await;
    house.held(10).await;
    let generation = house.held(10).await;
    let books = house.books().await;
    assert!(matches!(house.settle(generation, i64::MAX).await, Err(LedgerError::TooLarge(_))));
    assert_eq!(house.books().await, books);
    house.settle(generation, 10).await.unwrap();
    house.balances().await;
}

#[tokio::test]
async fn a_generation_without_a_hold_cannot_be_charged() {
    let house = House::new().await;
    let stranger = GenerationId::new(&house.app().clock);
    let error = house.settle(stranger, 1).await.unwrap_err();
    assert!(matches!(error, LedgerError::NoHold));
    assert_eq!(error.kind(), Kind::Internal);
    assert!(matches!(house.release(stranger).await, Err(LedgerError::NoHold)));
}

#[tokio::test]
async fn a_refusal_names_the_tightest_cap_and_changes_nothing() {
    let house = House::new().await;
    house.cap(Subject::Organisation(house.payer.organisation), Period::Month, 90).await;
    house.cap(Subject::Workspace(house.payer.workspace), Period::Total, 80).await;
    house.cap_person(Period::Day, 70).await;
    house.held(60).await;
    let books = house.books().await;
    let error = house.hold(&house.wish(31)).await.unwrap_err();
    let LedgerError::CapReached(cap) = &error else { panic!("{error:?}") };
    assert_eq!((cap.scope, cap.period, cap.left), (Scope::Person, Period::Day, euros(10)));
    assert_eq!((error.kind(), error.code()), (Kind::PaymentRequired, "ledger.cap_reached"));
    let (name, extension) = error.extension().unwrap();
    assert_eq!(name, "cap");
    let refills = extension["refills_at"].as_str().unwrap();
    assert!(refills.ends_with("T00:00:00.000Z"), "{refills}");
    assert_eq!(extension["limit"], serde_json::json!({"micros": 70, "currency": "EUR"}));
    assert!(error.to_string().contains("Nothing was started and nothing was charged."));
    assert_eq!(house.books().await, books);
    // What the quote says is what the hold does.
    let Payer { organisation, workspace, person } = house.payer;
    for (amount, allowed) in [(10, true), (11, false)] {
        let conn = &mut house.app().db.read().await.unwrap();
        let quote = ops::quote(conn, &house.ctx, organisation, workspace, person, euros(amount)).await.unwrap();
        assert_eq!(quote.allowed, allowed);
        assert!(quote.caps.iter().all(|cap| cap.left_after == Some(euros(cap.left.micros.0 - amount))));
    }
    assert_eq!(house.books().await, books);
}
