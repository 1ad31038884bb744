//! Trying a provider: does it answer, does it take the key, does it have the models. Nothing is made, it costs nothing.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::{
    base::{
        access::{Grant, ProvidersEdit},
        ctx::Ctx,
        error::Invalid,
        ids::ProviderId,
    },
    inference::{error::InferenceError, model::ProviderKind, providers::openai::OpenAi, store},
    platform::{
        Platform,
        audit::{self, Act, Outcome},
        egress::{About, Body, Call, EgressError, Method, Purpose, Reply},
    },
};

const LIMIT: Duration = Duration::from_secs(20);

/// What a test said.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Probe {
    /// Whether pictures can be asked for, as far as that shows.
    pub ok: bool,
    pub milliseconds: u64,
    /// Status of the answer; null without one.
    #[schema(minimum = 100, maximum = 999)]
    pub status: Option<u16>,
    pub key: KeyVerdict,
    /// Names of the models that the server lists, at most a thousand.
    pub models: Vec<String>,
    /// Names in the catalog that the server does not list.
    pub missing: Vec<String>,
    /// One sentence for people.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyVerdict {
    Accepted,
    Refused,
    Unknown,
}

pub async fn probe(
    ctx: &Ctx,
    app: &Platform,
    grant: &Grant<ProvidersEdit>,
    id: ProviderId,
) -> Result<Probe, InferenceError> {
    let mut conn = app.db.read().await?;
    let view = super::providers::current(&mut conn, id).await?;
    let offers = store::all(&mut conn).await?;
    drop(conn);
    if view.provider.kind == ProviderKind::Demo {
        let message = "The painter is built in: there is nothing to connect to.";
        return Err(Invalid::field("id", "built_in", message).into());
    }
    let wanted: Vec<String> =
        offers.into_iter().filter(|offer| offer.provider.id == id).map(|offer| offer.model.upstream_name).collect();
    let adapter = OpenAi::new(app, &view.provider, LIMIT)?;
    let url = adapter.address("models").map_err(|_| Invalid::field("base_url", "malformed", "This is no address."))?;
    let about =
        About { purpose: Purpose::Test, categories: Vec::new(), person: Some(grant.person()), generation: None };
    let call = Call {
        method: Method::Get,
        url,
        bearer: adapter.key(),
        body: Body::none(),
        limit: LIMIT,
        most: 4 << 20,
        cancel: CancellationToken::new(),
    };
    let probe = match adapter.outlet(about).send(call).await {
        Ok(reply) => answered(&reply, &wanted),
        Err(error) => unanswered(&error),
    };
    app.db
        .write("inference.probe", async |tx| {
            let outcome = if probe.ok { Outcome::Done } else { Outcome::Failed };
            audit::record(tx, ctx, Act::done("providers.test").on("provider", id).outcome(outcome)).await?;
            Ok::<_, InferenceError>(())
        })
        .await?;
    Ok(probe)
}

fn answered(reply: &Reply, wanted: &[String]) -> Probe {
    let models = listed(&reply.body);
    let key = match reply.status {
        200..300 => KeyVerdict::Accepted,
        401 | 403 => KeyVerdict::Refused,
        _ => KeyVerdict::Unknown,
    };
    let found = models.as_deref().unwrap_or_default();
    let missing: Vec<String> = wanted.iter().filter(|name| !found.contains(name)).cloned().collect();
    let message = match (key, &models) {
        (KeyVerdict::Accepted, Some(listed)) if wanted.is_empty() => format!(
            "The key is valid, and it lists {}. No model is set up here yet. Nothing was made, nothing was charged.",
            if listed.len() == 1 { "one model".to_owned() } else { format!("{} models", listed.len()) }
        ),
        (KeyVerdict::Accepted, Some(_)) if missing.is_empty() => {
            format!(
                "The key is valid, {} of {} models found. Nothing was made, nothing was charged.",
                wanted.len(),
                wanted.len()
            )
        }
        (KeyVerdict::Accepted, Some(_)) if missing.len() == wanted.len() => format!(
            "It answers and takes the key, but lists none of the {} that are set up: {}. Nothing was made, nothing was \
             charged.",
            if wanted.len() == 1 { "models".to_owned() } else { format!("{} models", wanted.len()) },
            missing.join(", ")
        ),
        (KeyVerdict::Accepted, Some(_)) => format!(
            "The key is valid, {} of {} models found; it does not list {}. Nothing was made, nothing was charged.",
            wanted.len() - missing.len(),
            wanted.len(),
            missing.join(", ")
        ),
        (KeyVerdict::Accepted, None) => "It answers, but not with a list of models. Is the address right?".to_owned(),
        (KeyVerdict::Refused, _) => {
            format!("It says {}. Save a new key. Nothing was made, nothing was charged.", reply.status)
        }
        (KeyVerdict::Unknown, _) => format!("It answers {}. Is the address right?", reply.status),
    };
    Probe {
        ok: key == KeyVerdict::Accepted && models.is_some() && (wanted.is_empty() || missing.len() < wanted.len()),
        milliseconds: u64::try_from(reply.took.as_millis()).unwrap_or(u64::MAX),
        status: Some(reply.status),
        key,
        models: models.unwrap_or_default(),
        missing,
        message,
    }
}

/// `{"data": [{"id": "..."}]}`, or nothing that is known.
fn listed(body: &[u8]) -> Option<Vec<String>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let ids = body.get("data")?.as_array()?.iter().filter_map(|item| item.get("id")?.as_str().map(str::to_owned));
    Some(ids.take(1000).collect())
}

fn unanswered(error: &EgressError) -> Probe {
    Probe {
        ok: false,
        milliseconds: 0,
        status: None,
        key: KeyVerdict::Unknown,
        models: Vec::new(),
        missing: Vec::new(),
        message: format!("{error} Nothing was made, nothing was charged."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_lists_none_of_the_models_is_not_well() {
        let reply = Reply {
            status: 200,
            content_type: None,
            retry_after: None,
            request_id: None,
            body: br#"{"data": [{"id": "a"}]}"#.as_slice().into(),
            took: Duration::ZERO,
        };
        let probe = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
            let probe = answered(&reply, &wanted);
            (probe.ok, probe.message)
        };
        assert!(probe(&[]).0 && probe(&["a"]).0);
        let (ok, message) = probe(&["a", "b"]);
        assert!(ok && message.contains("1 of 2 models found"), "{message}");
        let (ok, message) = probe(&["b", "c"]);
        assert!(!ok && message.contains("none of the 2 models that are set up: b, c."), "{message}");
    }
}
