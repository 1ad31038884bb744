//! Signing in, sessions, passwords and tokens on a real database, with a clock that can be moved.

use std::time::Duration as Wait;

use chrono::Duration;
use renderkeep::{
    accounts::{
        AccountsError,
        model::{NewToken, Origin, Proven, SignedIn},
        ops,
    },
    base::{
        access::Scope,
        ctx::{Acting, Actor, Ctx, RequestId},
        error::Fault,
        paging::PageRequest,
    },
    organisation::{self, model::FirstPassword},
    platform::{
        Platform,
        idempotency::{Answer, Once},
        signals::Signal,
    },
};
use tokio_util::sync::CancellationToken;

use crate::support::{self, TestPlatform, postgres::connect};

const PASSWORD: &str = "quiet harbour lamp 7";

fn from(address: &str) -> Origin {
    Origin { address: address.parse().unwrap(), user_agent: "Firefox/140 Linux".to_owned() }
}

fn here() -> Origin {
    from("10.4.2.17")
}

/// A platform with its first owner, who has not chosen a password yet.
async fn founded() -> (TestPlatform, FirstPassword) {
    let mut config = support::config();
    config.sessions.idle_minutes = 60;
    config.sessions.absolute_hours = 24;
    let test = support::platform_with(config).await;
    let first = organisation::ops::bootstrap(&test.platform).await.unwrap().unwrap();
    (test, first)
}

/// The same with the owner's own password, signed in.
async fn settled() -> (TestPlatform, SignedIn) {
    let (test, first) = founded().await;
    let app = &test.platform;
    let entered = sign_in(app, &first.mail, &first.one_time_password).await.unwrap();
    let ctx = ctx_of(app, &entered.cookie).await;
    let changed = ops::change_password(&ctx, app, None, PASSWORD, &here()).await.unwrap();
    (test, changed)
}

fn nobody(app: &Platform) -> Ctx {
    Ctx::new(Actor::Nobody, RequestId::new("req_test"), app.clock.clone())
}

async fn sign_in(app: &Platform, mail: &str, password: &str) -> Result<SignedIn, AccountsError> {
    ops::sign_in(&nobody(app), app, mail, password, &here(), None).await
}

async fn proven(app: &Platform, cookie: &str) -> Option<Proven> {
    ops::session(app, cookie).await.unwrap()
}

async fn by_token(app: &Platform, token: &str) -> Option<Proven> {
    ops::token(app, token).await.unwrap()
}

async fn ctx_for(app: &Platform, proven: Proven) -> Ctx {
    let mut conn = app.db.read().await.unwrap();
    let membership = organisation::ops::membership(&mut conn, proven.person).await.unwrap().unwrap();
    let acting = Acting {
        person: proven.person,
        name: proven.name,
        mail: proven.mail,
        organisation: membership.organisation,
        workspace: membership.workspace,
        roles: membership.roles,
        scopes: proven.scopes,
        credential: proven.credential,
        must_change_password: proven.must_change_password,
    };
    Ctx::new(Actor::Person(Box::new(acting)), RequestId::new("req_test"), app.clock.clone())
}

async fn ctx_of(app: &Platform, cookie: &str) -> Ctx {
    ctx_for(app, proven(app, cookie).await.unwrap()).await
}

async fn rows(test: &TestPlatform, sql: &str) -> Vec<tokio_postgres::Row> {
    connect(&test.database.url()).await.query(sql, &[]).await.unwrap()
}

async fn make_token(ctx: &Ctx, app: &Platform, scopes: &[Scope], hours: Option<i64>) -> Result<String, AccountsError> {
    let expires_at = hours.map(|hours| ctx.clock.now() + Duration::hours(hours));
    let new = NewToken { name: "Script".parse().unwrap(), scopes: scopes.to_vec(), expires_at };
    let mut secret = String::new();
    let answer = |made: &renderkeep::accounts::model::MadeToken| {
        secret.clone_from(&made.token);
        Answer { status: 201, location: None, body: serde_json::json!({ "id": made.id }), replayed: false }
    };
    ops::make_token(ctx, app, new, &Once::unkeyed(), answer).await?;
    Ok(secret)
}

#[tokio::test]
async fn the_first_password_is_the_same_at_every_start_until_it_is_changed() {
    let (test, first) = founded().await;
    let app = &test.platform;
    let again = organisation::ops::bootstrap(app).await.unwrap().unwrap();
    assert_eq!((&again.mail, &again.one_time_password), (&first.mail, &first.one_time_password));
    let entered = sign_in(app, &first.mail, &again.one_time_password).await.unwrap();
    assert!(entered.must_change_password);
    let ctx = ctx_of(app, &entered.cookie).await;
    ops::change_password(&ctx, app, None, PASSWORD, &here()).await.unwrap();
    assert!(organisation::ops::bootstrap(app).await.unwrap().is_none());
    assert!(matches!(sign_in(app, &first.mail, &first.one_time_password).await, Err(AccountsError::DoNotMatch)));
}

#[tokio::test]
async fn servers_that_start_together_found_one_organisation() {
    let test = support::platform().await;
    let app = &test.platform;
    let start = || organisation::ops::bootstrap(app);
    let (one, two, three) = tokio::join!(start(), start(), start());
    let passwords = [one, two, three].map(|first| first.unwrap().unwrap().one_time_password);
    assert!(passwords.iter().all(|password| *password == passwords[0]));
    assert_eq!(rows(&test, "select 1 from people").await.len(), 1);
}

#[tokio::test]
async fn before_the_first_change_nothing_else_is_allowed_and_the_old_session_dies_with_it() {
    let (test, first) = founded().await;
    let app = &test.platform;
    let other = sign_in(app, &first.mail, &first.one_time_password).await.unwrap();
    let entered = sign_in(app, &first.mail, &first.one_time_password).await.unwrap();
    let ctx = ctx_of(app, &entered.cookie).await;
    let refused = ops::own_sessions(&ctx, app).await.err().unwrap();
    assert_eq!(refused.code(), "auth.new_password_required");
    let same = ops::change_password(&ctx, app, None, &first.one_time_password, &here()).await.err().unwrap();
    assert_eq!(same.fields()[0].code, "same");
    let common = ops::change_password(&ctx, app, None, "password1234", &here()).await.err().unwrap();
    assert_eq!(common.fields()[0].code, "common");
    let changed = ops::change_password(&ctx, app, None, PASSWORD, &here()).await.unwrap();
    assert_ne!(changed.cookie, entered.cookie);
    assert!(proven(app, &entered.cookie).await.is_none());
    assert!(proven(app, &other.cookie).await.is_none());
    let acting = proven(app, &changed.cookie).await.unwrap();
    assert!(!acting.must_change_password);
    assert!(sign_in(app, &first.mail, PASSWORD).await.is_ok());
}

#[tokio::test]
async fn asvs_v6_3_8_an_unknown_mail_gets_the_answer_of_a_wrong_password() {
    let (test, _) = settled().await;
    let app = &test.platform;
    let wrong = sign_in(app, "owner@example.org", "not the password").await.err().unwrap();
    let unknown = sign_in(app, "nobody@example.org", "not the password").await.err().unwrap();
    let no_mail = sign_in(app, "\0 nonsense", "\0").await.err().unwrap();
    for error in [&wrong, &unknown, &no_mail] {
        assert_eq!((error.code(), error.to_string()), ("auth.do_not_match", wrong.to_string()));
    }
    let refused = rows(&test, "select reason, network from audit_entries where outcome = 'refused'").await;
    assert_eq!(refused.len(), 3);
    let all = rows(&test, "select a::text || coalesce(f.account_hash::text, '') from audit_entries a left join sign_in_failures f on true").await;
    assert!(all.iter().all(|row| !row.get::<_, String>(0).contains("example.org")), "no mail in the audit log");
    assert_eq!(refused[0].get::<_, String>(1), "10.4.2.0/24");
}

/// How many passwords this test's thread has had hashed.
fn hashes(measured: &metrics_exporter_prometheus::PrometheusHandle) -> u32 {
    let text = measured.render();
    let line = text.lines().find_map(|line| line.strip_prefix("renderkeep_password_hashes_total "));
    line.map_or(0, |number| number.parse().unwrap())
}

#[tokio::test]
async fn asvs_v6_3_8_every_refusal_costs_one_hash() {
    let (test, first) = founded().await;
    let app = &test.platform;
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let measured = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    for (mail, password) in [
        (first.mail.as_str(), "not the password"),
        ("nobody@example.org", "not the password"),
        ("nobody@example.org", ""),
        ("no mail", "\0"),
    ] {
        let before = hashes(&measured);
        assert_eq!(sign_in(app, mail, password).await.err().unwrap().code(), "auth.do_not_match");
        assert_eq!(hashes(&measured) - before, 1, "{mail}");
    }
    for change in ["one_time_until = now() - interval '1 day'", "deactivated_at = now()"] {
        rows(&test, &format!("update people set {change}")).await;
        let before = hashes(&measured);
        let refused = sign_in(app, &first.mail, &first.one_time_password).await;
        assert_eq!((refused.err().unwrap().code(), hashes(&measured) - before), ("auth.do_not_match", 1), "{change}");
    }
}

#[tokio::test]
async fn asvs_v6_3_2_a_one_time_password_is_over_after_a_week() {
    let (test, first) = founded().await;
    let app = &test.platform;
    app.clock.advance(Duration::days(7) - Duration::minutes(1));
    let last = sign_in(app, &first.mail, &first.one_time_password).await.unwrap();
    app.clock.advance(Duration::minutes(1));
    let refused = sign_in(app, &first.mail, &first.one_time_password).await.err().unwrap();
    assert_eq!(refused.code(), "auth.do_not_match");
    let again = organisation::ops::bootstrap(app).await.unwrap().unwrap();
    assert_eq!(again.one_time_password, first.one_time_password, "a start hands it out again");
    assert!(sign_in(app, &first.mail, &again.one_time_password).await.is_ok());
    // One's own password has no end, and whoever was let in may still choose it.
    let ctx = ctx_of(app, &last.cookie).await;
    ops::change_password(&ctx, app, None, PASSWORD, &here()).await.unwrap();
    app.clock.advance(Duration::days(400));
    assert!(sign_in(app, &first.mail, PASSWORD).await.is_ok());
}

#[tokio::test]
async fn mails_are_found_in_any_spelling_and_passwords_only_as_they_are() {
    let (test, _) = settled().await;
    let app = &test.platform;
    assert!(sign_in(app, "  OWNER@Example.org ", PASSWORD).await.is_ok());
    assert!(sign_in(app, "owner@example.org", &format!(" {PASSWORD}")).await.is_err());
}

#[tokio::test]
async fn asvs_v6_3_1_guessing_is_slowed_down_and_the_owner_elsewhere_is_not() {
    let (test, _) = settled().await;
    let app = &test.platform;
    let guess = |address: &'static str, password: &'static str| async move {
        ops::sign_in(&nobody(app), app, "owner@example.org", password, &from(address), None).await
    };
    for _ in 0..5 {
        assert!(matches!(guess("203.0.113.9", "wrong").await, Err(AccountsError::DoNotMatch)));
    }
    let stopped = guess("203.0.113.9", PASSWORD).await.err().unwrap();
    assert_eq!((stopped.code(), stopped.retry_after()), ("request.rate_limited", Some(5)));
    assert!(guess("198.51.100.1", PASSWORD).await.is_ok(), "the owner signs in from elsewhere");
    app.clock.advance(Duration::seconds(6));
    assert!(guess("203.0.113.9", PASSWORD).await.is_ok(), "after the pause the right password is looked at");
    assert!(matches!(guess("203.0.113.9", "wrong").await, Err(AccountsError::DoNotMatch)), "a success clears");
}

#[tokio::test]
async fn guesses_sent_together_count_one_by_one() {
    let (test, _) = settled().await;
    let app = &test.platform;
    let all = futures::future::join_all((0..12).map(|_| async { guess_once(app).await })).await;
    let looked_at = all.iter().filter(|code| **code == "auth.do_not_match").count();
    assert_eq!(looked_at, 5, "{all:?}");
}

async fn guess_once(app: &Platform) -> &'static str {
    sign_in(app, "owner@example.org", "wrong").await.map_or_else(|error| error.code(), |_| "in")
}

#[tokio::test]
async fn a_network_that_tries_many_accounts_is_stopped() {
    let (test, _) = settled().await;
    let app = &test.platform;
    // The hundred failures are written by hand: hashing a hundred passwords takes a while.
    sign_in(app, "a@example.org", "wrong").await.err().unwrap();
    connect(&test.database.url())
        .await
        .batch_execute(
            "insert into sign_in_failures select gen_random_uuid(), sha256(n::text::bytea), network_hash, at
             from sign_in_failures, generate_series(1, 99) n",
        )
        .await
        .unwrap();
    assert_eq!(guess_once(app).await, "request.rate_limited");
    app.clock.advance(Duration::minutes(61));
    assert_eq!(guess_once(app).await, "auth.do_not_match");
}

#[tokio::test]
async fn asvs_v7_3_1_a_session_ends_when_it_is_idle() {
    let (test, entered) = settled().await;
    let app = &test.platform;
    app.clock.advance(Duration::minutes(59));
    assert!(proven(app, &entered.cookie).await.is_some());
    app.clock.advance(Duration::minutes(59));
    assert!(proven(app, &entered.cookie).await.is_some(), "being seen keeps it alive");
    app.clock.advance(Duration::minutes(60) + Duration::seconds(1));
    assert!(proven(app, &entered.cookie).await.is_none());
}

#[tokio::test]
async fn asvs_v7_3_2_a_session_ends_however_busy_it_is() {
    let (test, entered) = settled().await;
    let app = &test.platform;
    for _ in 0..47 {
        app.clock.advance(Duration::minutes(30));
        assert!(proven(app, &entered.cookie).await.is_some());
    }
    app.clock.advance(Duration::minutes(31));
    assert!(proven(app, &entered.cookie).await.is_none());
}

#[tokio::test]
async fn reading_is_written_down_once_a_minute() {
    let (test, entered) = settled().await;
    let app = &test.platform;
    let seen = "select last_seen_at::text from sessions where revoked_at is null";
    let first: String = rows(&test, seen).await[0].get(0);
    app.clock.advance(Duration::seconds(50));
    proven(app, &entered.cookie).await.unwrap();
    assert_eq!(rows(&test, seen).await[0].get::<_, String>(0), first);
    app.clock.advance(Duration::seconds(11));
    proven(app, &entered.cookie).await.unwrap();
    assert_ne!(rows(&test, seen).await[0].get::<_, String>(0), first);
}

#[tokio::test]
async fn asvs_v7_2_3_a_cookie_or_token_is_in_no_table() {
    let (test, entered) = settled().await;
    let app = &test.platform;
    let ctx = ctx_of(app, &entered.cookie).await;
    let token = make_token(&ctx, app, &[Scope::Read], None).await.unwrap();
    assert_eq!(token.len(), 46);
    let dump = test.database.data_dump();
    for secret in [&entered.cookie, &token, PASSWORD] {
        assert!(!dump.contains(secret), "a secret can be read in the database");
    }
}

#[tokio::test]
async fn asvs_v7_2_4_signing_in_again_ends_the_session_that_came_along() {
    let (test, entered) = settled().await;
    let app = &test.platform;
    let before = Some(entered.cookie.as_str());
    let again = ops::sign_in(&nobody(app), app, "owner@example.org", PASSWORD, &here(), before).await.unwrap();
    assert_ne!(again.cookie, entered.cookie);
    assert!(proven(app, &entered.cookie).await.is_none());
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one_and_all_at_once() {
    let (test, entered) = settled().await;
    let app = &test.platform;
    let phone = sign_in(app, "owner@example.org", PASSWORD).await.unwrap();
    let tablet = sign_in(app, "owner@example.org", PASSWORD).await.unwrap();
    let ctx = ctx_of(app, &entered.cookie).await;
    let listed = ops::own_sessions(&ctx, app).await.unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[0].network, "10.4.2.0/24");
    ops::end_session(&ctx, app, phone.session).await.unwrap();
    assert!(proven(app, &phone.cookie).await.is_none());
    assert!(ops::end_session(&ctx, app, phone.session).await.is_err(), "it is over");
    assert_eq!(ops::end_other_sessions(&ctx, app).await.unwrap(), 1);
    assert!(proven(app, &tablet.cookie).await.is_none());
    assert!(proven(app, &entered.cookie).await.is_some());
    ops::sign_out(&ctx, app).await.unwrap();
    assert!(proven(app, &entered.cookie).await.is_none());
}

#[tokio::test]
async fn a_change_of_password_asks_for_the_present_one_and_counts_the_tries() {
    let (test, entered) = settled().await;
    let app = &test.platform;
    let ctx = ctx_of(app, &entered.cookie).await;
    let new = "another harbour lamp 8";
    let origin = here();
    let change = |current: Option<&'static str>| ops::change_password(&ctx, app, current, new, &origin);
    assert_eq!(change(None).await.err().unwrap().fields()[0].code, "required");
    for _ in 0..5 {
        assert_eq!(change(Some("wrong")).await.err().unwrap().fields()[0].code, "wrong");
    }
    assert_eq!(change(Some(PASSWORD)).await.err().unwrap().code(), "request.rate_limited");
    app.clock.advance(Duration::seconds(6));
    change(Some(PASSWORD)).await.unwrap();
    assert!(proven(app, &entered.cookie).await.is_none());
    assert!(sign_in(app, "owner@example.org", new).await.is_ok());
}

#[tokio::test]
async fn hashes_with_old_parameters_are_renewed_at_sign_in() {
    let (test, _) = settled().await;
    let app = &test.platform;
    let weak = argon2_weak(PASSWORD);
    let client = connect(&test.database.url()).await;
    client.execute("update people set password_hash = $1", &[&weak]).await.unwrap();
    sign_in(app, "owner@example.org", PASSWORD).await.unwrap();
    let stored: String = rows(&test, "select password_hash from people").await[0].get(0);
    assert!(stored.starts_with("$argon2id$v=19$m=65536,t=3,p=1$"), "{stored}");
    assert!(sign_in(app, "owner@example.org", PASSWORD).await.is_ok());
}

fn argon2_weak(password: &str) -> String {
    use argon2::{Algorithm, Argon2, Params, Version, password_hash::PasswordHasher};
    let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
    weak.hash_password(password.as_bytes()).unwrap().to_string()
}

#[tokio::test]
async fn a_token_has_no_scope_that_its_maker_has_not() {
    let (test, entered) = settled().await;
    let app = &test.platform;
    let ctx = ctx_of(app, &entered.cookie).await;
    let maker = make_token(&ctx, app, &[Scope::Read, Scope::Tokens], None).await.unwrap();
    let narrow = ctx_for(app, by_token(app, &maker).await.unwrap()).await;
    assert!(make_token(&narrow, app, &[Scope::Read], None).await.is_ok());
    let wider = make_token(&narrow, app, &[Scope::Write], None).await.err().unwrap();
    assert_eq!(wider.code(), "auth.forbidden");
    let reader = make_token(&ctx, app, &[Scope::Read], None).await.unwrap();
    let reading = ctx_for(app, by_token(app, &reader).await.unwrap()).await;
    assert_eq!(make_token(&reading, app, &[Scope::Read], None).await.err().unwrap().code(), "auth.forbidden");
    assert_eq!(ops::own_tokens(&reading, app, &PageRequest::first(10)).await.unwrap().items.len(), 3);
}

#[tokio::test]
async fn revoked_and_expired_tokens_are_refused_at_once() {
    let (test, entered) = settled().await;
    let app = &test.platform;
    let ctx = ctx_of(app, &entered.cookie).await;
    let past = make_token(&ctx, app, &[Scope::Read], Some(-1)).await.err().unwrap();
    assert_eq!(past.fields()[0].name, "expires_at");
    let token = make_token(&ctx, app, &[Scope::Read], Some(1)).await.unwrap();
    let revoked = make_token(&ctx, app, &[Scope::Read], None).await.unwrap();
    assert!(by_token(app, &token).await.is_some());
    let newest = ops::own_tokens(&ctx, app, &PageRequest::first(10)).await.unwrap().items[0].id;
    let with_it = ctx_for(app, by_token(app, &revoked).await.unwrap()).await;
    ops::revoke_token(&ctx, app, newest).await.unwrap();
    assert!(by_token(app, &revoked).await.is_none());
    let lost = ops::lost(app.clone(), with_it.acting().unwrap().clone());
    tokio::time::timeout(Wait::from_secs(1), lost).await.expect("open streams see it too");
    assert!(ops::revoke_token(&ctx, app, newest).await.is_err());
    app.clock.advance(Duration::hours(1));
    assert!(by_token(app, &token).await.is_none());
}

#[tokio::test]
async fn the_console_makes_tokens_before_the_first_change_of_password() {
    let (test, first) = founded().await;
    let app = &test.platform;
    let console = Ctx::system("console", app.clock.clone());
    let new = || NewToken { name: "console".parse().unwrap(), scopes: vec![Scope::Read], expires_at: None };
    let made = ops::create_token(&console, app, &first.mail.parse().unwrap(), new()).await.unwrap();
    let ctx = ctx_for(app, by_token(app, &made.token).await.unwrap()).await;
    assert!(ops::own_tokens(&ctx, app, &PageRequest::first(1)).await.is_ok());
    let unknown = ops::create_token(&console, app, &"x@example.org".parse().unwrap(), new()).await;
    assert_eq!(unknown.err().unwrap().fields()[0].code, "unknown");
    let outside = ops::create_token(&nobody(app), app, &first.mail.parse().unwrap(), new()).await;
    assert_eq!(outside.err().unwrap().code(), "auth.forbidden");
}

#[tokio::test]
async fn whoever_loses_access_is_told_of() {
    let (test, entered) = settled().await;
    let app = &test.platform;
    let (mut heard, stop) = (app.signals.subscribe(), CancellationToken::new());
    let listening = tokio::spawn({
        let (signals, url, stop) = (app.signals.clone(), test.database.application_url(), stop.clone());
        async move { signals.listen(&url, stop).await }
    });
    assert_eq!(heard.next().await, Signal::Missed);
    let ctx = ctx_of(app, &entered.cookie).await;
    ops::sign_out(&ctx, app).await.unwrap();
    let told = tokio::time::timeout(Wait::from_secs(1), heard.next()).await.unwrap();
    assert_eq!(told, Signal::Access(entered.person.uuid()));
    stop.cancel();
    listening.await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_away_is_not_a_wrong_password() {
    let (test, first) = founded().await;
    let app = test.platform.clone();
    drop(test);
    let error = sign_in(&app, &first.mail, PASSWORD).await.err().unwrap();
    assert_eq!((error.code(), error.kind()), ("service.unavailable", renderkeep::base::error::Kind::Unavailable));
}

#[tokio::test]
async fn what_is_over_is_forgotten() {
    let (test, entered) = settled().await;
    let app = &test.platform;
    sign_in(app, "owner@example.org", "wrong").await.err().unwrap();
    let ctx = ctx_of(app, &entered.cookie).await;
    ops::sign_out(&ctx, app).await.unwrap();
    assert_eq!(ops::tidy(app).await.unwrap(), 0);
    app.clock.advance(Duration::days(31));
    assert!(ops::tidy(app).await.unwrap() >= 3);
    assert!(rows(&test, "select 1 from sessions").await.is_empty());
    assert!(rows(&test, "select 1 from sign_in_failures").await.is_empty());
}
