//! Statements as the API gives them: by ids, a page at a time. The table for download has names, and comes from `app`.

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    base::{
        access::{StatementRead, StatementsRead},
        clock::{At, Clock},
        ids::{GenerationId, PersonId, ProviderId, WorkspaceId},
        money::Money,
    },
    ledger::{
        ops::statement as ops,
        statement::{Line, Month},
    },
    web::{
        document::operation,
        extract::Query,
        guard::Guard,
        problem::Problem,
        route::{Route, get},
    },
};

const OWN: &str = "/api/v1/statement";
const ALL: &str = "/api/v1/admin/statement";

pub fn routes() -> Vec<Route> {
    vec![
        get(OWN, own_statement).documented(
            operation("statements", "What was charged for own work accepted in a month, newest first")
                .query::<StatementQuery>()
                .lists::<StatementLine>("A page of charged generations."),
        ),
        get(ALL, whole_statement).documented(
            operation("statements", "What was charged for everybody's work accepted in a month, newest first")
                .query::<StatementsQuery>()
                .lists::<StatementLine>("A page of charged generations."),
        ),
    ]
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct StatementQuery {
    /// As 2026-11, in UTC; without it, this month.
    #[param(value_type = Option<String>, pattern = r"^[0-9]{4}-[0-9]{2}$")]
    month: Option<Month>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    #[param(max_length = 255)]
    cursor: Option<String>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct StatementsQuery {
    /// As 2026-11, in UTC; without it, this month.
    #[param(value_type = Option<String>, pattern = r"^[0-9]{4}-[0-9]{2}$")]
    month: Option<Month>,
    person: Option<PersonId>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    #[param(max_length = 255)]
    cursor: Option<String>,
}

/// One generation that was charged. The lines of a month add up to what its caps have counted as spent.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatementLine {
    generation: GenerationId,
    person: PersonId,
    workspace: WorkspaceId,
    provider: ProviderId,
    /// When it was accepted: the month that it counts in.
    accepted_at: At,
    charged_at: At,
    /// What was set aside.
    held: Money,
    /// What was posted, overage included.
    charged: Money,
    /// What the provider billed above what was set aside.
    overage: Money,
}

impl From<Line> for StatementLine {
    fn from(line: Line) -> Self {
        Self {
            generation: line.generation,
            person: line.person,
            workspace: line.workspace,
            provider: line.provider,
            accepted_at: At(line.accepted_at),
            charged_at: At(line.charged_at),
            held: line.held,
            charged: line.charged,
            overage: line.overage,
        }
    }
}

async fn own_statement(guard: Guard<StatementRead>, query: Query<StatementQuery>) -> Result<HttpResponse, Problem> {
    let StatementQuery { month, limit, cursor } = &query.value;
    let page = query.page(&guard.app.keys, OWN, *limit, cursor.as_deref())?;
    let month = month.unwrap_or_else(|| this(&guard.ctx.clock));
    let lines = ops::own_lines(&guard.app, &guard.grant()?, month, &page).await?;
    Ok(HttpResponse::Ok().json(query.list(&guard.app.keys, OWN, lines.map(StatementLine::from))))
}

async fn whole_statement(guard: Guard<StatementsRead>, query: Query<StatementsQuery>) -> Result<HttpResponse, Problem> {
    let StatementsQuery { month, person, limit, cursor } = &query.value;
    let page = query.page(&guard.app.keys, ALL, *limit, cursor.as_deref())?;
    let month = month.unwrap_or_else(|| this(&guard.ctx.clock));
    let lines = ops::all_lines(&guard.app, &guard.grant()?, month, *person, &page).await?;
    Ok(HttpResponse::Ok().json(query.list(&guard.app.keys, ALL, lines.map(StatementLine::from))))
}

fn this(clock: &Clock) -> Month {
    Month::of(clock.today())
}
