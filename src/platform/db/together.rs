//! Acts of one kind that wait at the same time are done in one transaction.
//!
//! A commit takes as long as the disk needs to flush the log, and a row that every act changes stays locked until then:
//! one act after the other, no more of them can be done than the disk has flushes. Together they share one. Nobody waits
//! for company: whatever came while the last transaction ran makes up the next, and who is alone goes alone.

use std::{
    any::{Any, TypeId},
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::LocalBoxFuture;
use tokio::sync::oneshot;

use super::{Db, DbError};

/// How many acts share a transaction. More gain little, and each waits for all of them.
const MOST_TOGETHER: usize = 64;

/// How many acts of a kind may wait. Who comes then is told to come again.
const MOST_WAITING: usize = 2048;

/// One queue for each kind of act, made when it is first used.
pub(super) type Queues = Arc<Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>>;

/// Acts of type `A` that wait for what becomes of them, an `O` each.
struct Queue<A, O>(Mutex<State<A, O>>);

struct State<A, O> {
    waiting: VecDeque<(A, oneshot::Sender<O>)>,
    /// Somebody works the queue off.
    worked: bool,
}

impl Db {
    /// Does `act` together with the others of its type that wait at this moment. `all` does them in one transaction and
    /// brings what became of each, in their order. It runs to its end whoever goes away meanwhile.
    ///
    /// `DbError::Busy` when too many wait; nothing was done then. Must be called on a thread with a `LocalSet`.
    pub async fn together<A, O, F>(&self, act: A, all: F) -> Result<O, DbError>
    where
        A: Send + 'static,
        O: Send + 'static,
        F: Fn(Vec<A>) -> LocalBoxFuture<'static, Vec<O>> + 'static,
    {
        let queue = self.queue::<A, O>();
        let (sender, outcome) = oneshot::channel();
        if queue.join(act, sender)? {
            let work = Work(queue);
            tokio::task::spawn_local(async move {
                while let Some((acts, senders)) = work.0.next() {
                    metrics::histogram!("renderkeep_acts_together").record(acts.len() as f64);
                    for (outcome, sender) in all(acts).await.into_iter().zip(senders) {
                        // Who has gone away needs no answer.
                        let _ = sender.send(outcome);
                    }
                }
            });
        }
        outcome.await.map_err(|lost| DbError::Unreachable(lost.into()))
    }

    fn queue<A: Send + 'static, O: Send + 'static>(&self) -> Arc<Queue<A, O>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(TypeId::of::<Queue<A, O>>()).or_insert_with(|| Arc::new(Queue::<A, O>::new()));
        // An entry's type is its key, so the other arm is never taken.
        queue.clone().downcast().unwrap_or_else(|_| Arc::new(Queue::new()))
    }
}

impl<A, O> Queue<A, O> {
    fn new() -> Self {
        Self(Mutex::new(State { waiting: VecDeque::new(), worked: false }))
    }

    fn state(&self) -> MutexGuard<'_, State<A, O>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the caller has to work the queue off, because nobody does.
    fn join(&self, act: A, sender: oneshot::Sender<O>) -> Result<bool, DbError> {
        let mut state = self.state();
        if state.waiting.len() >= MOST_WAITING {
            return Err(DbError::Busy);
        }
        state.waiting.push_back((act, sender));
        Ok(!std::mem::replace(&mut state.worked, true))
    }

    /// Those that are done next; none when nobody waits, and then nobody works the queue off any more.
    fn next(&self) -> Option<(Vec<A>, Vec<oneshot::Sender<O>>)> {
        let mut state = self.state();
        let count = state.waiting.len().min(MOST_TOGETHER);
        state.worked = count > 0;
        state.worked.then(|| state.waiting.drain(..count).unzip())
    }
}

/// Whoever works a queue off. If that ends in a panic, or with its thread, those who wait are told so.
struct Work<A, O>(Arc<Queue<A, O>>);

impl<A, O> Drop for Work<A, O> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if std::mem::take(&mut state.worked) {
            state.waiting.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, future::join_all};
    use tokio::{sync::Notify, task::LocalSet};

    use super::*;

    fn db() -> Db {
        Db::new("postgres://nobody@127.0.0.1:1/none", 1).unwrap()
    }

    /// Doubles numbers; notes how many were done at once, and waits for `go` before each time.
    #[derive(Clone, Default)]
    struct Doubling {
        sizes: Arc<Mutex<Vec<usize>>>,
        go: Arc<Notify>,
    }

    impl Doubling {
        async fn double(&self, db: &Db, number: u32) -> Result<u32, DbError> {
            let doubling = self.clone();
            let all = move |numbers: Vec<u32>| {
                let doubling = doubling.clone();
                async move {
                    doubling.go.notified().await;
                    doubling.sizes.lock().unwrap().push(numbers.len());
                    assert!(!numbers.contains(&666), "a number that nobody can double");
                    numbers.into_iter().map(|number| number * 2).collect()
                }
                .boxed_local()
            };
            db.together(number, all).await
        }
    }

    #[tokio::test]
    async fn what_came_while_the_last_ran_is_done_together_and_everybody_gets_their_own() {
        let (db, doubling) = (db(), Doubling::default());
        let work = async {
            let asking = join_all((0..100).map(|number| doubling.double(&db, number)));
            let going = async {
                for _ in 0..2 {
                    tokio::task::yield_now().await;
                    doubling.go.notify_one();
                }
            };
            let (doubled, ()) = tokio::join!(asking, going);
            let doubled: Vec<u32> = doubled.into_iter().map(Result::unwrap).collect();
            assert_eq!(doubled, (0..100).map(|number| number * 2).collect::<Vec<_>>());
        };
        LocalSet::new().run_until(work).await;
        assert_eq!(*doubling.sizes.lock().unwrap(), [MOST_TOGETHER, 100 - MOST_TOGETHER]);
    }

    #[tokio::test]
    async fn acts_are_done_whoever_goes_away_and_a_full_queue_says_so() {
        let (db, doubling) = (db(), Doubling::default());
        let work = async {
            drop(tokio::time::timeout(std::time::Duration::from_millis(20), doubling.double(&db, 1)).await);
            let mut waiting: Vec<_> = (0..MOST_WAITING).map(|_| Box::pin(doubling.double(&db, 2))).collect();
            assert!(futures::poll!(join_all(waiting.iter_mut())).is_pending());
            assert!(matches!(doubling.double(&db, 3).await, Err(DbError::Busy)));
            while doubling.sizes.lock().unwrap().len() <= MOST_WAITING / MOST_TOGETHER {
                doubling.go.notify_one();
                tokio::task::yield_now().await;
            }
            assert!(join_all(waiting).await.into_iter().all(|doubled| doubled.is_ok_and(|doubled| doubled == 4)));
            assert_eq!(doubling.sizes.lock().unwrap().first(), Some(&1));
        };
        LocalSet::new().run_until(work).await;
    }

    #[tokio::test]
    async fn a_panic_is_told_to_all_who_wait_and_the_next_start_anew() {
        let (db, doubling) = (db(), Doubling::default());
        let work = async {
            let numbers = std::iter::once(666).chain(0..MOST_TOGETHER as u32);
            let asking = join_all(numbers.map(|number| doubling.double(&db, number)));
            doubling.go.notify_one();
            assert!(asking.await.into_iter().all(|doubled| matches!(doubled, Err(DbError::Unreachable(_)))));
            doubling.go.notify_one();
            assert_eq!(doubling.double(&db, 4).await.unwrap(), 8);
        };
        LocalSet::new().run_until(work).await;
    }
}
