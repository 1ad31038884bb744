//! Walks the chain from its beginning and names the first thing that is wrong with it.
//!
//! What a walk alone cannot see (the newest entries cut off, the chain computed anew from some place on) shows against
//! the checkpoints, which is why they are kept where the database cannot reach.

use diesel::{
    prelude::*,
    sql_types::{BigInt, Binary, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use uuid::Uuid;

use super::{
    Checkpoint, ERASE, attest,
    chain::{BEGINNING, Entry, Linked, link, links, newest},
};
use crate::{
    base::ids::AuditId,
    platform::db::{
        Conn, DbError,
        schema::{audit_chain::dsl as c, audit_entries::dsl as e},
    },
};

const BATCH: i64 = 500;

#[derive(Debug, Serialize)]
pub struct Report {
    pub good: bool,
    /// Entries that were looked at.
    pub entries: i64,
    /// The last place that a checkpoint vouches for; what is newer, nobody vouches for yet.
    pub attested: Option<i64>,
    pub checkpoints: usize,
    /// Entries that lost their note to an erasure that is in the log.
    pub erased_notes: usize,
    pub fault: Option<Fault>,
}

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Its place in the chain, unless it has none.
    pub sequence: Option<i64>,
    pub id: Option<AuditId>,
    pub kind: Kind,
    pub finding: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Changed,
    Missing,
    Inserted,
    Reordered,
    /// The chain is whole in itself and differs from what was attested.
    Rewritten,
    BadSignature,
}

impl Fault {
    fn new(kind: Kind, sequence: impl Into<Option<i64>>, id: Option<Uuid>, finding: impl Into<String>) -> Self {
        Self { sequence: sequence.into(), id: id.map(AuditId::from), kind, finding: finding.into() }
    }
}

/// `given` are checkpoints from outside the database; `pinned` is the public key that must have signed them, else the
/// one that the database holds.
pub async fn verify(conn: &mut Conn, given: Vec<Checkpoint>, pinned: Option<Vec<u8>>) -> Result<Report, DbError> {
    let identity = attest::identity(conn).await?;
    let mut checkpoints = given;
    if let Some(identity) = &identity {
        checkpoints.extend(attest::remembered(conn, identity).await?);
    }
    checkpoints.sort_by_key(|checkpoint| checkpoint.sequence);
    // Read after the checkpoints, so that none of them can be ahead of it; what comes later is left for the next time.
    let end = newest(conn).await?.map_or(0, |(seq, _)| seq);
    let mut walk = Walk::new(checkpoints, pinned.or(identity.map(|identity| identity.public_key)));
    let mut fault = walk.to(conn, end).await?;
    if fault.is_none() {
        fault = walk.at_the_end();
    }
    if fault.is_none() {
        fault = stray(conn).await?;
    }
    Ok(Report {
        good: fault.is_none(),
        entries: walk.seq,
        attested: walk.attested,
        checkpoints: walk.checked,
        erased_notes: walk.erased,
        fault,
    })
}

/// What is known up to the entry that was looked at last.
struct Walk {
    seq: i64,
    hash: Vec<u8>,
    checkpoints: std::iter::Peekable<std::vec::IntoIter<Checkpoint>>,
    key: Option<Vec<u8>>,
    checked: usize,
    attested: Option<i64>,
    /// Entries whose note is gone, until the erasure that took it comes by.
    bare: Vec<Bare>,
    erased: usize,
}

struct Bare {
    seq: i64,
    id: Uuid,
    people: [Option<Uuid>; 2],
}

impl Walk {
    fn new(checkpoints: Vec<Checkpoint>, key: Option<Vec<u8>>) -> Self {
        Self {
            seq: 0,
            hash: BEGINNING.to_vec(),
            checkpoints: checkpoints.into_iter().peekable(),
            key,
            checked: 0,
            attested: None,
            bare: Vec::new(),
            erased: 0,
        }
    }

    /// To `end`, and beyond it as long as an erasure that began meanwhile may account for notes that are gone.
    async fn to(&mut self, conn: &mut Conn, mut end: i64) -> Result<Option<Fault>, DbError> {
        loop {
            let fault = self.all(conn, end).await?;
            let now = newest(conn).await?.map_or(0, |(seq, _)| seq);
            if fault.is_some() || self.bare.is_empty() || now <= end {
                return Ok(fault);
            }
            end = now;
        }
    }

    async fn all(&mut self, conn: &mut Conn, end: i64) -> Result<Option<Fault>, DbError> {
        while self.seq < end {
            let batch = links(conn, self.seq, BATCH).await?;
            if batch.is_empty() {
                break;
            }
            for linked in batch.into_iter().take_while(|linked| linked.seq <= end) {
                if let Some(fault) = self.next(conn, &linked).await? {
                    return Ok(Some(fault));
                }
            }
        }
        Ok(None)
    }

    async fn next(&mut self, conn: &mut Conn, linked: &Linked) -> Result<Option<Fault>, DbError> {
        let place = self.seq + 1;
        if linked.seq != place {
            return Ok(Some(Fault::new(Kind::Missing, place, None, "This place of the chain is empty.")));
        }
        let Some(entry) = &linked.entry else {
            let finding = "The entry that stood here was deleted.";
            return Ok(Some(Fault::new(Kind::Missing, place, Some(linked.entry_id), finding)));
        };
        if let Some(finding) = self.inside(place, entry) {
            return Ok(Some(Fault::new(Kind::Changed, place, Some(entry.id), finding)));
        }
        if link(&self.hash, place, &entry.digest) != linked.hash.as_slice() {
            return Ok(Some(misfit(conn, &self.hash, linked, entry).await?));
        }
        self.seq = place;
        self.hash.clone_from(&linked.hash);
        Ok(self.against_checkpoints())
    }

    /// The entry by itself.
    fn inside(&mut self, seq: i64, entry: &Entry) -> Option<&'static str> {
        if entry.expected_digest() != entry.digest.as_slice() {
            return Some("Something in this entry was changed.");
        }
        let noted = entry.reason.is_some() || entry.network.is_some();
        match (entry.expected_note_digest(), entry.note_digest.as_deref()) {
            (Some(expected), Some(kept)) if expected == kept => {}
            (None, None) if !noted => {}
            (None, Some(_)) if !noted => {
                let object = entry.object_id.filter(|_| entry.object_kind.as_deref() == Some("person"));
                self.bare.push(Bare { seq, id: entry.id, people: [entry.actor_id, object] });
            }
            _ => return Some("The reason or the network of this entry was changed."),
        }
        if entry.action == ERASE && entry.object_id.is_some() {
            let before = self.bare.len();
            self.bare.retain(|bare| !bare.people.contains(&entry.object_id));
            self.erased += before - self.bare.len();
        }
        None
    }

    fn against_checkpoints(&mut self) -> Option<Fault> {
        while let Some(checkpoint) = self.checkpoints.next_if(|checkpoint| checkpoint.sequence <= self.seq) {
            if let Some(fault) = self.unsigned(&checkpoint) {
                return Some(fault);
            }
            if checkpoint.hash != data_encoding::HEXLOWER.encode(&self.hash) {
                let first = self.attested.unwrap_or(0) + 1;
                let finding = format!(
                    "The chain from {first} to {} is not the one that was attested at {}.",
                    self.seq, checkpoint.at
                );
                return Some(Fault::new(Kind::Rewritten, first, None, finding));
            }
            self.checked += 1;
            self.attested = Some(self.seq);
        }
        None
    }

    fn unsigned(&self, checkpoint: &Checkpoint) -> Option<Fault> {
        let signed = self.key.as_deref().is_some_and(|key| checkpoint.is_signed_by(key));
        let finding = "The checkpoint of this place is not signed with this server's key.";
        (!signed).then(|| Fault::new(Kind::BadSignature, checkpoint.sequence, None, finding))
    }

    fn at_the_end(&mut self) -> Option<Fault> {
        if let Some(checkpoint) = self.checkpoints.next() {
            return self.unsigned(&checkpoint).or_else(|| {
                let finding = format!(
                    "The log ends at {}, and {} entries were attested at {}.",
                    self.seq, checkpoint.sequence, checkpoint.at
                );
                Some(Fault::new(Kind::Missing, self.seq + 1, None, finding))
            });
        }
        let bare = self.bare.as_slice().first()?;
        let finding = "The reason or the network of this entry is gone, and no erasure took it.";
        Some(Fault::new(Kind::Changed, bare.seq, Some(bare.id), finding))
    }
}

/// Why an entry that is as it was written does not hang on the one before it.
async fn misfit(conn: &mut Conn, before: &[u8], linked: &Linked, entry: &Entry) -> Result<Fault, DbError> {
    let fault = |kind, finding: &str| Fault::new(kind, linked.seq, Some(entry.id), finding);
    let next = links(conn, linked.seq, 1).await?.into_iter().next();
    let next = next.and_then(|next| Some((next.seq, next.hash, next.entry?.digest)));
    if let Some((seq, hash, digest)) = next {
        if link(before, linked.seq, &digest) == hash.as_slice() {
            let swapped = link(&hash, seq, &entry.digest) == linked.hash.as_slice();
            return Ok(match swapped {
                true => fault(Kind::Reordered, "This entry and the next one changed places."),
                false => fault(Kind::Inserted, "This entry was put between two others."),
            });
        }
        if link(&linked.hash, seq + 1, &digest) == hash.as_slice() {
            return Ok(Fault::new(Kind::Missing, linked.seq, None, "The entry that stood here was cut out."));
        }
    }
    match elsewhere(conn, before, linked).await? {
        Some(id) => {
            let finding = format!("{} belongs here, and stands elsewhere.", AuditId::from(id));
            Ok(fault(Kind::Reordered, &finding))
        }
        None => Ok(fault(Kind::Changed, "The hash of this entry does not follow from the one before it.")),
    }
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = SqlUuid)]
    entry_id: Uuid,
}

/// Another entry that would fit in this place.
async fn elsewhere(conn: &mut Conn, before: &[u8], linked: &Linked) -> Result<Option<Uuid>, DbError> {
    let query = diesel::sql_query(
        "select a.entry_id from audit_chain a join audit_entries e on e.id = a.entry_id
         where a.entry_id <> $4 and sha256($1 || int8send($2) || e.digest) in (a.hash, $3) limit 1",
    );
    let query = query.bind::<Binary, _>(before).bind::<BigInt, _>(linked.seq).bind::<Binary, _>(&linked.hash);
    let found: Option<Found> = query.bind::<SqlUuid, _>(linked.entry_id).get_result(conn).await.optional()?;
    Ok(found.map(|found| found.entry_id))
}

/// An entry that no place of the chain knows.
async fn stray(conn: &mut Conn) -> Result<Option<Fault>, DbError> {
    let all = e::audit_entries.left_join(c::audit_chain.on(c::entry_id.eq(e::id)));
    let first = all.filter(c::entry_id.is_null()).order(e::id).select(e::id);
    let found: Option<Uuid> = first.first(conn).await.optional()?;
    Ok(found.map(|id| Fault::new(Kind::Inserted, None, Some(id), "This entry has no place in the chain.")))
}
