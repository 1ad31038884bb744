//! People of the organisation: added, switched off and on, and never the last owner.

use renderkeep::{
    accounts::{self, AccountsError, model::Origin, model::PeopleFilter},
    base::{
        access::Role,
        ctx::{Acting, Actor, Credential, Ctx, RequestId},
        error::Fault,
        ids::{PersonId, SessionId},
        paging::PageRequest,
    },
    organisation::{
        OrganisationError,
        model::{MadePerson, NewPerson},
        ops,
    },
    platform::{
        Platform,
        idempotency::{Answer, Once},
    },
};

use crate::support::{self, TestPlatform, postgres::connect};

async fn owner() -> (TestPlatform, Ctx) {
    let test = support::platform().await;
    ops::bootstrap(&test.platform).await.unwrap();
    let person: uuid::Uuid =
        connect(&test.database.url()).await.query_one("select id from people", &[]).await.unwrap().get(0);
    let ctx = acting(&test.platform, person.into()).await;
    (test, ctx)
}

async fn acting(app: &Platform, person: PersonId) -> Ctx {
    let mut conn = app.db.read().await.unwrap();
    let found = accounts::ops::find(&mut conn, &app.keys, person).await.unwrap().unwrap();
    let membership = ops::membership(&mut conn, person).await.unwrap().unwrap();
    let acting = Acting {
        person,
        name: found.name,
        mail: found.mail,
        organisation: membership.organisation,
        workspace: membership.workspace,
        roles: membership.roles,
        scopes: renderkeep::base::access::Scope::ALL.to_vec(),
        credential: Credential::Session(SessionId::new(&app.clock)),
        must_change_password: false,
    };
    Ctx::new(Actor::Person(Box::new(acting)), RequestId::new("req_test"), app.clock.clone())
}

fn new(mail: &str, role: Role) -> NewPerson {
    NewPerson { mail: mail.parse().unwrap(), name: "Ida Lund".parse().unwrap(), role }
}

async fn add(ctx: &Ctx, app: &Platform, person: NewPerson, once: &Once) -> Result<(Answer, String), OrganisationError> {
    let mut password = String::new();
    let answer = |made: &MadePerson| {
        password.clone_from(&made.one_time_password);
        let body = serde_json::json!({ "id": made.member.person.id, "one_time_password": made.one_time_password });
        Answer { status: 201, location: None, body, replayed: false }
    };
    let answer = ops::add_person(ctx, app, person, once, answer).await?;
    Ok((answer, password))
}

fn id_of(answer: &Answer) -> PersonId {
    answer.body["id"].as_str().unwrap().parse().unwrap()
}

async fn sign_in(app: &Platform, mail: &str, password: &str) -> Result<accounts::model::SignedIn, AccountsError> {
    let ctx = Ctx::new(Actor::Nobody, RequestId::new("req_test"), app.clock.clone());
    let origin = Origin { address: "192.0.2.1".parse().unwrap(), user_agent: String::new() };
    accounts::ops::sign_in(&ctx, app, mail, password, &origin, None).await
}

#[tokio::test]
async fn somebody_added_signs_in_with_the_one_time_password() {
    let (test, ctx) = owner().await;
    let app = &test.platform;
    let (answer, password) = add(&ctx, app, new("ida@example.org", Role::Member), &Once::unkeyed()).await.unwrap();
    assert!(sign_in(app, "ida@example.org", &password).await.unwrap().must_change_password);
    let member = acting(app, id_of(&answer)).await;
    assert_eq!(member.acting().unwrap().roles, [Role::Member]);
    let refused = ops::find_person(&member, app, id_of(&answer)).await.err().unwrap();
    assert_eq!(refused.code(), "auth.forbidden");
    let taken = add(&ctx, app, new("IDA@example.org", Role::Member), &Once::unkeyed()).await.err().unwrap();
    assert_eq!((taken.fields()[0].name.as_str(), taken.fields()[0].code.as_str()), ("mail", "taken"));
}

#[tokio::test]
async fn the_same_key_adds_one_person_and_tells_the_password_again() {
    let (test, ctx) = owner().await;
    let app = &test.platform;
    let once = Once::keyed("POST /api/v1/admin/people".to_owned(), "key-1", [1; 32]);
    let (first, password) = add(&ctx, app, new("ida@example.org", Role::Member), &once).await.unwrap();
    let (again, _) = add(&ctx, app, new("ida@example.org", Role::Member), &once).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.body, first.body);
    assert!(sign_in(app, "ida@example.org", &password).await.is_ok());
}

#[tokio::test]
async fn asvs_v7_4_2_switching_off_ends_everything_and_nothing_comes_back() {
    let (test, ctx) = owner().await;
    let app = &test.platform;
    let (answer, password) = add(&ctx, app, new("ida@example.org", Role::Member), &Once::unkeyed()).await.unwrap();
    let entered = sign_in(app, "ida@example.org", &password).await.unwrap();
    let session = async || accounts::ops::session(app, &entered.cookie).await.unwrap();
    assert!(session().await.is_some());
    let id = id_of(&answer);
    let off = ops::deactivate_person(&ctx, app, id, Some("left")).await.unwrap();
    assert!(off.person.deactivated_at.is_some());
    assert!(session().await.is_none());
    assert!(matches!(sign_in(app, "ida@example.org", &password).await, Err(AccountsError::DoNotMatch)));
    ops::deactivate_person(&ctx, app, id, None).await.unwrap();
    let acts = "select 1 from audit_entries where action = 'people.deactivate' and reason = 'left'";
    assert_eq!(connect(&test.database.url()).await.query(acts, &[]).await.unwrap().len(), 1, "off is off");
    assert!(ops::reactivate_person(&ctx, app, id).await.unwrap().person.deactivated_at.is_none());
    assert!(session().await.is_none(), "the session does not come back");
    assert!(sign_in(app, "ida@example.org", &password).await.is_ok());
}

#[tokio::test]
async fn there_is_always_an_owner() {
    let (test, ctx) = owner().await;
    let app = &test.platform;
    let first = ctx.acting().unwrap().person;
    let refused = ops::deactivate_person(&ctx, app, first, None).await.err().unwrap();
    assert_eq!(refused.code(), "organisation.last_owner");
    let (answer, _) = add(&ctx, app, new("ida@example.org", Role::Owner), &Once::unkeyed()).await.unwrap();
    let second = acting(app, id_of(&answer)).await;
    let off = |ctx: Ctx, id| async move { ops::deactivate_person(&ctx, app, id, None).await };
    let (one, two) = tokio::join!(off(ctx.clone(), id_of(&answer)), off(second, first));
    assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1, "two at once: one wins");
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_by_a_one_time_password() {
    let (test, ctx) = owner().await;
    let app = &test.platform;
    let (answer, old) = add(&ctx, app, new("ida@example.org", Role::Member), &Once::unkeyed()).await.unwrap();
    let one_time = accounts::ops::give_one_time_password(&ctx, app, id_of(&answer)).await.unwrap();
    assert!(sign_in(app, "ida@example.org", &old).await.is_err());
    assert!(sign_in(app, "ida@example.org", &one_time.password).await.unwrap().must_change_password);
}

#[tokio::test]
async fn people_are_listed_newest_first_and_found_by_mail_state_and_letters() {
    let (test, ctx) = owner().await;
    let app = &test.platform;
    for name in ["a", "b_b", "c"] {
        add(&ctx, app, new(&format!("{name}@example.org"), Role::Member), &Once::unkeyed()).await.unwrap();
    }
    let mails = async |filter: PeopleFilter, page: PageRequest| {
        let page = ops::list_people(&ctx, app, &filter, &page).await.unwrap();
        (page.items.into_iter().map(|member| member.person.mail).collect::<Vec<_>>(), page.next)
    };
    let (first, next) = mails(PeopleFilter::default(), PageRequest::first(2)).await;
    assert_eq!(first, ["c@example.org", "b_b@example.org"]);
    let (rest, end) = mails(PeopleFilter::default(), PageRequest { limit: 2, before: next }).await;
    assert_eq!((rest, end), (vec!["a@example.org".to_owned(), "owner@example.org".to_owned()], None));
    let search = |words: &str| PeopleFilter { search: Some(words.to_owned()), ..PeopleFilter::default() };
    assert_eq!(mails(search("b_b"), PageRequest::first(9)).await.0, ["b_b@example.org"]);
    assert_eq!(mails(search("EXAM b"), PageRequest::first(9)).await.0, ["b_b@example.org"]);
    assert_eq!(mails(search("exa"), PageRequest::first(9)).await.0.len(), 4);
    for nobody in ["xample", "_", "%", "ex", "\0"] {
        assert!(mails(search(nobody), PageRequest::first(9)).await.0.is_empty(), "{nobody}");
    }
    let off = PeopleFilter { active: Some(false), ..PeopleFilter::default() };
    assert!(mails(off, PageRequest::first(9)).await.0.is_empty());
}
