//! The cookies of this server: all `__Host-`, `Secure`, and for this host alone.

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
    dev::ServiceRequest,
};
use data_encoding::BASE64URL_NOPAD;

use super::frame::{Flash, Theme};

pub fn value_of(request: &HttpRequest, name: &str) -> Option<String> {
    request.cookie(name).map(|cookie| cookie.value().to_owned())
}

/// A cookie that no script can read. Without time left it is taken away.
pub fn give(response: &mut HttpResponse, name: &'static str, value: &str, hours: u32) {
    let age = Duration::hours(i64::from(hours));
    add(response, Cookie::build(name, value.to_owned()).http_only(true).max_age(age).finish());
}

pub fn theme_of(request: &HttpRequest) -> Theme {
    request.cookie(Theme::COOKIE).map_or(Theme::System, |cookie| Theme::parse(cookie.value()))
}

/// A choice of appearance, kept for a year. The page's own script changes it too, without asking the server.
pub fn give_theme(response: &mut HttpResponse, theme: Theme) {
    add(response, Cookie::build(Theme::COOKIE, theme.as_str()).max_age(Duration::days(365)).finish());
}

/// What the last act did, for the page that the browser is sent to.
pub fn give_flash(response: &mut HttpResponse, flash: &Flash) {
    let value = serde_json::to_vec(flash).map(|text| BASE64URL_NOPAD.encode(&text)).unwrap_or_default();
    let cookie = Cookie::build(Flash::COOKIE, value).http_only(true).max_age(Duration::minutes(1));
    add(response, cookie.finish());
}

pub fn flash_of(request: &ServiceRequest) -> Option<Flash> {
    let text = BASE64URL_NOPAD.decode(request.cookie(Flash::COOKIE)?.value().as_bytes()).ok()?;
    serde_json::from_slice(&text).ok()
}

/// It was shown.
pub fn take_flash(response: &mut HttpResponse) {
    add(response, Cookie::build(Flash::COOKIE, "").http_only(true).max_age(Duration::ZERO).finish());
}

fn add(response: &mut HttpResponse, mut cookie: Cookie<'static>) {
    cookie.set_path("/");
    cookie.set_secure(true);
    cookie.set_same_site(SameSite::Lax);
    // Fails only for names and values that no header can hold; ours are plain.
    if let Err(error) = response.add_cookie(&cookie) {
        tracing::error!(%error, name = cookie.name(), "a cookie was not set");
    }
}
