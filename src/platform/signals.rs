//! Wake-ups between tasks and between servers, over Postgres' LISTEN and NOTIFY.
//!
//! A signal says that something may have changed, never what is true: whoever wakes looks in the tables. Signals sent in
//! a transaction arrive after its commit. After a lost connection every listener is woken once, because something may
//! have been missed.

use std::{future::pending, time::Duration};

use diesel::sql_types::{Array, Text};
use diesel_async::RunQueryDsl;
use futures::{StreamExt, stream};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_postgres::{AsyncMessage, NoTls};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    base::error::chain,
    platform::db::{Conn, DbError},
};

const CHANNEL: &str = "renderkeep";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Work waits in a queue.
    Work(String),
    /// A generation of this person has a new event.
    Event(Uuid),
    /// A generation of this person made progress between two events.
    Progress { person: Uuid, generation: Uuid },
    /// Nothing more happens to this generation by itself.
    AtRest(Uuid),
    /// Somebody asked for this generation to stop.
    Cancel(Uuid),
    /// What this person may do has changed: open streams look again.
    Access(Uuid),
    /// What this destination may receive has changed: calls under way look again.
    Destination(Uuid),
    /// The connection was away; anything may have happened.
    Missed,
}

impl Signal {
    fn encode(&self) -> String {
        match self {
            Self::Work(queue) => format!("work {queue}"),
            Self::Event(person) => format!("event {person}"),
            Self::Progress { person, generation } => format!("progress {person} {generation}"),
            Self::AtRest(generation) => format!("at_rest {generation}"),
            Self::Cancel(generation) => format!("cancel {generation}"),
            Self::Access(person) => format!("access {person}"),
            Self::Destination(destination) => format!("destination {destination}"),
            Self::Missed => "missed".to_owned(),
        }
    }

    fn decode(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let signal = match (words.next()?, words.next()) {
            ("work", Some(queue)) => Self::Work(queue.to_owned()),
            ("event", Some(person)) => Self::Event(person.parse().ok()?),
            ("progress", Some(person)) => {
                Self::Progress { person: person.parse().ok()?, generation: words.next()?.parse().ok()? }
            }
            ("at_rest", Some(generation)) => Self::AtRest(generation.parse().ok()?),
            ("cancel", Some(generation)) => Self::Cancel(generation.parse().ok()?),
            ("access", Some(person)) => Self::Access(person.parse().ok()?),
            ("destination", Some(destination)) => Self::Destination(destination.parse().ok()?),
            _ => return None,
        };
        Some(signal)
    }
}

#[derive(Clone)]
pub struct Signals {
    sender: broadcast::Sender<Signal>,
}

impl Default for Signals {
    fn default() -> Self {
        Self { sender: broadcast::channel(1024).0 }
    }
}

impl Signals {
    /// Everything that is signalled from now on.
    pub fn subscribe(&self) -> Listener {
        Listener(self.sender.subscribe())
    }

    /// Tells every server, once the surrounding transaction commits.
    pub async fn send(conn: &mut Conn, signal: &Signal) -> Result<(), DbError> {
        Self::send_all(conn, std::slice::from_ref(signal)).await
    }

    /// The same with several signals at once.
    pub async fn send_all(conn: &mut Conn, signals: &[Signal]) -> Result<(), DbError> {
        diesel::sql_query("select pg_notify($1, signal) from unnest($2) as signal")
            .bind::<Text, _>(CHANNEL)
            .bind::<Array<Text>, _>(signals.iter().map(Signal::encode).collect::<Vec<_>>())
            .execute(conn)
            .await?;
        Ok(())
    }

    /// Listens until `stop`; reconnects for ever.
    pub async fn listen(&self, url: &str, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                end = self.listen_once(url) => {
                    if let Err(error) = end {
                        tracing::warn!(error = chain(&error), "wake-ups are lost until the database answers again");
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    async fn listen_once(&self, url: &str) -> Result<(), tokio_postgres::Error> {
        let (client, mut connection) = tokio_postgres::connect(url, NoTls).await?;
        let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
        let listening = client.batch_execute("listen renderkeep");
        tokio::pin!(listening);
        let mut listens = false;
        loop {
            tokio::select! {
                done = &mut listening, if !listens => {
                    done?;
                    listens = true;
                    self.tell(Signal::Missed);
                }
                message = messages.next() => match message {
                    Some(Ok(AsyncMessage::Notification(note))) => {
                        if let Some(signal) = Signal::decode(note.payload()) {
                            self.tell(signal);
                        }
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error),
                    None => return Ok(()),
                }
            }
        }
    }

    fn tell(&self, signal: Signal) {
        // Nobody listening is fine.
        let _ = self.sender.send(signal);
    }
}

pub struct Listener(broadcast::Receiver<Signal>);

impl Listener {
    /// The next signal; `Missed` also where the listener was too slow.
    pub async fn next(&mut self) -> Signal {
        match self.0.recv().await {
            Ok(signal) => signal,
            Err(RecvError::Lagged(_)) => Signal::Missed,
            // The server stops. Nobody can signal any more.
            Err(RecvError::Closed) => pending().await,
        }
    }

    /// Until `awaited` was signalled, or may have been. Others' signals wake nobody: a hundred who wait would look a
    /// hundred times for each of them.
    pub async fn until(&mut self, awaited: &Signal) {
        loop {
            let signal = self.next().await;
            if signal == *awaited || signal == Signal::Missed {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn who_waits_is_woken_by_its_own_signal_alone() {
        let signals = Signals::default();
        let mut listener = signals.subscribe();
        let (mine, other) = (Signal::AtRest(Uuid::from_u128(1)), Signal::AtRest(Uuid::from_u128(2)));
        for theirs in [other, Signal::Cancel(Uuid::from_u128(1)), Signal::Work("generations".to_owned())] {
            signals.tell(theirs);
        }
        assert_eq!(listener.until(&mine).now_or_never(), None);
        signals.tell(mine.clone());
        assert_eq!(listener.until(&mine).now_or_never(), Some(()));
        assert_eq!(listener.until(&mine).now_or_never(), None);
        signals.tell(Signal::Missed);
        assert_eq!(listener.until(&mine).now_or_never(), Some(()));
    }

    #[test]
    fn who_was_too_slow_looks_again() {
        let signals = Signals::default();
        let mut listener = signals.subscribe();
        for other in 0..2000 {
            signals.tell(Signal::AtRest(Uuid::from_u128(other)));
        }
        assert_eq!(listener.until(&Signal::Work("generations".to_owned())).now_or_never(), Some(()));
    }

    #[test]
    fn signals_survive_the_wire() {
        let (person, generation) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for signal in [
            Signal::Work("generations".to_owned()),
            Signal::Event(person),
            Signal::Progress { person, generation },
            Signal::AtRest(generation),
            Signal::Cancel(generation),
            Signal::Access(person),
            Signal::Destination(person),
        ] {
            assert_eq!(Signal::decode(&signal.encode()), Some(signal));
        }
    }
}
