//! The adapters: the built-in painter, and an OpenAI-compatible server that fails in every way it can.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use renderkeep::{
    base::{
        clock::Clock,
        ctx::Ctx,
        ids::{GenerationId, PersonId},
        money::Micros,
    },
    config::{Config, ConfiguredModel, ConfiguredProvider},
    inference::{
        self,
        model::{ReferenceRole, Size},
        providers::{Answer, Billed, Ending, Failure, Progress, Watch, Work, WorkReference, connect},
    },
    platform::egress::{About, Body, Call, Method, Purpose},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    doubles::openai::{self, Server},
    support::{self, TestPlatform, postgres},
};

/// Everything that the double does by name, and one that paints.
const MODELS: [&str; 19] = [
    "paints",
    "by-address",
    "by-foreign-address",
    "unauthorised",
    "rate-limited",
    "out-of-credit",
    "moderated",
    "error-text",
    "detail",
    "internal-error",
    "html",
    "redirect",
    "truncated",
    "no-picture",
    "empty",
    "fewer",
    "twice",
    "drop",
    "half",
];

#[derive(Default)]
struct Seen {
    accepted: Mutex<bool>,
    progress: Mutex<Vec<Progress>>,
    cancel: CancellationToken,
    /// Cancels by itself after this many steps.
    patience: Option<usize>,
}

impl Watch for Seen {
    fn accepted(&self) {
        *self.accepted.lock().unwrap() = true;
    }
    fn progress(&self, progress: Progress) {
        let mut all = self.progress.lock().unwrap();
        all.push(progress);
        if self.patience == Some(all.len()) {
            self.cancel.cancel();
        }
    }
    fn cancel(&self) -> CancellationToken {
        self.cancel.clone()
    }
}

fn configured(name: &str, upstream: &str, seeds: bool) -> ConfiguredModel {
    ConfiguredModel {
        name: name.to_owned(),
        upstream_name: upstream.to_owned(),
        title: name.to_owned(),
        tasks: vec!["text-to-image".to_owned(), "image-to-image".to_owned(), "inpaint".to_owned()],
        sizes: vec!["64x32".to_owned()],
        max_count: 4,
        max_references: 4,
        seeds,
        price_micros_per_image: Some(40_000),
        aliases: Vec::new(),
    }
}

fn with_server(base_url: &str, key: Option<&str>) -> Config {
    let mut models: Vec<_> = MODELS.iter().map(|name| configured(name, name, false)).collect();
    models.push(configured("seeded", "seeded", true));
    models.push(configured("hang", "hang", false));
    let provider = ConfiguredProvider {
        slug: "house".to_owned(),
        title: "House".to_owned(),
        base_url: base_url.to_owned(),
        api_key: key.map(Into::into),
        local: true,
        models,
    };
    let mut config = support::config();
    config.inference.providers = vec![provider];
    config.inference.timeout_seconds = 2;
    config
}

async fn synced(config: Config) -> TestPlatform {
    let test = support::platform_with(config).await;
    let ctx = Ctx::system("test", test.platform.clock.clone());
    inference::ops::sync(&ctx, &test.platform).await.unwrap();
    test
}

async fn with_double(arguments: &[&str], key: Option<&str>) -> (TestPlatform, Server) {
    let server = openai::start(arguments);
    (synced(with_server(&server.base_url(), key)).await, server)
}

fn work(model: &str, count: u32) -> Work {
    let clock = Clock::system();
    Work {
        generation: GenerationId::new(&clock),
        person: PersonId::new(&clock),
        model: model.to_owned(),
        prompt: "a clay teapot at sunset".to_owned(),
        size: Size { width: 64, height: 32 },
        count,
        seed: u32::MAX,
        send_seed: true,
        parameters: Default::default(),
        references: Vec::new(),
        held: Micros(40_000 * i64::from(count)),
    }
}

async fn submit(test: &TestPlatform, slug: &str, work: &Work, watch: Arc<Seen>) -> Result<Answer, Failure> {
    let app = &test.platform;
    let ctx = Ctx::system("test", app.clock.clone());
    let names = ["painter", "paints"].map(|name| format!("{slug}/{name}"));
    let offer = match inference::ops::offer(&mut app.db.read().await.unwrap(), &names[0]).await {
        Ok(offer) => offer,
        Err(_) => inference::ops::offer(&mut app.db.read().await.unwrap(), &names[1]).await.unwrap(),
    };
    connect(app, &offer.provider).unwrap().submit(&ctx, work, watch).await
}

async fn ask(test: &TestPlatform, model: &str, count: u32) -> Result<Answer, Failure> {
    submit(test, "house", &work(model, count), Arc::default()).await
}

/// What the double was asked.
async fn seen(test: &TestPlatform, server: &Server) -> Vec<Value> {
    let client = postgres::connect(&test.database.url()).await;
    let id: uuid::Uuid = client.query_one("select id from egress_destinations", &[]).await.unwrap().get(0);
    let about = About { purpose: Purpose::Test, categories: Vec::new(), person: None, generation: None };
    let call = Call {
        method: Method::Get,
        url: format!("http://127.0.0.1:{}/seen", server.port).parse().unwrap(),
        bearer: None,
        body: Body::none(),
        limit: Duration::from_secs(5),
        most: 1 << 20,
        cancel: CancellationToken::new(),
    };
    let reply = test.platform.egress.to(id.into(), about).send(call).await.unwrap();
    serde_json::from_slice(&reply.body).unwrap()
}

async fn calls(test: &TestPlatform) -> Vec<(String, Option<i32>, String)> {
    let client = postgres::connect(&test.database.url()).await;
    let sql = "select outcome, status, array_to_string(categories, ',') from egress_calls where purpose = 'generation' \
               order by id";
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

fn decoded(bytes: &[u8]) -> image::DynamicImage {
    image::load_from_memory(bytes).unwrap()
}

#[tokio::test]
async fn pictures_come_back_whole_in_both_ways() {
    let (test, server) = with_double(&["--key", "sk-1"], Some("sk-1")).await;
    for model in ["paints", "by-address", "twice"] {
        let answer = ask(&test, model, 2).await.unwrap();
        assert_eq!((answer.images.len(), answer.billed), (2, Billed::AsPriced), "{model}");
        for image in &answer.images {
            let picture = decoded(&image.bytes);
            assert_eq!((picture.width(), picture.height(), image.seed), (64, 32, None));
        }
    }
    let (asked, calls) = (seen(&test, &server).await, calls(&test).await);
    let wanted = json!({ "model": "paints", "prompt": "a clay teapot at sunset", "n": 2, "size": "64x32",
        "response_format": "b64_json" });
    assert_eq!(asked[0]["fields"], wanted, "no seed for a model without seeds");
    assert_eq!(
        (&asked[0]["path"], &asked[0]["authorization"]),
        (&json!("/v1/images/generations"), &json!("Bearer sk-1"))
    );
    assert_eq!(calls.len(), 3 + 2, "each picture that is fetched is a call of its own");
    assert_eq!(calls[0], ("answered".to_owned(), Some(200), "prompt,parameters".to_owned()));
    let fewer = ask(&test, "fewer", 3).await.unwrap();
    assert_eq!(fewer.images.len(), 2, "what was delivered counts");
}

#[tokio::test]
async fn seeds_are_sent_where_they_count_and_wrap() {
    let (test, server) = with_double(&[], None).await;
    let answer = ask(&test, "seeded", 2).await.unwrap();
    assert_eq!(answer.images.iter().map(|image| image.seed).collect::<Vec<_>>(), [Some(u32::MAX), Some(0)]);
    let asked = seen(&test, &server).await;
    assert_eq!((&asked[0]["fields"]["seed"], &asked[0]["authorization"]), (&json!(u32::MAX), &Value::Null));
}

#[tokio::test]
async fn references_and_mask_arrive_as_they_are() {
    let (test, server) = with_double(&[], None).await;
    let reference = |role, name: &str, media_type: &str, bytes: &Bytes| WorkReference {
        role,
        strength: None,
        media_type: media_type.to_owned(),
        name: name.to_owned(),
        bytes: bytes.clone(),
    };
    let photo: Bytes = (0..=255).cycle().take(200_000).collect::<Vec<u8>>().into();
    let mut out = std::io::Cursor::new(Vec::new());
    image::DynamicImage::new_luma8(4, 4).write_to(&mut out, image::ImageFormat::Png).unwrap();
    let mask: Bytes = out.into_inner().into();
    let mut one = work("paints", 1);
    one.references = vec![reference(ReferenceRole::Reference, "ferien in rom.jpg", "image/jpeg", &photo)];
    submit(&test, "house", &one, Arc::default()).await.unwrap();
    let mut many = one.clone();
    many.references.push(reference(ReferenceRole::Scene, "b", "image/webp", &photo));
    many.references.push(reference(ReferenceRole::Mask, "c", "image/png", &mask));
    submit(&test, "house", &many, Arc::default()).await.unwrap();
    let asked = seen(&test, &server).await;
    let sha256 = data_encoding::HEXLOWER.encode(&renderkeep::platform::crypto::digest(&photo));
    let sent =
        json!({ "name": "image", "file": "image-1.jpg", "type": "image/jpeg", "bytes": 200_000, "sha256": sha256 });
    assert_eq!((&asked[0]["path"], &asked[0]["files"]), (&json!("/v1/images/edits"), &json!([sent])));
    assert_eq!(asked[0]["fields"]["n"], "1");
    let names: Vec<_> =
        asked[1]["files"].as_array().unwrap().iter().map(|file| (&file["name"], &file["file"])).collect();
    let wanted = [("image[]", "image-1.jpg"), ("image[]", "image-2.webp"), ("mask", "mask.png")];
    assert_eq!(
        names,
        wanted.map(|(name, file)| (json!(name), json!(file))).iter().map(|(a, b)| (a, b)).collect::<Vec<_>>()
    );
    assert!(!asked.iter().any(|one| one.to_string().contains("ferien")), "file names stay here");
    assert_eq!(calls(&test).await[1].2, "prompt,parameters,references");
}

#[tokio::test]
async fn every_failure_has_its_meaning() {
    let (test, _server) = with_double(&[], None).await;
    let table = [
        ("unauthorised", "provider.unauthorised", Ending::Failed, false),
        ("rate-limited", "provider.rate_limited", Ending::Failed, true),
        ("out-of-credit", "provider.out_of_credit", Ending::Failed, false),
        ("moderated", "provider.moderated", Ending::Failed, false),
        ("error-text", "provider.refused", Ending::Failed, false),
        ("detail", "provider.refused", Ending::Failed, false),
        ("internal-error", "provider.failed", Ending::Failed, true),
        ("html", "provider.unreadable", Ending::Failed, true),
        ("redirect", "provider.refused", Ending::Failed, false),
        ("truncated", "provider.unreadable", Ending::Failed, true),
        ("no-picture", "provider.unreadable", Ending::Failed, true),
        ("empty", "provider.unreadable", Ending::Failed, true),
        ("by-foreign-address", "provider.unreadable", Ending::Failed, true),
        ("drop", "provider.lost", Ending::Unknown, false),
        ("half", "provider.lost", Ending::Unknown, false),
        ("hang", "provider.timed_out", Ending::Unknown, false),
    ];
    for (model, code, ending, retryable) in table {
        let failure = ask(&test, model, 1).await.unwrap_err();
        assert_eq!((failure.code, failure.ending, failure.retryable), (code, ending, retryable), "{model}");
        assert_eq!(failure.billed, Micros::ZERO, "{model}");
        assert_eq!(failure.retry_after, (model == "rate-limited").then_some(7), "{model}");
        assert!(failure.message.starts_with("House "), "{model}: {}", failure.message);
        assert!(!failure.message.contains("sk-"), "{model}: {}", failure.message);
    }
    let posted = calls(&test).await;
    // One call each, and the refused fetch of a picture.
    assert_eq!(posted.len(), table.len() + 1);
    assert_eq!(posted.iter().filter(|call| call.0 == "refused").count(), 1);
    assert_eq!(posted.last().unwrap().0, "timed_out");
}

#[tokio::test]
async fn a_lost_answer_was_asked_once() {
    let (test, server) = with_double(&[], None).await;
    assert_eq!(ask(&test, "drop", 1).await.unwrap_err().ending, Ending::Unknown);
    assert_eq!(seen(&test, &server).await.len(), 1);
}

#[tokio::test]
async fn what_surely_did_not_arrive_is_not_unknown() {
    let test = synced(with_server("http://127.0.0.1:1/v1", None)).await;
    let refused = ask(&test, "paints", 1).await.unwrap_err();
    assert_eq!((refused.code, refused.ending, refused.retryable), ("provider.unreachable", Ending::Failed, true));
    let test = synced(with_server("http://no-such-host.invalid/v1", None)).await;
    let nameless = ask(&test, "paints", 1).await.unwrap_err();
    assert_eq!((nameless.code, nameless.ending), ("provider.unreachable", Ending::Failed));
}

#[tokio::test]
async fn hanging_up_ends_the_call_at_once() {
    let (test, _server) = with_double(&[], None).await;
    let watch = Arc::new(Seen { patience: Some(1), ..Seen::default() });
    let started = Instant::now();
    let end = submit(&test, "house", &work("hang", 1), watch).await.unwrap_err();
    assert_eq!((end.ending, end.billed), (Ending::Cancelled, Micros::ZERO), "an own machine bills nothing");
    assert!(started.elapsed() < Duration::from_millis(1500));
    assert_eq!(calls(&test).await[0].0, "cancelled");
}

#[tokio::test]
async fn the_painter_paints_with_steps_and_repeats_itself() {
    let test = synced(support::config()).await;
    let watch = Arc::new(Seen::default());
    let answer = submit(&test, "demo", &work("painter", 2), watch.clone()).await.unwrap();
    assert_eq!(answer.images.iter().map(|image| image.seed).collect::<Vec<_>>(), [Some(u32::MAX), Some(0)]);
    assert!(*watch.accepted.lock().unwrap());
    {
        let progress = watch.progress.lock().unwrap();
        assert_eq!(progress.len(), 16);
        assert_eq!(progress.last().unwrap().step, "Painting picture 2 of 2, step 8 of 8");
        let fractions: Vec<_> = progress.iter().map(|one| one.fraction.unwrap()).collect();
        assert!(fractions.is_sorted() && fractions.last() == Some(&1.0));
        let preview = progress[3].preview.as_ref().unwrap();
        assert_eq!(image::guess_format(preview).unwrap(), image::ImageFormat::Jpeg);
    }
    let mut again = work("painter", 1);
    again.seed = 0;
    let second = submit(&test, "demo", &again, Arc::default()).await.unwrap();
    assert_eq!(second.images[0].bytes, answer.images[1].bytes, "output i is seed i alone");
    for (name, format) in
        [("png", image::ImageFormat::Png), ("jpeg", image::ImageFormat::Jpeg), ("webp", image::ImageFormat::WebP)]
    {
        again.parameters.insert("output_format".to_owned(), name.into());
        let made = submit(&test, "demo", &again, Arc::default()).await.unwrap();
        assert_eq!(image::guess_format(&made.images[0].bytes).unwrap(), format);
        assert_eq!(decoded(&made.images[0].bytes).width(), 64);
    }
    assert!(calls(&test).await.is_empty(), "it needs no network");
}

#[tokio::test]
async fn the_painter_takes_a_photo_and_a_mask() {
    let test = synced(support::config()).await;
    let png = |image: image::DynamicImage| -> Bytes {
        let mut out = std::io::Cursor::new(Vec::new());
        image.write_to(&mut out, image::ImageFormat::Png).unwrap();
        out.into_inner().into()
    };
    let photo = image::RgbImage::from_pixel(64, 32, image::Rgb([200, 30, 30]));
    // White on the right half: only there it is painted anew.
    let mask = image::GrayImage::from_fn(64, 32, |x, _| image::Luma([if x < 32 { 0 } else { 255 }]));
    let reference = |role, bytes| WorkReference {
        role,
        strength: Some(0.9),
        media_type: "image/png".to_owned(),
        name: "x".to_owned(),
        bytes,
    };
    let mut work = work("painter", 1);
    work.references =
        vec![reference(ReferenceRole::Reference, png(photo.into())), reference(ReferenceRole::Mask, png(mask.into()))];
    let answer = submit(&test, "demo", &work, Arc::default()).await.unwrap();
    let picture = decoded(&answer.images[0].bytes).into_rgb8();
    assert_eq!(picture.get_pixel(5, 16).0, [200, 30, 30], "the rest stays");
    assert!((33..64).any(|x| picture.get_pixel(x, 16).0 != [200, 30, 30]));
}

#[tokio::test]
async fn the_faulty_models_fail_as_their_names_say() {
    let mut config = support::config();
    config.inference.timeout_seconds = 1;
    let test = synced(config).await;
    let refused = submit(&test, "demo", &work("fail", 1), Arc::default()).await.unwrap_err();
    assert_eq!((refused.ending, refused.billed, refused.retryable), (Ending::Failed, Micros::ZERO, false));
    let watch = Arc::new(Seen::default());
    let late = submit(&test, "demo", &work("fail-late", 2), watch.clone()).await.unwrap_err();
    assert_eq!((late.ending, late.billed, watch.progress.lock().unwrap().len()), (Ending::Failed, Micros::ZERO, 8));
    let dear = submit(&test, "demo", &work("overbill", 2), Arc::default()).await.unwrap();
    assert_eq!((dear.images.len(), dear.billed), (2, Billed::Micros(Micros(160_000))));
    let watch = Arc::new(Seen::default());
    let silent = submit(&test, "demo", &work("silent", 1), watch.clone()).await.unwrap_err();
    assert_eq!((silent.ending, *watch.accepted.lock().unwrap()), (Ending::Unknown, true));
    let watch = Arc::new(Seen { patience: Some(1), ..Seen::default() });
    let started = Instant::now();
    let stopped = submit(&test, "demo", &work("slow", 1), watch).await.unwrap_err();
    assert_eq!((stopped.ending, stopped.billed), (Ending::Cancelled, Micros::ZERO));
    assert!(started.elapsed() < Duration::from_secs(2));
}
