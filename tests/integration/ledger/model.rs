//! The ledger against a model of a few lines: random acts, several at once, must end as they would have in some order.

use std::collections::{BTreeMap, HashMap};

use chrono::{Duration, NaiveDate};
use futures::future::join_all;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use renderkeep::{
    base::ids::{GenerationId, PersonId, WorkspaceId},
    ledger::{
        error::LedgerError,
        model::{Payer, Period, Subject},
        ops,
    },
};

use super::House;
use crate::support::postgres::connect;

/// One act of somebody. `which` counts modulo the holds that were tried before.
#[derive(Clone, Copy, Debug)]
enum Act {
    Hold { who: usize, amount: i64 },
    Settle { which: usize, actual: i64 },
    Release { which: usize },
    Cap { slot: usize, limit: i64 },
}

#[derive(Clone, Debug)]
enum Step {
    /// All at once.
    Together(Vec<Act>),
    Uncap(usize),
    NextDay,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Admitted,
    Refused,
    Charged { charged: i64, overage: i64 },
    Released,
    AlreadySettled,
    AlreadyReleased,
    NoHold,
    Done,
}

fn outcome(error: &LedgerError) -> Outcome {
    match error {
        LedgerError::CapReached(_) => Outcome::Refused,
        LedgerError::AlreadySettled => Outcome::AlreadySettled,
        LedgerError::AlreadyReleased => Outcome::AlreadyReleased,
        LedgerError::NoHold => Outcome::NoHold,
        other => panic!("{other:?}"),
    }
}

type Key = (&'static str, uuid::Uuid, &'static str, NaiveDate);

#[derive(Clone, Debug)]
enum Stage {
    Refused,
    Pending,
    Posted(i64),
    Voided,
}

#[derive(Clone, Debug, Default)]
struct Model {
    windows: BTreeMap<Key, (i64, i64)>,
    caps: HashMap<(Subject, Period), i64>,
    holds: Vec<(Payer, i64, NaiveDate, Stage)>,
}

fn keys(payer: Payer, day: NaiveDate) -> Vec<Key> {
    let key = |window: renderkeep::ledger::model::Window| {
        (window.scope.as_str(), window.subject, window.period.as_str(), window.starts_on)
    };
    payer.windows(day).into_iter().map(key).collect()
}

impl Model {
    fn add(&mut self, payer: Payer, day: NaiveDate, held: i64, spent: i64) {
        for key in keys(payer, day) {
            let sums = self.windows.entry(key).or_default();
            *sums = (sums.0 + held, sums.1 + spent);
        }
    }

    fn fits(&self, payer: Payer, day: NaiveDate, amount: i64) -> bool {
        let limit = |subject: Subject, period| self.caps.get(&(subject, period));
        keys(payer, day).into_iter().zip(payer.windows(day)).all(|(key, window)| {
            let cap = match key.0 {
                "organisation" => limit(Subject::Organisation(payer.organisation), window.period),
                "workspace" => limit(Subject::Workspace(payer.workspace), window.period),
                _ => limit(Subject::Person(payer.person), window.period)
                    .or_else(|| limit(Subject::EachPerson, window.period)),
            };
            let (held, spent) = self.windows.get(&key).copied().unwrap_or_default();
            amount == 0 || cap.is_none_or(|cap| held + spent + amount <= *cap)
        })
    }

    fn apply(&mut self, world: &World, act: Act, own: usize, day: NaiveDate) -> Outcome {
        match act {
            Act::Hold { who, amount } => {
                let payer = world.payers[who];
                let fits = self.fits(payer, day, amount);
                if fits {
                    self.add(payer, day, amount, 0);
                }
                self.holds[own].3 = if fits { Stage::Pending } else { Stage::Refused };
                if fits { Outcome::Admitted } else { Outcome::Refused }
            }
            Act::Settle { which, actual } => self.resolve(which, Some(actual)),
            Act::Release { which } => self.resolve(which, None),
            Act::Cap { slot, limit } => {
                self.caps.insert(world.slots[slot], limit);
                Outcome::Done
            }
        }
    }

    fn resolve(&mut self, which: usize, actual: Option<i64>) -> Outcome {
        let (payer, amount, day, stage) = self.holds[which].clone();
        let charged = |actual: i64| Outcome::Charged { charged: actual, overage: (actual - amount).max(0) };
        match (stage, actual) {
            (Stage::Refused, _) => Outcome::NoHold,
            (Stage::Posted(first), Some(_)) => charged(first),
            (Stage::Posted(_), None) => Outcome::AlreadySettled,
            (Stage::Voided, Some(_)) => Outcome::AlreadyReleased,
            (Stage::Voided, None) => Outcome::Released,
            (Stage::Pending, Some(actual)) => {
                self.add(payer, day, -amount, actual);
                self.holds[which].3 = Stage::Posted(actual);
                charged(actual)
            }
            (Stage::Pending, None) => {
                self.add(payer, day, -amount, 0);
                self.holds[which].3 = Stage::Voided;
                Outcome::Released
            }
        }
    }

    fn counted(&self) -> BTreeMap<Key, (i64, i64)> {
        self.windows.iter().filter(|(_, sums)| **sums != (0, 0)).map(|(key, sums)| (*key, *sums)).collect()
    }
}

/// Who takes part, and what was tried so far.
struct World {
    house: House,
    payers: Vec<Payer>,
    slots: Vec<(Subject, Period)>,
    generations: Vec<GenerationId>,
}

impl World {
    async fn new() -> Self {
        let house = House::new().await;
        let clock = &house.app().clock;
        let other = Payer { person: PersonId::new(clock), ..house.payer };
        let elsewhere = Payer { workspace: WorkspaceId::new(clock), ..other };
        let payers = vec![house.payer, other, elsewhere];
        house.people(&payers).await;
        let slots = vec![
            (Subject::Organisation(house.payer.organisation), Period::Month),
            (Subject::Organisation(house.payer.organisation), Period::Total),
            (Subject::Workspace(elsewhere.workspace), Period::Day),
            (Subject::Person(house.payer.person), Period::Day),
            (Subject::EachPerson, Period::Day),
            (Subject::EachPerson, Period::Month),
        ];
        Self { house, payers, slots, generations: Vec::new() }
    }

    async fn act(&self, act: Act, own: usize) -> Outcome {
        let done = match act {
            Act::Hold { who, amount } => {
                let wish = renderkeep::ledger::model::NewHold {
                    generation: self.generations[own],
                    ..self.house.wish_of(self.payers[who], amount)
                };
                self.house.hold(&wish).await.map(|()| Outcome::Admitted)
            }
            Act::Settle { which, actual } => self
                .house
                .settle(self.generations[which], actual)
                .await
                .map(|settled| Outcome::Charged { charged: settled.charged.0, overage: settled.overage.0 }),
            Act::Release { which } => self.house.release(self.generations[which]).await.map(|()| Outcome::Released),
            Act::Cap { slot, limit } => {
                let (subject, period) = self.slots[slot];
                self.house.cap(subject, period, limit).await;
                Ok(Outcome::Done)
            }
        };
        done.unwrap_or_else(|error| outcome(&error))
    }

    async fn uncap(&self, slot: usize) -> bool {
        let (subject, period) = self.slots[slot];
        let client = connect(&self.house.test.database.url()).await;
        let find = "select id from caps where scope = $1 and subject_id is not distinct from $2 and period = $3";
        let row =
            client.query_opt(find, &[&subject.scope().as_str(), &subject.uuid(), &period.as_str()]).await.unwrap();
        let Some(row) = row else { return false };
        let id: uuid::Uuid = row.get(0);
        ops::delete_cap(&self.house.ctx, self.house.app(), id.into()).await.unwrap();
        true
    }

    /// The limits in force. Two that are set at once leave no other trace of who came last.
    async fn limits(&self) -> HashMap<(Subject, Period), i64> {
        let client = connect(&self.house.test.database.url()).await;
        let find = "select limit_micros from caps
            where scope = $1 and subject_id is not distinct from $2 and period = $3";
        let mut limits = HashMap::new();
        for (subject, period) in &self.slots {
            let key: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
                [&subject.scope().as_str(), &subject.uuid(), &period.as_str()];
            if let Some(row) = client.query_opt(find, &key).await.unwrap() {
                limits.insert((*subject, *period), row.get(0));
            }
        }
        limits
    }

    async fn counted(&self) -> BTreeMap<Key, (i64, i64)> {
        let client = connect(&self.house.test.database.url()).await;
        let rows =
            client.query("select * from cap_windows where (held_micros, spent_micros) <> (0, 0)", &[]).await.unwrap();
        let read = |row: &tokio_postgres::Row| {
            let (scope, period): (&str, &str) = (row.get("scope"), row.get("period"));
            let scope = scope.parse::<renderkeep::ledger::model::Scope>().unwrap().as_str();
            let period = period.parse::<Period>().unwrap().as_str();
            let key = (scope, row.get("subject_id"), period, row.get("starts_on"));
            (key, (row.get("held_micros"), row.get("spent_micros")))
        };
        rows.iter().map(read).collect()
    }
}

fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for next in 0..count {
        all = all
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..=order.len()).map(move |at| {
                    let mut longer = order.clone();
                    longer.insert(at, next);
                    longer
                })
            })
            .collect();
    }
    all
}

/// Does it all at once, and finds an order in which the model does the same.
async fn together(world: &mut World, model: &mut Model, acts: &[Act]) -> Result<(), String> {
    let day = world.house.app().clock.today();
    let tried = world.generations.len();
    let mut real = Vec::new();
    for act in acts {
        let own = world.generations.len();
        match *act {
            Act::Hold { who, amount } => {
                world.generations.push(GenerationId::new(&world.house.app().clock));
                model.holds.push((world.payers[who], amount, day, Stage::Refused));
                real.push((*act, own));
            }
            Act::Settle { .. } | Act::Release { .. } if tried == 0 => {}
            Act::Settle { which, actual } => real.push((Act::Settle { which: which % tried, actual }, own)),
            Act::Release { which } => real.push((Act::Release { which: which % tried }, own)),
            Act::Cap { .. } => real.push((*act, own)),
        }
    }
    let outcomes = join_all(real.iter().map(|(act, own)| world.act(*act, *own))).await;
    let (counted, limits) = (world.counted().await, world.limits().await);
    for order in orders(real.len()) {
        let mut next = model.clone();
        let same = order.iter().all(|at| next.apply(world, real[*at].0, real[*at].1, day) == outcomes[*at]);
        if same && next.counted() == counted && next.caps == limits {
            *model = next;
            return Ok(());
        }
    }
    Err(format!("no order of {real:?} gives {outcomes:?} and {counted:?} from {model:?}"))
}

async fn lives(steps: &[Step]) -> Result<(), String> {
    let mut world = World::new().await;
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Together(acts) => together(&mut world, &mut model, acts).await?,
            Step::NextDay => world.house.app().clock.advance(Duration::days(1)),
            Step::Uncap(slot) => {
                let was = model.caps.remove(&world.slots[*slot]).is_some();
                if world.uncap(*slot).await != was {
                    return Err(format!("slot {slot}: {was}"));
                }
            }
        }
    }
    world.house.balances().await;
    Ok(())
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..3_usize, 0..40_i64).prop_map(|(who, amount)| Act::Hold { who, amount }),
        3 => (0..1000_usize, 0..50_i64).prop_map(|(which, actual)| Act::Settle { which, actual }),
        2 => (0..1000_usize).prop_map(|which| Act::Release { which }),
        2 => (0..6_usize, 0..200_i64).prop_map(|(slot, limit)| Act::Cap { slot, limit }),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(acts(), 1..=4).prop_map(Step::Together),
        1 => (0..6_usize).prop_map(Step::Uncap),
        1 => Just(Step::NextDay),
    ]
}

#[test]
fn whatever_happens_at_once_ends_as_it_would_have_in_some_order() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases: 8, failure_persistence: None, max_shrink_iters: 60, ..Config::default() };
    let lives_of = |all: Vec<Step>| runtime.block_on(lives(&all)).map_err(TestCaseError::fail);
    TestRunner::new(config).run(&prop::collection::vec(steps(), 10..30), lives_of).unwrap();
}
