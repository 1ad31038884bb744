//! What accepting generations costs beside pgbench, which runs the same statements one request at a time.
//!
//!     cargo bench --locked --bench accept
//!
//! Fifty clients, a real Postgres with its default durability, caps of the person, the workspace and the organisation in
//! force. The table goes into docs/performance.md.
#![expect(clippy::disallowed_methods, reason = "pgbench is a program of its own")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it stops at the first thing that is not as it should be, as the tests do whose support it uses"
)]

use std::{
    fs,
    process::Command,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures::future::join_all;
use renderkeep::{
    app::lifecycle,
    base::{
        access::{Role, Scope as TokenScope},
        clock::Clock,
        ctx::{Acting, Actor, Credential, Ctx, RequestId},
        error::Fault,
        ids::{OrganisationId, PersonId, WorkspaceId},
        money::{Micros, Money},
    },
    ledger::{
        self,
        model::{NewCap, Period, Subject},
    },
    platform::{
        Platform,
        idempotency::{Answer, Once},
        keyring::OwnerKind,
    },
    studio::{
        model::NewGeneration,
        ops::{Beside, accept},
        view::GenerationView,
    },
};
use uuid::Uuid;

#[path = "../integration/support/mod.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod support;

use support::postgres;

const CLIENTS: usize = 50;
/// Requests of one round; the tables are emptied between rounds, so that both sides fill the same ones.
const REQUESTS: usize = 6000;
const ROUNDS: usize = 5;
const PEOPLE: u128 = 1000;
const PRICE: i64 = 20_000;

fn main() {
    postgres::DURABLE.store(true, Ordering::Relaxed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, measure());
}

async fn measure() {
    let house = House::new().await;
    println!(
        "| {CLIENTS} clients, {REQUESTS} requests | a second | p50 | p99 | pgbench a second | its p50 | its p99 | ratio |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (name, people) in [("one person", 1), ("1,000 people", PEOPLE)] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            house.empty().await;
            ours.push(house.accept(people).await);
            house.empty().await;
            theirs.push(house.pgbench(people).await);
        }
        let (ours, theirs) = (median(ours), median(theirs));
        let ratio = ours.rate / theirs.rate;
        println!("| {name} | {ours} | {theirs} | {ratio:.2} |");
    }
    house.empty().await;
    house.last_credits().await;
}

/// One round.
#[derive(Clone, Copy)]
struct Round {
    rate: f64,
    p50: Duration,
    p99: Duration,
}

impl std::fmt::Display for Round {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:.0} | {:.1?} | {:.1?}", self.rate, self.p50, self.p99)
    }
}

impl Round {
    fn new(whole: Duration, mut each: Vec<Duration>) -> Self {
        each.sort_unstable();
        let at = |part: f64| each[((each.len() - 1) as f64 * part) as usize];
        Self { rate: each.len() as f64 / whole.as_secs_f64(), p50: at(0.5), p99: at(0.99) }
    }
}

/// By their rates.
fn median(mut rounds: Vec<Round>) -> Round {
    rounds.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    rounds[rounds.len() / 2]
}

struct House {
    test: support::TestPlatform,
    organisation: OrganisationId,
    workspace: WorkspaceId,
}

impl House {
    async fn new() -> Self {
        let test = support::platform().await;
        lifecycle::prepare(&test.platform).await.expect("an organisation and the catalog");
        let client = postgres::connect(&test.database.url()).await;
        let row =
            client.query_one("select organisation_id, id from workspaces limit 1", &[]).await.expect("a workspace");
        let (organisation, workspace): (Uuid, Uuid) = (row.get(0), row.get(1));
        let house = Self { test, organisation: organisation.into(), workspace: workspace.into() };
        let app = house.app();
        let keys = app.db.write("bench.keys", async |tx| {
            for person in 1..=PEOPLE {
                app.keys.begin(tx, Uuid::from_u128(person), OwnerKind::Person, app.clock.now()).await?;
            }
            Ok::<_, renderkeep::platform::db::DbError>(())
        });
        keys.await.expect("keys");
        for (subject, period) in [
            (Subject::EachPerson, Period::Day),
            (Subject::EachPerson, Period::Month),
            (Subject::Workspace(house.workspace), Period::Month),
        ] {
            house.cap(subject, period, i64::MAX / 8).await;
        }
        house.cap(Subject::Organisation(house.organisation), Period::Month, i64::MAX / 8).await;
        house
    }

    fn app(&self) -> &Platform {
        &self.test.platform
    }

    fn ctx(&self, person: u128) -> Ctx {
        let acting = Acting {
            person: PersonId::from(Uuid::from_u128(person)),
            name: "Somebody".to_owned(),
            mail: "somebody@example.org".to_owned(),
            organisation: self.organisation,
            workspace: self.workspace,
            roles: vec![Role::Owner],
            scopes: TokenScope::ALL.to_vec(),
            credential: Credential::Console,
            must_change_password: false,
        };
        Ctx::new(Actor::Person(Box::new(acting)), RequestId::new("bench"), Clock::system())
    }

    async fn cap(&self, subject: Subject, period: Period, micros: i64) {
        let new = NewCap { subject, period, limit: Money::new(Micros(micros), "EUR".parse().expect("a currency")) };
        ledger::ops::set_cap(&self.ctx(1), self.app(), &new).await.expect("a cap");
    }

    /// What the last round left behind is gone.
    async fn empty(&self) {
        let client = postgres::connect(&self.test.database.url()).await;
        let statements = "delete from generation_events; delete from event_streams; delete from recent_requests;
            delete from idempotency_keys; delete from holds; delete from cap_windows; delete from generations";
        client.batch_execute(statements).await.expect("empty tables");
        let tables =
            "vacuum analyze generations, generation_events, event_streams, idempotency_keys, holds, cap_windows";
        client.batch_execute(tables).await.expect("a vacuum");
        client.batch_execute("checkpoint").await.expect("a checkpoint");
    }

    /// Fifty clients, each with its next request as soon as the last one was answered.
    async fn accept(&self, people: u128) -> Round {
        let numbers = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let began = Instant::now();
        let clients = (0..CLIENTS).map(|_| async {
            let mut took = Vec::new();
            loop {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                if number >= REQUESTS {
                    return took;
                }
                let began = Instant::now();
                self.ask(number, number as u128 % people + 1).await.expect("it is accepted");
                took.push(began.elapsed());
            }
        });
        let each = join_all(clients).await.concat();
        Round::new(began.elapsed(), each)
    }

    async fn ask(&self, number: usize, person: u128) -> Result<(), renderkeep::studio::error::StudioError> {
        let new = NewGeneration {
            model: "demo/painter".to_owned(),
            prompt: format!("{number}, {}", "a harbour in the morning mist, painted in oil, ".repeat(4)),
            size: "512x512".parse().ok(),
            count: 1,
            seed: Some(7),
            references: Vec::new(),
            parameters: serde_json::Map::new(),
            workspace: None,
        };
        let once = Once::keyed("POST /api/v1/generations".to_owned(), &Uuid::new_v4().to_string(), [7; 32]);
        accept(&self.ctx(person), self.app(), &new, &Beside::default(), &once, answer).await.map(drop)
    }

    /// The same from pgbench.
    async fn pgbench(&self, people: u128) -> Round {
        let directory = tempfile::tempdir().expect("a directory");
        let script = directory.path().join("accept.sql");
        fs::write(&script, self.script(people)).expect("the script");
        let each = (REQUESTS / CLIENTS).to_string();
        let clients = CLIENTS.to_string();
        let mut command = Command::new(postgres::programs().join("pgbench"));
        command.args(["--no-vacuum", "--protocol=prepared", "--jobs=2", "--log", "--log-prefix=took"]);
        command.args(["--client", &clients, "--transactions", &each, "--file"]).arg(&script);
        command.arg(self.test.database.url()).current_dir(directory.path());
        let output =
            tokio::task::spawn_blocking(move || command.output()).await.expect("it ran").expect("pgbench starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).expect("text");
        let rate: f64 = said
            .lines()
            .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
            .unwrap_or_else(|| panic!("no rate in {said}"));
        let logs = fs::read_dir(directory.path()).expect("its logs").flatten().map(|entry| entry.path());
        let took: Vec<Duration> = logs
            .filter(|path| path != &script)
            .flat_map(|path| fs::read_to_string(path).expect("a log").lines().map(str::to_owned).collect::<Vec<_>>())
            .map(|line| Duration::from_micros(line.split(' ').nth(2).expect("a time").parse().expect("a number")))
            .collect();
        assert_eq!(took.len(), REQUESTS, "{said}");
        Round { rate, ..Round::new(Duration::from_secs(1), took) }
    }

    fn script(&self, people: u128) -> String {
        let (organisation, workspace) = (self.organisation.uuid(), self.workspace.uuid());
        let today = self.app().clock.today();
        let person = "lpad(to_hex(:person::bigint), 32, '0')::uuid";
        let words: Vec<String> = (0..9).map(|word: i64| (word * 0x0123_4567_89ab).to_string()).collect();
        let day = |period: Period| format!("'{}'", period.start(today));
        let days = Period::ALL.map(day).join(", ");
        let windows = format!(
            "array['organisation', 'organisation', 'organisation', 'person', 'person', 'person', 'workspace', 'workspace',
                'workspace'],
            array['{organisation}', '{organisation}', '{organisation}', {person}, {person}, {person}, '{workspace}',
                '{workspace}', '{workspace}']::uuid[],
            array['day', 'month', 'total', 'day', 'month', 'total', 'day', 'month', 'total'],
            array[{days}, {days}, {days}]::date[]"
        );
        include_str!("accept.sql")
            .replace("{windows}", &windows)
            .replace("{people}", &people.to_string())
            .replace("{person}", person)
            .replace("{organisation}", &format!("'{organisation}'::uuid"))
            .replace("{workspace}", &format!("'{workspace}'::uuid"))
            .replace("{day}", &format!("'{today}'::date"))
            .replace("{words}", &format!("'{{{}}}'::bigint[]", words.join(",")))
    }

    /// Room for a thousand, asked for by fifty clients three thousand times: a thousand are admitted.
    async fn last_credits(&self) {
        const ROOM: usize = 1000;
        let limit = PRICE * i64::try_from(ROOM).expect("a small number");
        self.cap(Subject::Organisation(self.organisation), Period::Month, limit).await;
        let clients = (0..CLIENTS).map(|client| async move {
            let mut admitted = 0;
            for number in 0..60 {
                match self.ask(number, client as u128 + 1).await {
                    Ok(()) => admitted += 1,
                    Err(error) => assert_eq!(error.code(), "ledger.cap_reached", "{error}"),
                }
            }
            admitted
        });
        let admitted: usize = join_all(clients).await.into_iter().sum();
        let drift = ledger::ops::verify(&mut self.app().db.read().await.expect("a connection")).await.expect("a sum");
        println!(
            "\n{admitted} of 3000 admitted where {ROOM} had room; windows that differ from their holds: {}",
            drift.len()
        );
        assert_eq!((admitted, drift.len()), (ROOM, 0));
    }
}

fn answer(view: &GenerationView) -> Answer {
    Answer {
        status: 202,
        location: Some(format!("/api/v1/generations/{}", view.id)),
        body: serde_json::to_value(view).expect("JSON"),
        replayed: false,
    }
}
