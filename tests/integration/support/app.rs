//! The whole server as a caller sees it: real HTTP on a loopback port, a real database, background work.
#![expect(clippy::disallowed_types, reason = "a test calls the server as other programs do")]

use std::{net::TcpListener, thread::JoinHandle};

use renderkeep::{
    accounts::{self, model::NewToken},
    app::lifecycle::{self, Roles},
    base::{
        access::{Role, Scope},
        ctx::Ctx,
    },
    config::Config,
    organisation::{self, model::NewPerson},
    platform::{
        Platform,
        db::Db,
        egress::{Egress, Way},
    },
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{TestPlatform, config, platform_with};

pub struct TestApp {
    pub platform: Platform,
    pub url: String,
    /// Mail and one-time password of the first owner.
    pub owner: (String, String),
    stop: CancellationToken,
    server: Option<JoinHandle<()>>,
    pub database: TestPlatform,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::start_with(config()).await
    }

    pub async fn start_with(config: Config) -> Self {
        // As main does; a second installation is refused and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let database = platform_with(config).await;
        let first = lifecycle::prepare(&database.platform).await.unwrap().expect("a first owner");
        let owner = (first.mail, first.one_time_password);
        let mut app = Self {
            platform: database.platform.clone(),
            url: String::new(),
            owner,
            stop: CancellationToken::new(),
            server: None,
            database,
        };
        app.serve();
        app
    }

    fn serve(&mut self) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        self.url = format!("http://{}", listener.local_addr().unwrap());
        self.stop = CancellationToken::new();
        // A pool of its own: connections belong to the runtime that opened them.
        let db = Db::new(&self.database.database.application_url(), 8).unwrap();
        let way = Way::of(&self.platform.config.egress).unwrap();
        let egress = Egress::new(db.clone(), self.platform.clock.clone(), self.platform.signals.clone(), way);
        let platform = Platform { db, egress, ..self.platform.clone() };
        let stop = self.stop.clone();
        self.server = Some(std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(lifecycle::run(platform, Roles::ALL, listener, stop)).unwrap();
        }));
    }

    /// Stops in order and starts again on the same data.
    pub fn restart(&mut self) {
        self.halt();
        self.serve();
    }

    /// Stops in order and stays so.
    pub fn halt(&mut self) {
        self.stop.cancel();
        if let Some(server) = self.server.take() {
            server.join().unwrap();
        }
    }

    /// The first owner, with every scope.
    pub async fn owner(&self) -> Client {
        self.client_of(&self.owner.0, &Scope::ALL).await
    }

    /// A new person, with the scopes that a token gets by default.
    pub async fn member(&self, mail: &str) -> Client {
        self.add(mail, Role::Member).await;
        self.client_of(mail, &[Scope::Read, Scope::Write]).await
    }

    /// Adds a person; returns their one-time password.
    pub async fn add(&self, mail: &str, role: Role) -> String {
        let new = NewPerson { mail: mail.parse().unwrap(), name: "Somebody".parse().unwrap(), role };
        let made = organisation::ops::add_person_from_console(&self.system(), &self.platform, new).await.unwrap();
        made.one_time_password
    }

    /// A caller with a token of this person.
    pub async fn client_of(&self, mail: &str, scopes: &[Scope]) -> Client {
        let new = NewToken { name: "test".parse().unwrap(), scopes: scopes.to_vec(), expires_at: None };
        let made = accounts::ops::create_token(&self.system(), &self.platform, &mail.parse().unwrap(), new).await;
        Client::of(&self.url, Some(made.unwrap().token))
    }

    /// A caller with this token.
    pub fn client_with(&self, token: &str) -> Client {
        Client::of(&self.url, Some(token.to_owned()))
    }

    pub fn database_url(&self) -> String {
        self.database.database.url()
    }

    pub fn anybody(&self) -> Client {
        Client::of(&self.url, None)
    }

    fn system(&self) -> Ctx {
        Ctx::system("test", self.platform.clock.clone())
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.halt();
    }
}

/// Calls the public API, as a program would.
#[derive(Clone)]
pub struct Client {
    pub http: reqwest::Client,
    pub url: String,
    pub token: Option<String>,
}

pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: bytes::Bytes,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    /// The stable code of a problem.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Client {
    pub fn of(url: &str, token: Option<String>) -> Self {
        // As main does; a second installation is refused and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { http: reqwest::Client::new(), url: url.to_owned(), token }
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply { status, headers, body: response.bytes().await.unwrap() }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request("GET", path)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(self.request("DELETE", path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request("POST", path).json(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request("PUT", path).json(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request("PATCH", path).json(body)).await
    }

    /// Uploads a picture; returns the asset's id.
    pub async fn upload(&self, name: &str, bytes: Vec<u8>) -> Reply {
        let part = reqwest::multipart::Part::bytes(bytes).file_name(name.to_owned());
        let form = reqwest::multipart::Form::new().part("file", part);
        self.send(self.request("POST", "/api/v1/assets").multipart(form)).await
    }

    /// None when nobody answered.
    pub async fn try_send(&self, request: reqwest::RequestBuilder) -> Option<Reply> {
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Some(Reply { status, headers, body: response.bytes().await.ok()? })
    }

    /// Looks until the generation has ended or is unknown.
    pub async fn wait(&self, id: &str) -> Value {
        for _ in 0..600 {
            let generation = self.get(&format!("/api/v1/generations/{id}")).await.json();
            let state = generation["state"].as_str().unwrap_or_default();
            if ["succeeded", "failed", "cancelled", "expired", "unknown"].contains(&state) {
                return generation;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("the generation {id} did not end within a minute");
    }
}
