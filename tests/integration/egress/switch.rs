//! A destination that is switched off in the middle of a call: on this server and on others.

use renderkeep::platform::signals::{Signal, Signals};

use super::*;

async fn switch_off(app: &Platform, id: DestinationId) {
    let ctx = Ctx::system("test", app.clock.clone());
    app.db.write("test", async |tx| destinations::switch_off(tx, &ctx, id).await).await.unwrap();
}

/// A call that nobody answers, given the time to arrive before `then`.
async fn while_it_waits(
    test: &TestPlatform,
    peer: &Peer,
    id: DestinationId,
    then: impl AsyncFnOnce(),
) -> Result<(), EgressError> {
    let app = &test.platform;
    let stop = CancellationToken::new();
    let (signals, url) = (app.signals.clone(), app.db.url().to_owned());
    let listening = tokio::spawn({
        let stop = stop.clone();
        async move { signals.listen(&url, stop).await }
    });
    let outlet = app.egress.to(id, about());
    let sending = Call { limit: Duration::from_secs(6), ..call(&peer.url, Body::none()) };
    let arrived = async {
        while peer.received.lock().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        then().await;
    };
    let (end, ()) = tokio::join!(outlet.send(sending), arrived);
    stop.cancel();
    listening.await.unwrap();
    end.map(drop)
}

#[tokio::test]
async fn a_call_under_way_is_broken_off_and_its_row_says_so() {
    let test = support::platform().await;
    let app = &test.platform;
    let peer = peer(Answer::Silence).await;
    let id = allow(app, &peer.url, true).await;
    let started = std::time::Instant::now();
    let end = while_it_waits(&test, &peer, id, async || switch_off(app, id).await).await;
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let error = end.unwrap_err();
    assert!(matches!(error, EgressError::Withdrawn) && !error.surely_not_sent(), "{error}");
    let sent = peer.received.lock().await.len() as i64;
    let reason = Some("switched off during the call".to_owned());
    assert_eq!(rows(&test).await, [("cancelled".into(), None, sent, 0, reason)]);
    // And the next call is not let out at all.
    let next = app.egress.to(id, about()).send(call(&peer.url, Body::none())).await.unwrap_err();
    assert!(matches!(next, EgressError::SwitchedOff) && next.surely_not_sent());
    assert_eq!(peer.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn calls_elsewhere_go_on() {
    let test = support::platform().await;
    let app = &test.platform;
    let (peer, other) = (peer(Answer::Late(ok_text("{}"))).await, peer(ok("")).await);
    let (id, other) = (allow(app, &peer.url, true).await, allow(app, &other.url, true).await);
    let end = while_it_waits(&test, &peer, id, async || {
        switch_off(app, other).await;
        // What says nothing about it, and what may have been missed: it looks, and goes on.
        Signals::send(&mut app.db.read().await.unwrap(), &Signal::Destination(id.uuid())).await.unwrap();
    })
    .await;
    end.unwrap();
    assert_eq!(outcome(&test).await, "answered");
}

#[tokio::test]
async fn a_switch_whose_signal_was_lost_is_seen_when_signals_come_again() {
    let test = support::platform().await;
    let app = &test.platform;
    let peer = peer(Answer::Silence).await;
    let id = allow(app, &peer.url, true).await;
    let end = while_it_waits(&test, &peer, id, async || {
        let client = postgres::connect(&test.database.url()).await;
        client.batch_execute("update egress_destinations set disabled_at = now()").await.unwrap();
        // The listening connection breaks, and comes back.
        let others = "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and query ilike 'listen%' and pid <> pg_backend_pid()";
        client.batch_execute(others).await.unwrap();
    })
    .await;
    assert!(matches!(end, Err(EgressError::Withdrawn)), "{end:?}");
}

#[tokio::test]
async fn a_destination_serves_its_own_purpose_only() {
    let test = support::platform().await;
    let app = &test.platform;
    let peer = peer(ok("")).await;
    let id = allow(app, &peer.url, true).await;
    let client = postgres::connect(&test.database.url()).await;
    let another = "alter table egress_destinations drop constraint egress_destinations_purpose_check;
        update egress_destinations set purpose = 'mail'";
    client.batch_execute(another).await.unwrap();
    let error = app.egress.to(id, about()).send(call(&peer.url, Body::none())).await.unwrap_err();
    assert!(matches!(error, EgressError::Purpose) && error.surely_not_sent(), "{error}");
    assert_eq!(rows(&test).await, [("refused".into(), None, 0, 0, Some("another purpose".into()))]);
    assert_eq!(peer.connections.load(Ordering::SeqCst), 0);
}

/// Between the row and the first byte lies the look-up of the name; there this server dies.
#[tokio::test]
async fn a_death_before_the_first_byte_leaves_the_row_and_sends_nothing() {
    let test = support::platform().await;
    let app = &test.platform;
    let peer = peer(ok("")).await;
    let url: Url = format!("http://gpu.example:{}/v1", peer.url.port().unwrap()).parse().unwrap();
    let id = allow(app, &url, true).await;
    let egress =
        Egress::with_lookup(app.db.clone(), app.clock.clone(), app.signals.clone(), Way::default(), Arc::new(Silent));
    let outlet = egress.to(id, about());
    let sending = outlet.send(call(&url, Body::none()));
    assert!(tokio::time::timeout(Duration::from_millis(300), sending).await.is_err());
    // How far it came is unknown afterwards, so the row names the most that can have left.
    let open = rows(&test).await;
    assert!(matches!(open.as_slice(), [(state, None, 1.., 0, None)] if state == "open"), "{open:?}");
    assert_eq!(peer.connections.load(Ordering::SeqCst), 0);
    app.clock.advance(chrono::Duration::minutes(2));
    assert_eq!(ledger::sweep(&app.db, &app.clock).await.unwrap(), 1);
    assert_eq!(outcome(&test).await, "lost");
}

/// Never says an address.
struct Silent;

impl Lookup for Silent {
    fn lookup(&self, _: &str) -> Addresses {
        Box::pin(std::future::pending())
    }
}
