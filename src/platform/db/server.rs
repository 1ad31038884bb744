//! What the database server says about itself.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Integer, Timestamptz},
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::migrate::MigrateError;

#[derive(Clone, Copy, Debug, QueryableByName)]
pub struct Server {
    /// 150018 is 15.18.
    #[diesel(sql_type = Integer)]
    pub version: i32,
    /// Its time of day.
    #[diesel(sql_type = Timestamptz)]
    pub time: DateTime<Utc>,
}

impl Server {
    pub fn major(self) -> i32 {
        self.version / 10_000
    }
}

/// The connection is there before the question, so that its time is not old when it arrives.
pub async fn ask(url: &str) -> Result<Server, MigrateError> {
    let mut conn = AsyncPgConnection::establish(url).await?;
    let query =
        diesel::sql_query("select current_setting('server_version_num')::int as version, clock_timestamp() as time");
    Ok(query.get_result(&mut conn).await?)
}
