//! Whether the parts that the server cannot do without answer, and fast enough to be of use.

use std::{future::Future, time::Duration};

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::error::chain;

/// A part that takes longer than this counts as down.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = HealthReport)]
pub struct Report {
    pub ready: bool,
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = HealthPart)]
pub struct Part {
    /// `database` or `store`.
    #[schema(value_type = String, max_length = 32)]
    pub name: &'static str,
    pub up: bool,
    /// What is wrong, in one sentence without details of the installation; those are in the log.
    #[schema(max_length = 255)]
    pub detail: Option<String>,
}

impl Report {
    pub fn ready(&self) -> bool {
        self.ready
    }
}

/// Asks every part, all at once. Only whether they answer counts.
pub async fn probe(
    database: impl Future<Output = Result<(), Cause>>,
    store: impl Future<Output = Result<(), Cause>>,
) -> Report {
    let parts = tokio::join!(within("database", "The database", database), within("store", "The store", store));
    let parts = vec![parts.0, parts.1];
    Report { ready: parts.iter().all(|part| part.up), parts }
}

pub type Cause = Box<dyn std::error::Error + Send + Sync>;

async fn within(name: &'static str, title: &str, probe: impl Future<Output = Result<(), Cause>>) -> Part {
    let detail = match tokio::time::timeout(PATIENCE, probe).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            tracing::warn!(part = name, error = chain(&*error), "a part is down");
            Some(format!("{title} cannot be reached."))
        }
        Err(_) => {
            tracing::warn!(part = name, "a part is down: no answer in time");
            Some(format!("{title} did not answer within {} seconds.", PATIENCE.as_secs()))
        }
    };
    Part { name, up: detail.is_none(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_hangs_is_down_after_two_seconds() {
        let part = within("store", "The store", std::future::pending()).await;
        assert_eq!((part.name, part.up), ("store", false));
        assert_eq!(part.detail.as_deref(), Some("The store did not answer within 2 seconds."));
    }

    #[tokio::test]
    async fn what_went_wrong_inside_stays_inside() {
        let part = within("database", "The database", async { Err("socket /secret/place".into()) }).await;
        assert_eq!(part.detail.as_deref(), Some("The database cannot be reached."));
        assert!(within("database", "The database", async { Ok(()) }).await.up);
    }
}
