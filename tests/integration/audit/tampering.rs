//! Every single change by somebody who can do anything to the database is found, and found where it is.

use diesel_async::SimpleAsyncConnection;
use renderkeep::platform::audit::verify::{self, Kind};

use super::{behind_the_back, found, tamper, with_entries};

const ENTRIES: i64 = 13;

/// Each field of an entry and of its place, with a change to it that the table's own rules let through.
const CHANGES: [(&str, &str); 18] = [
    ("id", "update audit_entries set id = gen_random_uuid()"),
    ("at", "update audit_entries set at = at + interval '1 microsecond'"),
    (
        "actor_kind",
        "update audit_entries set actor_kind = case actor_kind when 'system' then 'nobody' else 'system' end, actor_id = null",
    ),
    ("actor_id", "update audit_entries set actor_kind = 'person', actor_id = gen_random_uuid()"),
    ("action", "update audit_entries set action = action || 'x'"),
    ("object_kind", "update audit_entries set object_kind = coalesce(object_kind, '') || 'x'"),
    ("object_id", "update audit_entries set object_id = gen_random_uuid()"),
    ("outcome", "update audit_entries set outcome = 'failed'"),
    ("details", "update audit_entries set details = jsonb_set(details, '{nested,b}', '[1]')"),
    ("request_id", "update audit_entries set request_id = request_id || 'x'"),
    (
        "reason",
        "update audit_entries set reason = coalesce(reason, '') || 'x', note_salt = coalesce(note_salt, '\\x00'),
            note_digest = coalesce(note_digest, digest)",
    ),
    (
        "network",
        "update audit_entries set network = coalesce(network, '') || 'x', note_salt = coalesce(note_salt, '\\x00'),
            note_digest = coalesce(note_digest, digest)",
    ),
    (
        "note_salt",
        "update audit_entries set note_salt = coalesce(note_salt, '') || '\\x01', reason = coalesce(reason, ''),
            note_digest = coalesce(note_digest, digest)",
    ),
    ("note_digest", "update audit_entries set note_digest = sha256(coalesce(note_digest, ''))"),
    ("digest", "update audit_entries set digest = sha256(digest)"),
    ("the entry itself", "delete from audit_entries"),
    ("hash", "update audit_chain set hash = sha256(hash)"),
    ("the whole place", "delete from audit_chain"),
];

#[tokio::test]
async fn any_change_to_any_field_of_any_entry_is_found_where_it_is() {
    let test = with_entries(usize::try_from(ENTRIES).unwrap()).await;
    let mut conn = behind_the_back(&test).await;
    for (field, statement) in CHANGES {
        for place in 1..=ENTRIES {
            let which = match statement.contains("audit_chain") {
                true => format!("where seq = {place}"),
                false => format!("where id = (select entry_id from audit_chain where seq = {place})"),
            };
            conn.batch_execute(&format!("begin; {statement} {which}")).await.unwrap();
            let report = verify::verify(&mut conn, Vec::new(), None).await.unwrap();
            conn.batch_execute("rollback").await.unwrap();
            // Without a checkpoint, a log whose last place is gone looks like one that is shorter by one, but for the
            // entry that is left over.
            let last = field == "the whole place" && place == ENTRIES;
            let fault = report.fault.unwrap_or_else(|| panic!("{field} of {place} was changed unseen"));
            let expected = if last { (Kind::Inserted, None) } else { (fault.kind, Some(place)) };
            assert_eq!((fault.kind, fault.sequence), expected, "{field} of {place}: {fault:?}");
        }
    }
    assert_eq!(found(&test).await, None, "everything was put back");
}

#[tokio::test]
async fn any_two_entries_that_change_places_are_found() {
    let test = with_entries(8).await;
    let mut conn = behind_the_back(&test).await;
    for one in 1..=8_i64 {
        for other in one + 1..=8 {
            let places = format!(
                "update audit_chain set seq = 1000 where seq = {one};
                 update audit_chain set seq = {one} where seq = {other};
                 update audit_chain set seq = {other} where seq = 1000"
            );
            let entries = format!(
                "create temp table swapped on commit drop as select * from audit_chain where seq in ({one}, {other});
                 update audit_chain set entry_id = gen_random_uuid() where seq in ({one}, {other});
                 update audit_chain c set entry_id = s.entry_id from swapped s
                    where c.seq in ({one}, {other}) and s.seq = {one} + {other} - c.seq"
            );
            for statements in [places, entries] {
                conn.batch_execute(&format!("begin; {statements}")).await.unwrap();
                let report = verify::verify(&mut conn, Vec::new(), None).await.unwrap();
                conn.batch_execute("rollback").await.unwrap();
                let fault = report.fault.map(|fault| (fault.kind, fault.sequence));
                assert_eq!(fault, Some((Kind::Reordered, Some(one))), "{one} and {other}");
            }
        }
    }
}

#[tokio::test]
async fn an_entry_put_between_two_others_is_found() {
    let test = with_entries(9).await;
    let mut conn = behind_the_back(&test).await;
    // A genuine entry from the end, at every place before it, with the others moved up.
    for place in 1..=7_i64 {
        let moved = format!(
            "begin; update audit_chain set seq = 1000 where seq = 9;
             update audit_chain set seq = seq + 100 where seq between {place} and 8;
             update audit_chain set seq = seq - 99 where seq between 100 and 200;
             update audit_chain set seq = {place} where seq = 1000"
        );
        conn.batch_execute(&moved).await.unwrap();
        let report = verify::verify(&mut conn, Vec::new(), None).await.unwrap();
        conn.batch_execute("rollback").await.unwrap();
        let fault = report.fault.map(|fault| (fault.kind, fault.sequence));
        assert_eq!(fault, Some((Kind::Inserted, Some(place))));
    }
    // Without a place in the chain.
    tamper(
        &test,
        "insert into audit_entries (id, at, actor_kind, action, outcome, request_id, digest)
         select gen_random_uuid(), now(), 'system', 'caps.set', 'done', 'req_x', sha256('x')",
    )
    .await;
    assert_eq!(found(&test).await, Some((Kind::Inserted, None)));
}

#[tokio::test]
async fn an_entry_cut_out_with_the_others_moved_up_is_found() {
    let test = with_entries(9).await;
    let mut conn = behind_the_back(&test).await;
    for place in 1..=7_i64 {
        let cut = format!(
            "begin; delete from audit_entries where id = (select entry_id from audit_chain where seq = {place});
             delete from audit_chain where seq = {place};
             update audit_chain set seq = seq + 100 where seq > {place};
             update audit_chain set seq = seq - 101 where seq > 100"
        );
        conn.batch_execute(&cut).await.unwrap();
        let report = verify::verify(&mut conn, Vec::new(), None).await.unwrap();
        conn.batch_execute("rollback").await.unwrap();
        let fault = report.fault.map(|fault| (fault.kind, fault.sequence));
        assert_eq!(fault, Some((Kind::Missing, Some(place))));
    }
}

#[tokio::test]
async fn a_note_that_goes_without_an_erasure_is_found() {
    let test = with_entries(8).await;
    tamper(
        &test,
        "update audit_entries set reason = null, network = null, note_salt = null
         where id = (select entry_id from audit_chain where seq = 3)",
    )
    .await;
    assert_eq!(found(&test).await, Some((Kind::Changed, Some(3))));
}
