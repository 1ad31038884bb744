//! The own API tokens: made, shown once, revoked.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use chrono::Duration;
use serde::Deserialize;

use super::{
    Nothing,
    outside::fault_of,
    settings_views::{MadeToken, ScopeChoice, TokenForm, TokenRow, TokensPage},
};
use crate::{
    accounts::{
        error::AccountsError,
        model::{self, Name, NewToken},
        ops,
    },
    base::{
        access::{Scope, TokensEdit, TokensRead},
        ctx::Ctx,
        error::{FieldFault, Invalid},
        paging::{self, PageRequest},
    },
    config::Config,
    platform::{Platform, idempotency::Once},
    web::{
        extract::{Form, first_answer, path_id},
        format::When,
        frame::Place,
        guard::Guard,
        page::{self, PageFrame},
        parts::{Choice, Field},
        problem::Problem,
    },
};

const DAYS: [(&str, &str); 4] = [("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year"), ("", "Never")];

pub async fn tokens_page(guard: Guard<TokensRead>, frame: PageFrame) -> Result<HttpResponse, Problem> {
    let form = form(&guard.ctx, &MakeForm::fresh(), None)?;
    page::ok(&view(&guard.ctx, &guard.app, frame, None, form).await?)
}

async fn view(
    ctx: &Ctx,
    app: &Platform,
    frame: PageFrame,
    made: Option<MadeToken>,
    form: TokenForm,
) -> Result<TokensPage, AccountsError> {
    let tokens = ops::own_tokens(ctx, app, &PageRequest::first(paging::MOST)).await?;
    let rows = tokens.items.iter().map(|token| row(ctx, token)).collect();
    Ok(TokensPage { frame: frame.titled("API tokens", Place::Settings), made, form, tokens: rows })
}

fn row(ctx: &Ctx, token: &model::Token) -> TokenRow {
    let now = ctx.clock.now();
    TokenRow {
        id: token.id.to_string(),
        name: token.name.clone(),
        hint: format!("…{}", token.hint),
        scopes: token.scopes.iter().map(ToString::to_string).collect(),
        made: When::new(token.created_at, now),
        used: token.last_used_at.map(|at| When::new(at, now)),
        // A time to come is a date; "ago" has no words for it.
        expires: token.expires_at.map(|at| When { text: at.format("%-d %B %Y").to_string(), ..When::new(at, now) }),
        expired: token.expires_at.is_some_and(|at| at <= now),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakeForm {
    name: String,
    scope: Option<Marked>,
    expires_days: String,
}

/// Boxes of one name: none, one or several are marked.
#[derive(Deserialize)]
#[serde(untagged)]
enum Marked {
    One(Scope),
    Several(Vec<Scope>),
}

impl MakeForm {
    fn fresh() -> Self {
        let scope = Some(Marked::Several(vec![Scope::Read, Scope::Write]));
        Self { name: String::new(), scope, expires_days: "90".to_owned() }
    }

    fn scopes(&self) -> Vec<Scope> {
        match &self.scope {
            None => Vec::new(),
            Some(Marked::One(scope)) => vec![*scope],
            Some(Marked::Several(scopes)) => scopes.clone(),
        }
    }

    fn parse(&self, ctx: &Ctx) -> Result<NewToken, Invalid> {
        let days = DAYS.iter().find(|(days, _)| *days == self.expires_days);
        let days = days.ok_or_else(|| Invalid::field("expires_days", "not_offered", "Choose one of the times."))?;
        let expires_at = days.0.parse().ok().map(|days| ctx.clock.now() + Duration::days(days));
        let name = self.name.parse::<Name>();
        if let (Ok(name), false) = (&name, self.scopes().is_empty()) {
            return Ok(NewToken { name: name.clone(), scopes: self.scopes(), expires_at });
        }
        let none = FieldFault::new("scopes", "required", "Choose at least one scope.");
        let scopes = self.scopes().is_empty().then_some(none);
        Err(Invalid(name.err().into_iter().chain(scopes).collect()))
    }
}

/// The form with what was chosen in it. Scopes that the caller has not are not offered.
fn form(ctx: &Ctx, chosen: &MakeForm, refused: Option<&Invalid>) -> Result<TokenForm, AccountsError> {
    let acting = ctx.acting()?;
    let scopes = Scope::ALL.into_iter().filter(|scope| acting.scopes.contains(scope));
    let choice = |scope: Scope| ScopeChoice {
        value: scope.as_str(),
        about: about(scope),
        chosen: chosen.scopes().contains(&scope),
    };
    Ok(TokenForm {
        name: Field { value: chosen.name.clone(), error: refused.and_then(|invalid| fault_of(invalid, "name")) },
        scopes: scopes.map(choice).collect(),
        scopes_error: refused.and_then(|invalid| fault_of(invalid, "scopes")),
        expiry: DAYS.iter().map(|(days, label)| Choice::new(*days, *label, &chosen.expires_days)).collect(),
    })
}

fn about(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "See your own pictures, generations and spending",
        Scope::Write => "Make, change and delete your own things; this spends money",
        Scope::Admin => "The admin API, as far as your roles reach",
        Scope::Tokens => "Make and revoke your own tokens",
    }
}

pub async fn make_token(
    guard: Guard<TokensEdit>,
    request: HttpRequest,
    chosen: Form<MakeForm>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let Guard { ctx, app, .. } = &guard;
    match make(ctx, app, &request, &chosen.0).await {
        Ok(made) => page::ok(&view(ctx, app, frame, Some(made), form(ctx, &MakeForm::fresh(), None)?).await?),
        Err(AccountsError::Invalid(invalid)) => {
            let form = form(ctx, &chosen.0, Some(&invalid))?;
            page::html(StatusCode::UNPROCESSABLE_ENTITY, &view(ctx, app, frame, None, form).await?)
        }
        Err(other) => Err(other.into()),
    }
}

async fn make(ctx: &Ctx, app: &Platform, request: &HttpRequest, chosen: &MakeForm) -> Result<MadeToken, AccountsError> {
    let mut shown = None;
    let answer = |made: &model::MadeToken| {
        shown = Some(MadeToken {
            name: made.name.clone(),
            token: made.token.clone(),
            base_url: format!("{}/v1", address(request, &app.config)),
            model: example_model(&app.config),
        });
        first_answer(StatusCode::OK, None, &())
    };
    ops::make_token(ctx, app, chosen.parse(ctx)?, &Once::unkeyed(), answer).await?;
    shown.ok_or_else(|| crate::base::error::NotFound.into())
}

/// The address that programs should use for this server.
fn address(request: &HttpRequest, config: &Config) -> String {
    let told = config.server.public_url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
    told.unwrap_or_else(|| {
        let info = request.connection_info();
        format!("{}://{}", info.scheme(), info.host())
    })
}

fn example_model(config: &Config) -> String {
    let configured = config
        .inference
        .providers
        .iter()
        .find_map(|provider| provider.models.first().map(|model| format!("{}/{}", provider.slug, model.name)));
    configured.filter(|_| !config.inference.demo).unwrap_or_else(|| "demo/painter".to_owned())
}

pub async fn revoke_token(
    guard: Guard<TokensEdit>,
    id: web::Path<String>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Problem> {
    ops::revoke_token(&guard.ctx, &guard.app, path_id(&id)?).await?;
    Ok(page::see_other("/settings/tokens"))
}
