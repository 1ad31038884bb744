//! Questions about tables whose answer is nothing as long as all is in order.
//!
//! Each room states its own beside its store, `app::rooms` has the list, and `renderkeep doctor` asks them.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Conn, DbError};
use crate::base::{
    finding::{Finding, REPORT, Severity},
    ids,
};

pub struct Question {
    /// The stable code of the answer.
    pub finding: &'static str,
    pub severity: Severity,
    /// Selects the `id` of everything that is wrong. `$1` is now.
    pub wrong: &'static str,
    /// How such an id is written: `gen`. Empty: it is no id but a word.
    pub prefix: &'static str,
    /// The beginning of a sentence: "Holds that are charged and not posted".
    pub what: &'static str,
    pub advice: &'static str,
}

/// Rows that nobody can read without the key of their owner.
pub struct Sealed {
    pub what: &'static str,
    /// Selects as `id` up to a thousand owners after `$1`, in order.
    pub owners: &'static str,
}

#[derive(diesel::QueryableByName)]
struct Answer {
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = Nullable<Text>)]
    first: Option<String>,
}

/// Asks all of them; what is in order is not in the answer.
pub async fn ask(conn: &mut Conn, now: DateTime<Utc>, questions: &[Question]) -> Result<Vec<Finding>, DbError> {
    let mut findings = Vec::new();
    for question in questions {
        let query = format!("select count(*) as count, min(id::text) as first from ({}) as wrong", question.wrong);
        let answer: Answer = diesel::sql_query(query).bind::<Timestamptz, _>(now).get_result(conn).await?;
        if let Some(first) = answer.first {
            findings.push(Finding {
                code: question.finding,
                severity: question.severity,
                found: format!("{}: {}, for example {}.", question.what, answer.count, question.written(first)),
                advice: Some(question.advice.to_owned()),
            });
        }
    }
    Ok(findings)
}

impl Question {
    /// Of what cannot be unless the program is wrong or somebody changed the data by hand.
    pub const fn never(finding: &'static str, prefix: &'static str, what: &'static str, wrong: &'static str) -> Self {
        Self { finding, severity: Severity::Problem, wrong, prefix, what, advice: REPORT }
    }

    fn written(&self, id: String) -> String {
        match id.parse::<Uuid>() {
            Ok(uuid) if !self.prefix.is_empty() => ids::write(self.prefix, uuid),
            _ => id,
        }
    }
}
