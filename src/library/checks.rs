//! What `renderkeep doctor` looks at in this room.

use uuid::Uuid;

use super::store::objects_after;
pub use super::store::{SEALED, assets_of, objects_in_use};
use crate::{
    base::{
        finding::{Finding, REPORT, Tally},
        ids::ObjectId,
    },
    platform::{
        db::{Conn, DbError},
        storage,
    },
};

const AT_ONCE: i64 = 1000;

/// Whether every object that an asset is made of is kept.
pub async fn objects(conn: &mut Conn) -> Result<Vec<Finding>, DbError> {
    let mut given_up = Tally::default();
    let mut after = ObjectId::from(Uuid::nil());
    loop {
        let used = objects_after(conn, after, AT_ONCE).await?;
        let Some(last) = used.last() else { break };
        after = *last;
        storage::checks::not_kept(conn, &used).await?.iter().for_each(|id| given_up.add(id));
    }
    let what = "Objects of pictures that are given up and will be deleted";
    Ok(given_up.problem("library.object_given_up", what, REPORT).into_iter().collect())
}
