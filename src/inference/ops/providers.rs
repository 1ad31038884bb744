//! Providers, as administrators set them up.

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::base_url::BaseUrl;
use crate::{
    base::{
        access::{Grant, ProvidersEdit, ProvidersRead},
        ctx::Ctx,
        error::{Invalid, NotFound},
        ids::ProviderId,
    },
    inference::{
        error::InferenceError,
        model::{ProviderInfo, ProviderKind},
        store::{self, ProviderValues},
    },
    platform::{
        Platform,
        audit::{self, Act},
        crypto::{Keys, Purpose},
        db::{Conn, Tx},
        egress::{Destination, destinations},
        idempotency::{Answer, Once},
    },
};

/// Longest API key.
const KEY_LIMIT: usize = 1000;

/// A provider with where its data goes.
#[derive(Clone, Debug)]
pub struct ProviderView {
    pub provider: ProviderInfo,
    /// None: built in.
    pub destination: Option<Destination>,
}

#[derive(Debug)]
pub struct NewProvider {
    /// None: made from the title.
    pub slug: Option<String>,
    pub title: String,
    pub base_url: String,
    pub api_key: Option<SecretString>,
    pub local: bool,
    pub enabled: bool,
}

/// What is to be changed; none leaves it as it is.
#[derive(Debug, Default)]
pub struct ProviderChange {
    pub title: Option<String>,
    pub base_url: Option<String>,
    /// `Some(None)` takes the key away.
    pub api_key: Option<Option<SecretString>>,
    pub local: Option<bool>,
    pub enabled: Option<bool>,
}

impl ProviderChange {
    fn describes(&self) -> bool {
        self.title.is_some() || self.base_url.is_some() || self.api_key.is_some() || self.local.is_some()
    }
}

pub async fn list_providers(
    app: &Platform,
    _grant: &Grant<ProvidersRead>,
) -> Result<Vec<ProviderView>, InferenceError> {
    let mut conn = app.db.read().await?;
    let mut views = Vec::new();
    for provider in store::providers(&mut conn).await? {
        views.push(view(&mut conn, provider).await?);
    }
    Ok(views)
}

pub async fn find_provider(
    app: &Platform,
    _grant: &Grant<ProvidersRead>,
    id: ProviderId,
) -> Result<ProviderView, InferenceError> {
    current(&mut *app.db.read().await?, id).await
}

pub(super) async fn current(conn: &mut Conn, id: ProviderId) -> Result<ProviderView, InferenceError> {
    let provider = store::current_provider(conn, id.uuid()).await?.ok_or(NotFound)?;
    view(conn, provider).await
}

async fn view(conn: &mut Conn, provider: ProviderInfo) -> Result<ProviderView, InferenceError> {
    let destination = match provider.destination {
        Some(id) => destinations::find(conn, id).await?,
        None => None,
    };
    Ok(ProviderView { provider, destination })
}

pub async fn add_provider(
    ctx: &Ctx,
    app: &Platform,
    grant: &Grant<ProvidersEdit>,
    new: NewProvider,
    once: &Once,
    answer: impl FnOnce(&ProviderView) -> Answer,
) -> Result<Answer, InferenceError> {
    check_title(&new.title)?;
    check_key(new.api_key.as_ref())?;
    let url = BaseUrl::parse(&new.base_url, new.local)?;
    app.db
        .write("inference.add_provider", async |tx| {
            if let Some(kept) = once.claim(tx, &app.keys, ctx, grant.person()).await? {
                return Ok(kept);
            }
            store::lock(tx).await?;
            let slug = free_slug(tx, &new).await?;
            let destination = destinations::allow(tx, ctx, &url.origin, new.local).await?;
            let values = ProviderValues {
                slug: &slug,
                kind: ProviderKind::OpenAi,
                title: new.title.trim(),
                base_url: Some(&url.text),
                destination: Some(destination),
                managed: false,
            };
            let id = ProviderId::new(&ctx.clock);
            store::insert_provider(tx, id, &values, new.enabled, ctx.clock.now()).await?;
            set_key(tx, ctx, &app.keys, id, new.api_key.as_ref()).await?;
            let details = json!({ "slug": slug, "local": new.local, "enabled": new.enabled });
            audit::record(tx, ctx, Act::done("providers.add").on("provider", id).details(details)).await?;
            let first = answer(&current(tx, id).await?);
            once.keep(tx, &app.keys, grant.person(), &first).await?;
            Ok(first)
        })
        .await
}

pub async fn change_provider(
    ctx: &Ctx,
    app: &Platform,
    _grant: &Grant<ProvidersEdit>,
    id: ProviderId,
    change: ProviderChange,
) -> Result<ProviderView, InferenceError> {
    app.db
        .write("inference.change_provider", async |tx| {
            store::lock(tx).await?;
            let before = current(tx, id).await?;
            if change.describes() {
                describe(tx, ctx, app, &before, &change).await?;
            }
            if let Some(on) = change.enabled
                && store::switch_provider(tx, id, on, ctx.clock.now()).await?
            {
                let action = if on { "providers.switch_on" } else { "providers.switch_off" };
                audit::record(tx, ctx, Act::done(action).on("provider", id)).await?;
            }
            current(tx, id).await
        })
        .await
}

async fn describe(
    tx: &mut Tx,
    ctx: &Ctx,
    app: &Platform,
    before: &ProviderView,
    change: &ProviderChange,
) -> Result<(), InferenceError> {
    let provider = &before.provider;
    if provider.managed {
        return Err(InferenceError::Managed);
    }
    let title = change.title.as_deref().unwrap_or(&provider.title);
    check_title(title)?;
    let local = change.local.unwrap_or(before.destination.as_ref().is_some_and(|known| known.local));
    let text = change.base_url.as_deref().or(provider.base_url.as_deref()).unwrap_or_default();
    let url = BaseUrl::parse(text, local)?;
    let known = before.destination.as_ref().is_some_and(|known| known.origin == url.origin && known.local == local);
    let destination = match provider.destination.filter(|_| known) {
        Some(same) => same,
        None => destinations::allow(tx, ctx, &url.origin, local).await?,
    };
    // A key goes to the server that it was given for and to no other.
    if !known && provider.api_key.is_some() && change.api_key.is_none() && Some(destination) != provider.destination {
        let message = "The address is on another server. Give its key too, or take the key away.";
        return Err(Invalid::field("api_key", "required", message).into());
    }
    let values = ProviderValues {
        slug: &provider.slug,
        kind: provider.kind,
        title: title.trim(),
        base_url: Some(&url.text),
        destination: Some(destination),
        managed: false,
    };
    store::update_provider(tx, provider.id, &values, ctx.clock.now()).await?;
    if let Some(key) = &change.api_key {
        check_key(key.as_ref())?;
        set_key(tx, ctx, &app.keys, provider.id, key.as_ref()).await?;
    }
    if let Some(left) = provider.destination.filter(|left| *left != destination) {
        leave(tx, ctx, left).await?;
    }
    let details = json!({
        "title": change.title.is_some(), "base_url": change.base_url.is_some(),
        "api_key": change.api_key.is_some(), "local": local,
    });
    audit::record(tx, ctx, Act::done("providers.change").on("provider", provider.id).details(details)).await?;
    Ok(())
}

/// Takes it out of the catalog; what it made, and what that cost, is kept.
pub async fn remove_provider(
    ctx: &Ctx,
    app: &Platform,
    _grant: &Grant<ProvidersEdit>,
    id: ProviderId,
) -> Result<(), InferenceError> {
    app.db
        .write("inference.remove_provider", async |tx| {
            store::lock(tx).await?;
            let provider = store::current_provider(tx, id.uuid()).await?.ok_or(NotFound)?;
            if provider.managed {
                return Err(InferenceError::Managed);
            }
            take_out(tx, ctx, &provider).await
        })
        .await
}

pub(super) async fn take_out(tx: &mut Tx, ctx: &Ctx, provider: &ProviderInfo) -> Result<(), InferenceError> {
    store::remove_provider(tx, provider.id, ctx.clock.now()).await?;
    if let Some(destination) = provider.destination {
        leave(tx, ctx, destination).await?;
    }
    audit::record(tx, ctx, Act::done("providers.remove").on("provider", provider.id)).await?;
    Ok(())
}

/// Nothing leaves any more to where no provider is.
async fn leave(tx: &mut Tx, ctx: &Ctx, destination: crate::base::ids::DestinationId) -> Result<(), InferenceError> {
    if !store::destination_in_use(tx, destination.uuid()).await? {
        destinations::switch_off(tx, ctx, destination).await?;
    }
    Ok(())
}

/// Seals the key, or takes it away.
pub(super) async fn set_key(
    tx: &mut Tx,
    ctx: &Ctx,
    keys: &Keys,
    id: ProviderId,
    key: Option<&SecretString>,
) -> Result<(), InferenceError> {
    let seal = |key: &SecretString| {
        keys.seal(Purpose::ProviderSecret, id.uuid().as_bytes(), key.expose_secret().trim().as_bytes())
    };
    store::set_key(tx, id, key.map(seal).transpose()?, ctx.clock.now()).await
}

/// The provider's key, for the one who sends it.
pub fn open_key(keys: &Keys, provider: &ProviderInfo) -> Result<Option<SecretString>, InferenceError> {
    let open = |sealed: &Vec<u8>| {
        let plain = keys.open(Purpose::ProviderSecret, provider.id.uuid().as_bytes(), sealed)?;
        Ok::<_, InferenceError>(String::from_utf8_lossy(&plain).into_owned().into())
    };
    provider.api_key.as_ref().map(open).transpose()
}

fn check_title(title: &str) -> Result<(), Invalid> {
    if title.trim().is_empty() || title.len() > 255 || title.contains('\0') {
        return Err(Invalid::field("title", "out_of_range", "A name is 1 to 255 bytes long."));
    }
    Ok(())
}

/// It becomes a header, so it is made of visible characters.
fn check_key(key: Option<&SecretString>) -> Result<(), Invalid> {
    let Some(key) = key else { return Ok(()) };
    let text = key.expose_secret().trim();
    if text.is_empty() || text.len() > KEY_LIMIT || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = "A key is 1 to 1,000 visible characters without spaces.";
        return Err(Invalid::field("api_key", "malformed", message));
    }
    Ok(())
}

/// The wanted one, or one made from the title that nobody has.
async fn free_slug(tx: &mut Tx, new: &NewProvider) -> Result<String, InferenceError> {
    if let Some(slug) = &new.slug {
        if !is_slug(slug) {
            let message = "Lower-case letters, digits and dashes, 1 to 63 long.";
            return Err(Invalid::field("slug", "malformed", message).into());
        }
        if store::provider_by_slug(tx, slug).await?.is_some() {
            return Err(Invalid::field("slug", "taken", "Another provider has this short name.").into());
        }
        return Ok(slug.clone());
    }
    let base = slug_of(&new.title);
    for number in 1..1000 {
        let slug = if number == 1 { base.clone() } else { format!("{base}-{number}") };
        if store::provider_by_slug(tx, &slug).await?.is_none() {
            return Ok(slug);
        }
    }
    Err(Invalid::field("slug", "taken", "Give it a short name of its own.").into())
}

fn is_slug(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn slug_of(title: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let dashed: String = title.chars().map(plain).collect();
    let words: Vec<_> = dashed.split('-').filter(|word| !word.is_empty()).collect();
    let slug: String = words.join("-").chars().take(50).collect();
    if slug.is_empty() { "provider".to_owned() } else { slug.trim_end_matches('-').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_come_from_titles() {
        let table =
            [("OpenAI", "openai"), ("  studio GPU #1 ", "studio-gpu-1"), ("東京", "provider"), ("--", "provider")];
        for (title, slug) in table {
            assert_eq!(slug_of(title), slug);
            assert!(is_slug(slug));
        }
        assert!(is_slug(&slug_of(&"a-".repeat(200))));
    }
}
