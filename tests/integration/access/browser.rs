//! A browser as far as access is concerned: a cookie, a form token, and no following of redirects.
#![expect(clippy::disallowed_types, reason = "a test calls the server as other programs do")]

use bytes::Bytes;
use renderkeep::accounts::model::SESSION_COOKIE;
use reqwest::{Client, RequestBuilder, header::HeaderMap, redirect};

use super::{check_cookies, check_headers};
use crate::support::app::TestApp;

const PASSWORD: &str = "quiet harbour lamp 7";

/// A form as browsers send it.
pub fn form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

pub struct Browser {
    http: Client,
    url: String,
    cookie: Option<String>,
    token: Option<String>,
    form_token: String,
}

/// One answer, without the rest of a stream.
pub struct Seen {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let stream = headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let body = if stream { Bytes::new() } else { response.bytes().await.unwrap() };
        Self { status, headers, body }
    }

    pub fn location(&self) -> Option<&str> {
        self.headers.get("location")?.to_str().ok()
    }

    pub fn says(&self, word: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(word)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of the session's cookie, when this answer sets one.
    pub fn session(&self) -> Option<String> {
        let name = format!("{SESSION_COOKIE}=");
        self.headers.get_all("set-cookie").iter().find_map(|cookie| {
            let value = cookie.to_str().ok()?.strip_prefix(&name)?.split(';').next()?;
            (!value.is_empty()).then(|| value.to_owned())
        })
    }

    /// What holds for every answer.
    pub fn check(&self, what: &str) {
        assert!(self.status < 500, "{what}: {} {}", self.status, self.text());
        check_headers(&self.headers, what);
        check_cookies(&self.headers, what);
    }
}

impl Browser {
    pub fn new(app: &TestApp) -> Self {
        let http = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { http, url: app.url.clone(), cookie: None, token: None, form_token: String::new() }
    }

    pub fn with_token(app: &TestApp, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..Self::new(app) }
    }

    /// Signed in with a password as it is.
    pub async fn entered(app: &TestApp, mail: &str, password: &str) -> Self {
        let mut browser = Self::new(app);
        let seen = browser.sign_in(mail, password).await;
        assert_eq!(seen.status, 303, "{}", seen.text());
        browser.form_token = browser.form_token_of("/password").await;
        browser
    }

    /// Signed in, with the one-time password replaced.
    pub async fn settled(app: &TestApp, mail: &str, one_time: &str) -> Self {
        let mut browser = Self::entered(app, mail, one_time).await;
        let fields = [("csrf", browser.form_token.as_str()), ("new_password", PASSWORD), ("again", PASSWORD)];
        let request = browser.request("POST", "/password").header("sec-fetch-site", "same-origin");
        let seen = Seen::of(form(request, &fields)).await;
        assert_eq!(seen.status, 303, "{}", seen.text());
        browser.cookie = seen.session();
        browser.form_token = browser.form_token_of("/settings").await;
        browser
    }

    /// Sends the form of the sign-in page and keeps the cookie.
    pub async fn sign_in(&mut self, mail: &str, password: &str) -> Seen {
        let fields = [("mail", mail), ("password", password), ("next", "")];
        let request = self.request("POST", "/sign-in").header("sec-fetch-site", "same-origin");
        let seen = Seen::of(form(request, &fields)).await;
        self.cookie = seen.session();
        seen
    }

    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.url));
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("{SESSION_COOKIE}={cookie}"));
        }
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Seen {
        Seen::of(self.request("GET", path)).await
    }

    /// The same, as it is on the wire for whoever understands gzip.
    pub async fn get_packed(&self, path: &str) -> Seen {
        Seen::of(self.request("GET", path).header("accept-encoding", "gzip")).await
    }

    /// Sends a form as the page that holds it does.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Seen {
        let token = [("csrf", self.form_token.as_str())];
        let fields: Vec<_> = token.iter().chain(fields).copied().collect();
        Seen::of(form(self.request("POST", path).header("sec-fetch-site", "same-origin"), &fields)).await
    }

    /// With all that a page of this server adds to what it sends.
    pub fn own_page(&self, request: RequestBuilder) -> RequestBuilder {
        self.with_form_token(request).header("sec-fetch-site", "same-origin")
    }

    pub fn with_form_token(&self, request: RequestBuilder) -> RequestBuilder {
        request.header("x-csrf-token", &self.form_token)
    }

    async fn form_token_of(&self, path: &str) -> String {
        let page = self.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        let text = page.text();
        let after = text.split(r#"name="csrf" value=""#).nth(1).expect("a form with a token");
        after.split('"').next().unwrap().to_owned()
    }

    /// A copy with another cookie, or none.
    pub fn with_cookie(&self, cookie: Option<&str>) -> Self {
        Self {
            cookie: cookie.map(str::to_owned),
            http: self.http.clone(),
            url: self.url.clone(),
            token: None,
            form_token: self.form_token.clone(),
        }
    }

    pub fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    pub async fn id_of_person(&self) -> String {
        let me: serde_json::Value = serde_json::from_slice(&self.get("/api/v1/me").await.body).unwrap();
        me["person"]["id"].as_str().unwrap().to_owned()
    }
}
