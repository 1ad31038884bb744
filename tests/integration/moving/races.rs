//! What people do while objects move.

use std::time::Duration;

use futures::StreamExt;
use renderkeep::platform::storage::{StorageError, moving, stream_of};
use tokio::sync::Semaphore;

use super::House;

/// Runs `act` while an object's copy is being put, and lets the copy go on afterwards.
async fn meanwhile<T>(house: &House, act: impl AsyncFnOnce() -> T) -> T {
    house.target.gate.forget_permits(Semaphore::MAX_PERMITS);
    let acting = async {
        house.target.came.acquire().await.unwrap().forget();
        let done = act().await;
        house.target.gate.add_permits(1000);
        done
    };
    let (moved, done) = tokio::join!(house.pass(), acting);
    moved.unwrap();
    done
}

#[tokio::test]
async fn an_object_deleted_while_it_is_copied_is_gone_from_both_stores() {
    let house = House::new().await;
    let id = house.put("never mind").await;
    meanwhile(&house, async || {
        house.doom(id).await;
        assert_eq!(house.sweep().await, 0, "a copy that nobody can see yet must not be forgotten");
    })
    .await;
    assert_eq!(house.sweep().await, 1);
    assert_eq!(house.held().await, (0, 0));
    assert!(matches!(house.read(id).await, Err(StorageError::Missing(_))));
}

#[tokio::test]
async fn an_object_deleted_after_its_mover_died_is_gone_from_both_stores() {
    let house = House::new().await;
    let id = house.put("never mind").await;
    house.target.gate.forget_permits(Semaphore::MAX_PERMITS);
    tokio::select! {
        done = house.pass() => panic!("the gate is shut: {done:?}"),
        came = house.target.came.acquire() => came.unwrap().forget(),
    }
    house.doom(id).await;
    assert_eq!(house.sweep().await, 0, "nobody knows yet that the mover is dead");
    house.app().clock.advance(chrono::Duration::minutes(3));
    assert_eq!(house.sweep().await, 1);
    assert_eq!(house.held().await, (0, 0));
}

#[tokio::test]
async fn a_mover_that_was_given_up_for_dead_changes_nothing_any_more() {
    let house = House::new().await;
    let id = house.put("slow").await;
    meanwhile(&house, async || {
        // Somebody else takes over, deletes the object, and sweeps.
        moving::take_over(&house.app().db).await.unwrap();
        house.doom(id).await;
        assert_eq!(house.sweep().await, 1);
    })
    .await;
    assert_eq!(house.held().await, (0, 0), "a copy that came too late is taken away again");
}

#[tokio::test]
async fn an_object_is_read_while_it_moves_and_after_its_old_bytes_are_gone() {
    let house = House::new().await;
    let id = house.put("here all the time").await;
    meanwhile(&house, async || assert_eq!(house.read(id).await.unwrap(), "here all the time")).await;
    assert_eq!(house.read(id).await.unwrap(), "here all the time");
    assert_eq!(house.empty().await, (1, 0));
    assert_eq!(house.read(id).await.unwrap(), "here all the time");
    assert_eq!(house.held().await, (0, 1));
}

#[tokio::test]
async fn an_upload_that_began_before_the_switch_is_moved_after_its_end() {
    let house = House::new().await;
    let app = house.app();
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let rest = futures::stream::once(async move {
        receiver.await.unwrap();
        Ok("its end".into())
    });
    let slow = Box::pin(stream_of("its beginning, ").chain(rest));
    let uploading = async {
        let stored = app.storage.put(&app.db, &app.clock, house.owner.uuid(), slow, None).await.unwrap();
        // A moment until the room makes use of it.
        tokio::time::sleep(Duration::from_millis(700)).await;
        house.claim(stored.id).await;
        stored.id
    };
    let moving = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut going = Box::pin(house.move_all());
        let early = tokio::time::timeout(Duration::from_millis(600), &mut going).await;
        assert!(early.is_err(), "it is not done before the upload is");
        sender.send(()).unwrap();
        going.await.unwrap()
    };
    let (id, moved) = tokio::join!(uploading, moving);
    assert_eq!(moved.objects, 1);
    assert_eq!(house.read(id).await.unwrap(), "its beginning, its end");
    assert_eq!(moving::only_in(&app.db, 1).await.unwrap(), 0);
}

#[tokio::test]
async fn one_mover_at_a_time() {
    let house = House::new().await;
    let db = &house.app().db;
    let first = moving::Alone::begin(db).await.unwrap();
    assert!(first.is_some());
    assert!(moving::Alone::begin(db).await.unwrap().is_none());
}
