//! `storage verify` finds what is wrong, and nothing else.

use bytes::Bytes;
use chrono::Duration;
use renderkeep::{
    base::ids::ObjectId,
    platform::storage::{
        ObjectStore, collect,
        sealed::CHUNK,
        stream_of,
        verify::{Fault, Report, verify},
    },
};

use super::House;

async fn look(house: &House) -> Report {
    let app = house.app();
    verify(&app.storage, &app.db, &app.clock, &mut |_| {}).await.unwrap()
}

fn found(report: &Report) -> Vec<(ObjectId, Fault)> {
    report.findings.iter().map(|finding| (finding.object.unwrap(), finding.fault)).collect()
}

#[tokio::test]
async fn what_is_whole_is_good_in_whichever_store_it_lies() {
    let house = House::new().await;
    house.put(Bytes::from(vec![7; 3 * CHUNK])).await;
    house.put("").await;
    let report = look(&house).await;
    assert!(report.good && report.findings.is_empty());
    assert_eq!((report.objects, report.bytes), (2, 3 * CHUNK as u64));
    house.move_all().await.unwrap();
    house.app().clock.advance(Duration::hours(1));
    let report = look(&house).await;
    assert!(report.good, "copies that wait to be emptied are known: {:?}", report.findings);
    assert_eq!(report.objects, 2);
}

#[tokio::test]
async fn every_kind_of_damage_is_named() {
    let house = House::new().await;
    let [flipped, cut, longer, swapped, missing, other_hash, good] =
        [(); 7].map(|()| house.put(Bytes::from(vec![7; CHUNK + 10])));
    let (flipped, cut, longer, swapped) = (flipped.await, cut.await, longer.await, swapped.await);
    let (missing, other_hash, good) = (missing.await, other_hash.await, good.await);
    let store = house.test.store.as_ref();
    let held = async |id| collect(store.get(id, None).await.unwrap(), u64::MAX).await.unwrap().to_vec();
    let put = async |id, bytes: Vec<u8>| {
        store.put(id, stream_of(bytes), None).await.unwrap();
    };
    let mut bytes = held(flipped).await;
    bytes[CHUNK] ^= 1;
    put(flipped, bytes).await;
    let whole = held(cut).await;
    put(cut, whole[..whole.len() - 1].to_vec()).await;
    put(longer, [&held(longer).await[..], b"!"].concat()).await;
    put(swapped, held(good).await).await;
    store.delete(missing).await.unwrap();
    let client = crate::support::postgres::connect(&house.test.database.url()).await;
    let spoil = "update objects set sha256 = sha256(sha256) where id = $1";
    client.execute(spoil, &[&other_hash.uuid()]).await.unwrap();

    let report = look(&house).await;
    assert!(!report.good);
    assert_eq!(report.objects, 1);
    let mut expected: Vec<_> =
        [flipped, cut, longer, swapped, other_hash].map(|id| (id, Fault::Damaged)).into_iter().collect();
    expected.push((missing, Fault::Missing));
    expected.sort_by_key(|(id, _)| *id);
    assert_eq!(found(&report), expected);
    assert!(report.findings.iter().all(|finding| !finding.advice.is_empty()));
}

#[tokio::test]
async fn an_object_whose_owner_is_gone_is_named_as_such() {
    let house = House::new().await;
    let id = house.put("secret").await;
    house.app().keys.destroy(&house.app().db, &house.app().clock, house.owner.uuid()).await.unwrap();
    assert_eq!(found(&look(&house).await), [(id, Fault::NoKey)]);
}

#[tokio::test]
async fn an_object_that_no_row_knows_is_named_once_it_cannot_be_an_upload() {
    let house = House::new().await;
    // Not by the counter of this process: other tests have moved its time.
    let now = house.app().clock.now();
    let at = uuid::Timestamp::from_unix(uuid::NoContext, now.timestamp() as u64, 0);
    let stranger = ObjectId::from(uuid::Uuid::new_v7(at));
    house.test.store.put(stranger, stream_of("who am I"), None).await.unwrap();
    assert!(look(&house).await.good, "its row may be a moment away");
    house.app().clock.advance(Duration::minutes(13));
    assert_eq!(found(&look(&house).await), [(stranger, Fault::Unknown)]);
}

#[tokio::test]
async fn what_is_being_uploaded_or_deleted_is_no_finding() {
    let house = House::new().await;
    let app = house.app();
    // An upload in the middle, one that nobody claimed, and one that is due.
    let endless = Box::pin(futures::StreamExt::chain(stream_of("x"), futures::stream::pending()));
    let upload = app.storage.put(&app.db, &app.clock, house.owner.uuid(), endless, None);
    let _ = tokio::time::timeout(std::time::Duration::from_millis(200), upload).await;
    app.storage.put(&app.db, &app.clock, house.owner.uuid(), stream_of("unclaimed"), None).await.unwrap();
    let doomed = house.put("doomed").await;
    house.doom(doomed).await;
    house.test.store.delete(doomed).await.unwrap();
    let report = look(&house).await;
    assert!(report.good, "{:?}", report.findings);
    assert_eq!(report.objects, 1);
}
