//! The library on a real Postgres and a store in memory.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use renderkeep::{
    base::{
        access::{Role, Scope},
        ctx::{Acting, Actor, Credential, Ctx, RequestId},
        error::Fault,
        ids::{OrganisationId, PersonId, SessionId, TokenId, WorkspaceId},
    },
    library::{
        error::LibraryError,
        model::{Asset, AssetKind, NewAsset, Place},
        ops,
    },
    platform::{
        Platform,
        storage::{ObjectStore, stream_of},
    },
};

use crate::support::{TestPlatform, postgres};

mod assets;
mod http;
mod objects;
mod pages;
mod wire;

/// Somebody with an API token, in the workspace given.
async fn member(app: &Platform, workspace: WorkspaceId) -> Ctx {
    person(app, workspace, Credential::Token(TokenId::new(&app.clock))).await
}

async fn signed_in(app: &Platform, workspace: WorkspaceId) -> Ctx {
    person(app, workspace, Credential::Session(SessionId::new(&app.clock))).await
}

async fn person(app: &Platform, workspace: WorkspaceId, credential: Credential) -> Ctx {
    let acting = Acting {
        person: PersonId::new(&app.clock),
        name: "Mara Lindqvist".to_owned(),
        mail: "mara@example.org".to_owned(),
        organisation: OrganisationId::new(&app.clock),
        workspace,
        roles: vec![Role::Member],
        scopes: Scope::ALL.to_vec(),
        credential,
        must_change_password: false,
    };
    crate::support::give_keys(app, acting.person, workspace).await;
    Ctx::new(Actor::Person(Box::new(acting)), RequestId::new("req_test"), app.clock.clone())
}

fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let pixels = RgbImage::from_fn(width, height, |x, y| Rgb([(x * 7) as u8, (y * 5) as u8, (x * y) as u8]));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(pixels).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub fn png() -> Vec<u8> {
    picture(90, 60, ImageFormat::Png)
}

async fn add(app: &Platform, ctx: &Ctx, kind: AssetKind, bytes: Vec<u8>) -> Result<Asset, LibraryError> {
    let acting = ctx.acting().unwrap();
    let prepared = ops::prepare(app, ctx, acting.person, stream_of(bytes)).await?;
    let place = Place { workspace: acting.workspace, person: acting.person };
    let new = NewAsset { kind, name: "lake.png".to_owned(), found_by: String::new(), generation: None };
    app.db.write("test.add", async |tx| ops::add(tx, ctx, &app.keys, place, &prepared, &new).await).await
}

/// Rows of `objects` and objects in the store.
async fn left(test: &TestPlatform) -> (i64, usize) {
    (count(test, "objects").await, test.store.list(None, 1000).await.unwrap().len())
}

async fn count(test: &TestPlatform, table: &str) -> i64 {
    let client = postgres::connect(&test.database.url()).await;
    client.query_one(&format!("select count(*) from {table}"), &[]).await.unwrap().get(0)
}

async fn actions(test: &TestPlatform) -> Vec<String> {
    let client = postgres::connect(&test.database.url()).await;
    let rows = client.query("select action from audit_entries order by id", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn code<T: std::fmt::Debug>(result: Result<T, LibraryError>) -> &'static str {
    result.unwrap_err().code()
}
