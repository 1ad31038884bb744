//! Who gets in where: every route of the running server, tried by every kind of caller.
//!
//! What came out is `access-matrix.txt`, which people read and agree to. When a route is new or a permission changes on
//! purpose, `UPDATE_MATRIX=1 cargo test --test integration access` writes it anew; look at the difference.

pub mod browser;
mod pages;

use std::{collections::BTreeMap, fmt::Write, path::Path};

use renderkeep::{
    app::rooms,
    base::access::{Role, Scope},
    web::{look, route::Route},
};
use reqwest::{RequestBuilder, header::HeaderMap};

use self::browser::{Browser, Seen, form};
use crate::support::app::TestApp;

/// What becomes of a request before its handler sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    In,
    SignIn,
    Refused,
    NewPassword,
}

impl Fate {
    fn word(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::SignIn => "sign in",
            Self::Refused => "no",
            Self::NewPassword => "new password",
        }
    }

    fn of(seen: &Seen, route: &Route) -> Self {
        // The sign-in page leads on by itself, whoever is in already.
        let public = route.roles.is_empty();
        match (seen.status, seen.location()) {
            (303, _) if public => Self::In,
            (401, _) => Self::SignIn,
            (303, Some(to)) if to.starts_with("/sign-in?next=") => Self::SignIn,
            (303, Some("/password")) => Self::NewPassword,
            (403, _) if seen.says("new_password_required") => Self::NewPassword,
            (403, _) => Self::Refused,
            _ => Self::In,
        }
    }
}

/// Somebody who asks, and what may be expected of them.
struct Caller {
    name: &'static str,
    browser: Browser,
    role: Option<Role>,
    scopes: Vec<Scope>,
    one_time: bool,
}

impl Caller {
    /// What the declared permission says, worked out apart from the code that enforces it.
    fn due(&self, route: &Route) -> Fate {
        if route.roles.is_empty() {
            return Fate::In;
        }
        match self.role {
            None => Fate::SignIn,
            Some(role) if !route.roles.contains(&role) || !self.scopes.contains(&route.scope) => Fate::Refused,
            // An answer to HEAD has no body that could say why.
            Some(_) if self.one_time && route.method == "HEAD" => Fate::Refused,
            Some(_) if self.one_time && route.permission != "own_session" => Fate::NewPassword,
            Some(_) => Fate::In,
        }
    }
}

const MEMBER: &str = "member@example.org";
const FORMER: &str = "former@example.org";

async fn callers(app: &TestApp) -> Vec<Caller> {
    let all = Scope::ALL.to_vec();
    let caller = |name, browser, role, scopes, one_time| Caller { name, browser, role, scopes, one_time };
    let one_time = app.add("new@example.org", Role::Owner).await;
    let member = app.add(MEMBER, Role::Member).await;
    let former = app.add(FORMER, Role::Owner).await;
    let mut callers = vec![
        caller("nobody", Browser::new(app), None, Vec::new(), false),
        caller(
            "one-time password",
            Browser::entered(app, "new@example.org", &one_time).await,
            Some(Role::Owner),
            all.clone(),
            true,
        ),
        caller("member", Browser::settled(app, MEMBER, &member).await, Some(Role::Member), all.clone(), false),
        caller("owner", Browser::settled(app, &app.owner.0, &app.owner.1).await, Some(Role::Owner), all, false),
    ];
    for (name, mail, role, scope) in [
        ("member's token: read", MEMBER, Role::Member, Scope::Read),
        ("member's token: write", MEMBER, Role::Member, Scope::Write),
        ("member's token: tokens", MEMBER, Role::Member, Scope::Tokens),
        ("member's token: admin", MEMBER, Role::Member, Scope::Admin),
        ("owner's token: read", &app.owner.0, Role::Owner, Scope::Read),
        ("owner's token: admin", &app.owner.0, Role::Owner, Scope::Admin),
    ] {
        let token = app.client_of(mail, &[scope]).await.token.unwrap();
        callers.push(caller(name, Browser::with_token(app, &token), Some(role), vec![scope], false));
    }
    let session = Browser::settled(app, FORMER, &former).await;
    let token = app.client_of(FORMER, &Scope::ALL).await.token.unwrap();
    let id = session.id_of_person().await;
    let owner = app.client_of(&app.owner.0, &[Scope::Admin]).await;
    let off = owner.post(&format!("/api/v1/admin/people/{id}/deactivate"), &serde_json::json!({})).await;
    assert_eq!(off.status, 200, "{:?}", off.body);
    callers.push(caller("deactivated owner", session, None, Vec::new(), false));
    callers.push(caller("deactivated owner's token", Browser::with_token(app, &token), None, Vec::new(), false));
    callers
}

/// An address of this pattern under which there is nothing.
fn address(pattern: &str) -> String {
    let mut address = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        address.push_str(before);
        address.push_str("nothing");
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    address + rest
}

/// A body that no handler accepts, so that knocking changes nothing.
fn knock(request: RequestBuilder, path: &str) -> RequestBuilder {
    match look::of(path) {
        look::Look::Page => request.header("content-type", "application/x-www-form-urlencoded").body("no_such_field=1"),
        _ => request.header("content-type", "application/json").body("[]"),
    }
}

fn unsafe_method(route: &Route) -> bool {
    !["GET", "HEAD"].contains(&route.method.as_str())
}

async fn try_route(caller: &Caller, route: &Route) -> Seen {
    let path = address(route.path);
    let mut request = caller.browser.request(route.method.as_str(), &path);
    if unsafe_method(route) {
        request = knock(caller.browser.own_page(request), &path);
    }
    Seen::of(request).await
}

#[tokio::test]
async fn asvs_v8_1_1_everybody_gets_in_exactly_where_the_matrix_says() {
    let app = TestApp::start().await;
    let callers = callers(&app).await;
    let mut matrix = legend(&callers);
    let mut faults = String::new();
    for route in sorted_routes() {
        let mut fates = Vec::new();
        for caller in &callers {
            let seen = try_route(caller, &route).await;
            let (fate, due) = (Fate::of(&seen, &route), caller.due(&route));
            if fate != due {
                let what = format!("{} {} by {}", route.method, route.path, caller.name);
                writeln!(faults, "{what}: {} ({}), but its permission says {}", fate.word(), seen.status, due.word())
                    .unwrap();
            }
            fates.push(fate);
            seen.check(route.path);
        }
        matrix.push_str(&line(&route, &fates));
    }
    assert!(faults.is_empty(), "{faults}");
    agree(&matrix);
}

fn sorted_routes() -> Vec<Route> {
    let mut routes = rooms::routes();
    routes.sort_by(|one, other| (one.path, one.method.as_str()).cmp(&(other.path, other.method.as_str())));
    routes
}

fn legend(callers: &[Caller]) -> String {
    let mut text =
        "# Who gets in where. Made by tests/integration/access.rs; read it before you agree to a change.\n".to_owned();
    text.push_str("# One letter per caller: + in, - refused, s sent to the sign-in, p sent to choose a password.\n#\n");
    for (place, caller) in callers.iter().enumerate() {
        writeln!(text, "# {:>2}  {}", place + 1, caller.name).unwrap();
    }
    text.push('\n');
    text
}

fn line(route: &Route, fates: &[Fate]) -> String {
    let letters: String = fates
        .iter()
        .map(|fate| match fate {
            Fate::In => '+',
            Fate::Refused => '-',
            Fate::SignIn => 's',
            Fate::NewPassword => 'p',
        })
        .collect();
    format!("{letters}  {:<6} {:<55} {}\n", route.method.as_str(), route.path, route.permission)
}

fn agree(matrix: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/access-matrix.txt");
    if std::env::var_os("UPDATE_MATRIX").is_some() {
        std::fs::write(&file, matrix).unwrap();
    }
    let agreed = std::fs::read_to_string(&file).unwrap_or_default();
    let news: Vec<&str> = matrix.lines().filter(|line| !agreed.lines().any(|old| old == *line)).collect();
    assert!(
        agreed == matrix,
        "Access has changed. If that is meant, run with UPDATE_MATRIX=1 and review tests/integration/access-matrix.txt:\n{}",
        news.join("\n")
    );
}

#[tokio::test]
async fn asvs_v3_5_1_only_our_own_pages_act_with_a_session() {
    let app = TestApp::start().await;
    let owner = Browser::settled(&app, &app.owner.0, &app.owner.1).await;
    let own_origin = app.url.clone();
    let sites = [Some("same-origin"), Some("none"), Some("same-site"), Some("cross-site"), None];
    let origins = [Some(own_origin.as_str()), Some("https://evil.example"), Some("null"), None];
    for route in sorted_routes().iter().filter(|route| unsafe_method(route) && !route.roles.is_empty()) {
        let path = address(route.path);
        for site in sites {
            for origin in origins {
                let request = owner.request(route.method.as_str(), &path);
                let request = owner.with_form_token(told(request, site, origin));
                let seen = Seen::of(knock(request, &path)).await;
                let ours = site == Some("same-origin") || (site.is_none() && origin == Some(own_origin.as_str()));
                assert_eq!(seen.status != 403, ours, "{} {path} {site:?} {origin:?}: {}", route.method, seen.status);
            }
        }
        let without_token = told(owner.request(route.method.as_str(), &path), Some("same-origin"), None);
        let refused = Seen::of(knock(without_token, &path)).await.status;
        // A form that must be multipart is refused for its type before its fields are read.
        assert!([403, 415].contains(&refused), "{} {path} without a form token: {refused}", route.method);
    }
}

#[tokio::test]
async fn a_forged_sign_in_is_refused_and_a_token_needs_no_origin() {
    let app = TestApp::start().await;
    let nobody = Browser::new(&app);
    let fields = [("mail", app.owner.0.as_str()), ("password", app.owner.1.as_str())];
    let forged = told(nobody.request("POST", "/sign-in"), Some("cross-site"), Some("https://evil.example"));
    let seen = Seen::of(form(forged, &fields)).await;
    assert_eq!(seen.status, 403);
    assert!(seen.headers.get("set-cookie").is_none());
    let token = app.client_of(&app.owner.0, &Scope::ALL).await.token.unwrap();
    let program = Browser::with_token(&app, &token);
    let made = told(program.request("POST", "/api/v1/tokens"), Some("cross-site"), Some("https://tool.example"));
    let made = Seen::of(made.json(&serde_json::json!({ "name": "x", "scopes": ["read"] }))).await;
    assert_eq!(made.status, 201);
}

fn told(request: RequestBuilder, site: Option<&str>, origin: Option<&str>) -> RequestBuilder {
    let request = match site {
        Some(site) => request.header("sec-fetch-site", site),
        None => request,
    };
    match origin {
        Some(origin) => request.header("origin", origin),
        None => request,
    }
}

#[tokio::test]
async fn asvs_v4_1_4_other_methods_are_refused_by_name() {
    let app = TestApp::start().await;
    let nobody = Browser::new(&app);
    let mut paths: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for route in rooms::routes() {
        paths.entry(route.path).or_default().push(route.method.to_string());
    }
    for (pattern, taken) in paths {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            if taken.iter().any(|taken| taken == method) {
                continue;
            }
            let seen = Seen::of(nobody.request(method, &address(pattern))).await;
            assert_eq!(seen.status, 405, "{method} {pattern}");
            let allow = seen.headers.get("allow").and_then(|allow| allow.to_str().ok()).unwrap_or_default();
            assert!(taken.iter().all(|taken| allow.contains(taken.as_str())), "{method} {pattern}: Allow: {allow}");
            seen.check(pattern);
        }
    }
}

#[tokio::test]
async fn errors_are_protected_like_everything_else() {
    let app = TestApp::start().await;
    let nobody = Browser::new(&app);
    for path in
        ["/nowhere", "/api/v1/nowhere", "/v1/nowhere", "/static/0/../../etc/passwd", "/%00", "/api/v1/tokens?limit=x"]
    {
        let seen = Seen::of(nobody.request("GET", path)).await;
        assert!((300..500).contains(&seen.status), "{path}: {}", seen.status);
        seen.check(path);
    }
    let long = format!("/nowhere?{}", "x".repeat(9000));
    let seen = Seen::of(nobody.request("GET", &long)).await;
    assert_eq!(seen.status, 414);
    seen.check("a long address");
}

/// What every answer carries, whatever it is.
fn check_headers(headers: &HeaderMap, what: &str) {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let html = text("content-type").starts_with("text/html");
    assert!(text("x-request-id").starts_with("req_"), "{what}: no request id");
    assert_eq!(text("x-content-type-options"), "nosniff", "{what}");
    assert!(!text("cache-control").is_empty(), "{what}: no word on caching");
    assert_eq!(text("cross-origin-resource-policy"), "same-origin", "{what}");
    let lasts =
        text("strict-transport-security").trim_start_matches("max-age=").split(';').next().map(str::parse::<u64>);
    assert!(lasts.is_some_and(|age| age.is_ok_and(|age| age >= 31_536_000)), "{what}: HSTS");
    let policy = text("content-security-policy");
    for needed in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(needed), "{what}: the policy lacks {needed}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{what}: {policy}");
    assert!(html || policy.contains("sandbox"), "{what}: data is not sandboxed: {policy}");
}

fn check_cookies(headers: &HeaderMap, what: &str) {
    for cookie in headers.get_all("set-cookie") {
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.starts_with("__Host-"), "{what}: {cookie}");
        for needed in ["; Secure", "; Path=/", "; SameSite=Lax"] {
            assert!(cookie.contains(needed), "{what}: {cookie} lacks {needed}");
        }
        assert!(!cookie.contains("Domain"), "{what}: {cookie}");
        assert!(cookie.contains("; HttpOnly") || cookie.starts_with("__Host-rk_theme="), "{what}: {cookie}");
    }
}
