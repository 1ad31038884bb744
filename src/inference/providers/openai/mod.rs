//! Any server that speaks OpenAI's images API: OpenAI itself, and the local servers that took its shape over.
//!
//! There is no job to look up and no key that makes a call safe to repeat: the answer is all there is. So a call whose
//! answer was lost is `Unknown` and is never sent again from here.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::SecretString;
use url::Url;

use self::answer::{Picture, Whose};
use super::{Answer, Billed, Failure, Image, Progress, Provider, Watch, Work};
use crate::{
    base::{
        ctx::Ctx,
        error::{Fault, NotFound, chain},
        ids::DestinationId,
    },
    inference::{
        error::InferenceError,
        model::{ProviderInfo, Upstream},
        ops, store,
    },
    platform::{
        Platform,
        egress::{About, Body, Call, Category, Method, Outlet, Purpose, destinations},
    },
};

pub mod answer;
mod request;

/// Bytes of the answer that one picture may take, as base64.
const PICTURE_LIMIT: usize = 44 << 20;
/// Bytes of an answer, however many pictures it has.
const ANSWER_LIMIT: usize = 256 << 20;

pub struct OpenAi {
    app: Platform,
    provider: ProviderInfo,
    base: Url,
    destination: DestinationId,
    key: Option<SecretString>,
    timeout: Duration,
}

/// What the catalog and the destinations say about a model's server.
struct Terms {
    upstream: Upstream,
    seeds: bool,
    local: bool,
}

impl OpenAi {
    pub fn new(app: &Platform, provider: &ProviderInfo, timeout: Duration) -> Result<Self, InferenceError> {
        let base = provider.base_url.as_deref().and_then(|text| text.parse().ok()).ok_or(NotFound)?;
        Ok(Self {
            app: app.clone(),
            base,
            destination: provider.destination.ok_or(NotFound)?,
            key: ops::open_key(&app.keys, provider)?,
            provider: provider.clone(),
            timeout,
        })
    }

    /// An address below the base address.
    pub fn address(&self, path: &str) -> Result<Url, url::ParseError> {
        format!("{}/{path}", self.base.as_str().trim_end_matches('/')).parse()
    }

    pub fn key(&self) -> Option<SecretString> {
        self.key.clone()
    }

    pub fn outlet(&self, about: About) -> Outlet {
        self.app.egress.to(self.destination, about)
    }

    async fn terms(&self, model: &str) -> Result<Terms, InferenceError> {
        let mut conn = self.app.db.read().await?;
        let (seeds, mut upstream) = store::upstream(&mut conn, self.provider.id.uuid(), model).await?;
        let destination = destinations::find(&mut conn, self.destination).await?;
        // OpenAI's own models refuse the question; most local servers need it.
        let theirs = self.base.host_str().is_some_and(|host| host == "openai.com" || host.ends_with(".openai.com"));
        upstream.response_format = Some(upstream.response_format.unwrap_or(!theirs));
        Ok(Terms { upstream, seeds, local: destination.is_some_and(|known| known.local) })
    }

    fn whose(&self, local: bool) -> Whose<'_> {
        Whose { title: &self.provider.title, local }
    }

    async fn fetch(&self, work: &Work, url: &str, watch: &dyn Watch, whose: Whose<'_>) -> Result<Bytes, Failure> {
        let url = self.base.join(url).map_err(|_| answer::unreadable(whose, "the address of a picture is none"))?;
        let about = about(work, Vec::new());
        let call = Call {
            method: Method::Get,
            url,
            bearer: self.key(),
            body: Body::none(),
            limit: self.limit(),
            most: PICTURE_LIMIT,
            cancel: watch.cancel(),
        };
        let sent = self.outlet(about).send(call).await;
        answer::fetched(sent, work, whose)
    }

    /// A little less than what whoever waits for this has, so that the end is written down here.
    fn limit(&self) -> Duration {
        self.timeout - (self.timeout / 10).min(Duration::from_secs(1))
    }
}

fn about(work: &Work, categories: Vec<Category>) -> About {
    About { purpose: Purpose::Generation, categories, person: Some(work.person), generation: Some(work.generation) }
}

#[async_trait(?Send)]
impl Provider for OpenAi {
    async fn submit(&self, ctx: &Ctx, work: &Work, watch: Arc<dyn Watch>) -> Result<Answer, Failure> {
        let terms = self.terms(&work.model).await.map_err(|error| not_sent(&error))?;
        let whose = self.whose(terms.local);
        let prepared = request::prepare(work, terms.upstream, terms.seeds, &self.app.pictures).await?;
        let call = Call {
            method: Method::Post,
            url: self.address(prepared.path).map_err(|_| unaddressed(whose))?,
            bearer: self.key(),
            body: prepared.body,
            limit: self.limit(),
            most: (work.count as usize).saturating_mul(PICTURE_LIMIT).min(ANSWER_LIMIT),
            cancel: watch.cancel(),
        };
        let step = format!("Waiting for {}", self.provider.title);
        watch.progress(Progress { step, ..Progress::default() });
        let sent = self.outlet(about(work, prepared.categories)).send(call).await;
        let pictures = answer::read(sent, work, whose, ctx.clock.now())?;
        watch.accepted();
        let mut images = Vec::new();
        for (picture, number) in pictures.into_iter().zip(0..work.count) {
            let bytes = match picture {
                Picture::Here(bytes) => bytes,
                Picture::At(url) => self.fetch(work, &url, watch.as_ref(), whose).await?,
            };
            let bytes = answer::checked(bytes, whose)?;
            images.push(Image { bytes, seed: terms.seeds.then(|| work.seed.wrapping_add(number)) });
        }
        Ok(Answer { images, billed: Billed::AsPriced })
    }
}

fn unaddressed(whose: Whose<'_>) -> Failure {
    let message = format!("{} was not asked, because its address is none. Nothing was charged.", whose.title);
    Failure::failed("provider.not_allowed", message, false)
}

/// Something of our own was away before anything was sent.
fn not_sent(error: &InferenceError) -> Failure {
    tracing::warn!(code = error.code(), error = chain(error), "work could not be sent");
    let message = "A part of this server did not answer, so this was not sent. Nothing was charged; try again.";
    Failure::failed("service.unavailable", message, true)
}
