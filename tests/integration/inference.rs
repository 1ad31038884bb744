//! The catalog: what the configuration and administrators make of it.

use renderkeep::{
    base::ctx::Ctx,
    config::{Config, ConfiguredModel, ConfiguredProvider},
    inference::{error::InferenceError, ops},
    platform::Platform,
};

use crate::support::{self, TestPlatform, postgres};

mod admin;

fn configured(models: &[(&str, Option<i64>)]) -> Config {
    let model = |(name, price): &(&str, Option<i64>)| ConfiguredModel {
        name: (*name).to_owned(),
        upstream_name: (*name).to_owned(),
        title: (*name).to_owned(),
        tasks: vec!["text-to-image".to_owned()],
        sizes: vec!["1024x1024".to_owned(), "512x512".to_owned()],
        max_count: 2,
        max_references: 0,
        seeds: false,
        price_micros_per_image: *price,
        aliases: vec![format!("{name}-alias")],
    };
    let provider = ConfiguredProvider {
        slug: "house".to_owned(),
        title: "House".to_owned(),
        base_url: "http://10.0.0.1:1234/v1/".to_owned(),
        api_key: Some("sk-1".into()),
        local: true,
        models: models.iter().map(model).collect(),
    };
    let mut config = support::config();
    config.inference.demo_faults = false;
    config.inference.providers = vec![provider];
    config
}

/// The same database under another configuration, as after a restart.
async fn restarted(test: TestPlatform, config: Config) -> TestPlatform {
    let platform = Platform { config: config.into(), ..test.platform };
    let test = TestPlatform { platform, ..test };
    sync(&test).await.unwrap();
    test
}

async fn sync(test: &TestPlatform) -> Result<(), InferenceError> {
    let ctx = Ctx::system("test", test.platform.clock.clone());
    ops::sync(&ctx, &test.platform).await
}

async fn usable(test: &TestPlatform, name: &str) -> Result<i64, &'static str> {
    use renderkeep::base::error::Fault;
    let offer = ops::offer(&mut test.platform.db.read().await.unwrap(), name).await.map_err(|error| error.code())?;
    let price = offer.price.unwrap().single(offer.model.usual_size()).unwrap();
    Ok(price.micros.0)
}

/// Everything in the catalog's tables that tells one start from another.
async fn contents(test: &TestPlatform) -> Vec<String> {
    let client = postgres::connect(&test.database.url()).await;
    let sql =
        "select 'p ' || id || coalesce(encode(api_key, 'hex'), '') || coalesce(removed_at::text, '') from providers
               union all select 'm ' || id || coalesce(removed_at::text, '') || created_at from models
               union all select 'c ' || id || coalesce(valid_to::text, '') from price_cards
               union all select 'd ' || id || allowed_at || coalesce(disabled_at::text, '') from egress_destinations
               union all select 'a ' || id from audit_entries order by 1";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn starting_again_changes_nothing() {
    let test = support::platform_with(configured(&[("flux", Some(5))])).await;
    sync(&test).await.unwrap();
    let before = contents(&test).await;
    let (one, other) = tokio::join!(sync(&test), sync(&test));
    one.and(other).unwrap();
    assert_eq!(contents(&test).await, before);
    assert_eq!(usable(&test, "demo/painter").await, Ok(20_000));
    assert_eq!(usable(&test, "house/flux").await, Ok(5));
    assert_eq!(usable(&test, "flux-alias").await, Ok(5));
    assert_eq!(usable(&test, "demo/slow").await, Err("inference.unknown_model"));
}

#[tokio::test]
async fn the_catalog_follows_the_configuration() {
    let test = support::platform_with(configured(&[("flux", Some(5)), ("sdxl", None)])).await;
    sync(&test).await.unwrap();
    assert_eq!(usable(&test, "house/sdxl").await, Err("inference.unpriced_model"));
    let test = restarted(test, configured(&[("sdxl", Some(7))])).await;
    assert_eq!(usable(&test, "house/flux").await, Err("inference.unknown_model"));
    assert_eq!(usable(&test, "house/sdxl").await, Ok(7));
    let mut faults = configured(&[("flux", Some(6))]);
    faults.inference.demo_faults = true;
    let test = restarted(test, faults).await;
    assert_eq!(usable(&test, "house/flux").await, Ok(6));
    assert_eq!(usable(&test, "demo/silent").await, Ok(20_000));
    let mut none = support::config();
    none.inference.demo = false;
    let test = restarted(test, none).await;
    assert_eq!(usable(&test, "house/flux").await, Err("inference.unknown_model"));
    assert_eq!(usable(&test, "demo/painter").await, Err("inference.unknown_model"));
    let client = postgres::connect(&test.database.url()).await;
    let row = client.query_one("select count(*) from providers where api_key is not null", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 0, "the key is gone with its provider");
    let row =
        client.query_one("select count(*) from egress_destinations where disabled_at is null", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 0, "nothing leaves any more to where no provider is");
}

#[tokio::test]
async fn the_key_is_sealed_and_opens_for_its_provider_only() {
    use secrecy::ExposeSecret;
    let test = support::platform_with(configured(&[("flux", Some(5))])).await;
    sync(&test).await.unwrap();
    let mut conn = test.platform.db.read().await.unwrap();
    let offer = ops::offer(&mut conn, "house/flux").await.unwrap();
    let sealed = offer.provider.api_key.clone().unwrap();
    assert!(!sealed.windows(4).any(|window| window == b"sk-1"));
    let key = ops::open_key(&test.platform.keys, &offer.provider).unwrap().unwrap();
    assert_eq!(key.expose_secret(), "sk-1");
    let mut other = offer.provider.clone();
    other.id = renderkeep::base::ids::ProviderId::new(&test.platform.clock);
    assert!(ops::open_key(&test.platform.keys, &other).is_err());
}
