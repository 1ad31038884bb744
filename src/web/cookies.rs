//! The cookies of this server: all `__Host-`, `Secure`, and for this host alone.

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
};

use super::frame::Theme;

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

fn add(response: &mut HttpResponse, mut cookie: Cookie<'static>) {
    cookie.set_path("/");
    cookie.set_secure(true);
    cookie.set_same_site(SameSite::Lax);
    // Fails only for names and values that no header can hold; ours are plain.
    if let Err(error) = response.add_cookie(&cookie) {
        tracing::error!(%error, name = cookie.name(), "a cookie was not set");
    }
}
