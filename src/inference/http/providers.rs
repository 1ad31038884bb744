//! Providers on the wire. Keys go in and never come out.

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::{
    base::{
        clock::At,
        ids::{DestinationId, ProviderId},
    },
    inference::{
        model::ProviderKind,
        ops::{NewProvider, ProviderChange, ProviderView},
    },
};

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProviderItem {
    pub id: ProviderId,
    /// First part of its models' ids.
    #[schema(max_length = 63)]
    pub slug: String,
    pub kind: ProviderKind,
    #[schema(max_length = 255)]
    pub title: String,
    /// Null: built in.
    #[schema(max_length = 2000)]
    pub base_url: Option<String>,
    pub destination: Option<DestinationId>,
    /// Whether it may be on a private address.
    pub local: bool,
    pub has_key: bool,
    /// Set up by the configuration file and changed there.
    pub managed: bool,
    pub enabled: bool,
    pub created_at: At,
}

impl From<ProviderView> for ProviderItem {
    fn from(ProviderView { provider, destination }: ProviderView) -> Self {
        Self {
            id: provider.id,
            slug: provider.slug,
            kind: provider.kind,
            title: provider.title,
            local: destination.as_ref().is_none_or(|known| known.local),
            destination: destination.map(|known| known.id),
            base_url: provider.base_url,
            has_key: provider.api_key.is_some(),
            managed: provider.managed,
            enabled: provider.enabled,
            created_at: provider.created_at.into(),
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderRequest {
    /// `openai` when not given: the built-in painter is there already.
    pub kind: Option<NewKind>,
    /// Made from the title when not given.
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9][a-z0-9-]*$")]
    pub slug: Option<String>,
    #[schema(min_length = 1, max_length = 255, example = "OpenAI")]
    pub title: String,
    #[schema(min_length = 1, max_length = 2000, example = "https://api.openai.com/v1")]
    pub base_url: String,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1000, write_only)]
    pub api_key: Option<SecretString>,
    /// It is a machine of the organisation, which may have a private address. False when not given.
    pub local: Option<bool>,
    /// True when not given.
    pub enabled: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = NewProviderKind)]
pub enum NewKind {
    OpenAi,
}

impl From<ProviderRequest> for NewProvider {
    fn from(request: ProviderRequest) -> Self {
        Self {
            slug: request.slug,
            title: request.title,
            base_url: request.base_url,
            api_key: request.api_key,
            local: request.local.unwrap_or(false),
            enabled: request.enabled.unwrap_or(true),
        }
    }
}

/// What is not given stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderPatch {
    #[schema(min_length = 1, max_length = 255)]
    title: Option<String>,
    #[schema(min_length = 1, max_length = 2000)]
    base_url: Option<String>,
    /// Null takes the key away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1000, write_only)]
    api_key: Option<Option<SecretString>>,
    local: Option<bool>,
    enabled: Option<bool>,
}

/// Tells null from nothing.
pub(super) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl From<ProviderPatch> for ProviderChange {
    fn from(patch: ProviderPatch) -> Self {
        Self {
            title: patch.title,
            base_url: patch.base_url,
            api_key: patch.api_key,
            local: patch.local,
            enabled: patch.enabled,
        }
    }
}
