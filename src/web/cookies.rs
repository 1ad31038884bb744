//! The cookies of this server: all `__Host-`, `Secure`, and for this host alone.

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
};

use super::frame::Theme;

/// The session. Scripts cannot read it.
pub const SESSION: &str = "__Host-rk_session";

pub fn session_of(request: &HttpRequest) -> Option<String> {
    request.cookie(SESSION).map(|cookie| cookie.value().to_owned())
}

pub fn theme_of(request: &HttpRequest) -> Theme {
    request.cookie(Theme::COOKIE).map_or(Theme::System, |cookie| Theme::parse(cookie.value()))
}

/// Hands the browser its session for as long as it may last.
pub fn give_session(response: &mut HttpResponse, value: &str, hours: u32) {
    add(response, SESSION, value, Duration::hours(i64::from(hours)));
}

pub fn take_session(response: &mut HttpResponse) {
    add(response, SESSION, "", Duration::ZERO);
}

/// A choice of appearance, kept for a year.
pub fn give_theme(response: &mut HttpResponse, theme: Theme) {
    add(response, Theme::COOKIE, theme.as_str(), Duration::days(365));
}

fn add(response: &mut HttpResponse, name: &'static str, value: &str, age: Duration) {
    let cookie = Cookie::build(name, value.to_owned())
        .path("/")
        .secure(true)
        // The page's own script changes the theme without asking the server.
        .http_only(name == SESSION)
        .same_site(SameSite::Lax)
        .max_age(age)
        .finish();
    // Fails only for names and values that no header can hold; ours are plain.
    if let Err(error) = response.add_cookie(&cookie) {
        tracing::error!(%error, name, "a cookie was not set");
    }
}
