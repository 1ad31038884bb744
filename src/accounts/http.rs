//! The JSON API of accounts: personal tokens.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    model::{self, NewToken},
    ops,
};
use crate::{
    base::{
        access::{Scope, TokensEdit, TokensRead},
        clock::At,
        error::{FieldFault, Invalid},
        ids::{TokenId, TokenKind},
    },
    web::{
        document::operation,
        extract::{self, Body, Query, path_id},
        guard::Guard,
        problem::Problem,
        route::{Route, delete, get, post},
    },
};

pub const TOKENS: &str = "/api/v1/tokens";

pub fn routes() -> Vec<Route> {
    vec![
        get(TOKENS, list_tokens).documented(
            operation("tokens", "Your API tokens, newest first, without their secrets.")
                .query::<TokenQuery>()
                .lists::<TokenItem>("A page of tokens."),
        ),
        post(TOKENS, create_token).documented(
            operation("tokens", "Makes a token. Its secret is in this answer and nowhere else.")
                .once()
                .body::<TokenRequest>()
                .answers::<MadeToken>(StatusCode::CREATED, "The token."),
        ),
        delete("/api/v1/tokens/{id}", revoke_token).documented(
            operation("tokens", "Revokes a token; it is refused from this moment on.")
                .id::<TokenKind>("id")
                .answers_nothing(StatusCode::NO_CONTENT, "It is revoked."),
        ),
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct TokenQuery {
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    #[param(max_length = 255)]
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Where it is used, for people.
    #[schema(min_length = 1, max_length = 255, example = "Catalogue script")]
    name: String,
    /// No more than the caller has.
    #[schema(min_items = 1, max_items = 4)]
    scopes: Vec<Scope>,
    /// Never, when not given.
    expires_at: Option<DateTime<Utc>>,
}

impl TokenRequest {
    fn parse(self) -> Result<NewToken, Invalid> {
        let name = self.name.parse().map_err(|fault| Invalid(vec![fault]))?;
        if self.scopes.len() > Scope::ALL.len() {
            let fault = FieldFault::new("scopes", "too_long", "There are four scopes; name each once.");
            return Err(Invalid(vec![fault]));
        }
        Ok(NewToken { name, scopes: self.scopes, expires_at: self.expires_at })
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TokenItem {
    id: TokenId,
    #[schema(max_length = 255)]
    name: String,
    #[schema(max_items = 4)]
    scopes: Vec<Scope>,
    /// The last characters of the secret.
    #[schema(max_length = 8)]
    hint: String,
    created_at: At,
    expires_at: Option<At>,
    last_used_at: Option<At>,
}

impl From<model::Token> for TokenItem {
    fn from(token: model::Token) -> Self {
        Self {
            id: token.id,
            name: token.name,
            scopes: token.scopes,
            hint: token.hint,
            created_at: token.created_at.into(),
            expires_at: token.expires_at.map(At),
            last_used_at: token.last_used_at.map(At),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct MadeToken {
    id: TokenId,
    #[schema(max_length = 255)]
    name: String,
    #[schema(max_items = 4)]
    scopes: Vec<Scope>,
    expires_at: Option<At>,
    /// The secret itself: shown once.
    #[schema(pattern = "^rk_[A-Za-z0-9_-]{43}$", max_length = 46)]
    token: String,
}

impl From<&model::MadeToken> for MadeToken {
    fn from(made: &model::MadeToken) -> Self {
        Self {
            id: made.id,
            name: made.name.clone(),
            scopes: made.scopes.clone(),
            expires_at: made.expires_at.map(At),
            token: made.token.clone(),
        }
    }
}

async fn list_tokens(guard: Guard<TokensRead>, query: Query<TokenQuery>) -> Result<HttpResponse, Problem> {
    let page = query.page(&guard.app.keys, TOKENS, query.value.limit, query.value.cursor.as_deref())?;
    let tokens = ops::own_tokens(&guard.ctx, &guard.app, &page).await?;
    Ok(HttpResponse::Ok().json(query.list(&guard.app.keys, TOKENS, tokens.map(TokenItem::from))))
}

async fn create_token(
    guard: Guard<TokensEdit>,
    request: HttpRequest,
    body: Body<TokenRequest>,
) -> Result<HttpResponse, Problem> {
    let once = extract::once(&request, body.hash)?;
    let answer = |made: &model::MadeToken| {
        let location = format!("{TOKENS}/{}", made.id);
        extract::first_answer(StatusCode::CREATED, Some(location), &MadeToken::from(made))
    };
    let made = ops::make_token(&guard.ctx, &guard.app, body.value.parse()?, &once, answer).await?;
    Ok(extract::answer(&made))
}

async fn revoke_token(guard: Guard<TokensEdit>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    ops::revoke_token(&guard.ctx, &guard.app, path_id(&id)?).await?;
    Ok(HttpResponse::NoContent().finish())
}
