//! What values must be beyond their types. Each fault names its key and says what to write instead.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{Config, ConfiguredModel, ConfiguredProvider, Faults};

/// What a model can be said to do; the names of the catalog's tasks.
pub const TASKS: [&str; 3] = ["text-to-image", "image-to-image", "inpaint"];

/// Everything that is wrong, not only the first.
pub fn check(config: &Config) -> Result<(), Faults> {
    let mut faults = Vec::new();
    let mut expect = |holds: bool, sentence: &str| {
        if !holds {
            faults.push(sentence.to_owned());
        }
    };
    server(config, &mut expect);
    parts(config, &mut expect);
    limits(config, &mut expect);
    egress(config, &mut expect);
    for provider in &config.inference.providers {
        self::provider(provider, &mut expect);
    }
    Faults::none_or(faults, ())
}

fn server(config: &Config, expect: &mut impl FnMut(bool, &str)) {
    let server = &config.server;
    let is_address = server.host.parse::<std::net::IpAddr>().is_ok();
    expect(is_address, "server.host must be an IP address, for example 127.0.0.1 or ::1.");
    expect((1..=256).contains(&server.workers), "server.workers must be between 1 and 256.");
    let tls = &config.tls;
    let pair = tls.certificate.is_some() == tls.key.is_some();
    expect(pair, "tls.certificate and tls.key belong together: set both or neither.");
    let redirect = tls.redirect.is_none() || tls.certificate.is_some();
    expect(redirect, "tls.redirect sends to TLS: set tls.certificate and tls.key too.");
    let public = server.public_url.as_deref().is_none_or(is_origin);
    expect(public, "server.public_url must be http:// or https:// and a host, without a path.");
}

fn parts(config: &Config, expect: &mut impl FnMut(bool, &str)) {
    expect(is_postgres_url(config.database.url.expose_secret()), "database.url must begin with postgres://.");
    let owner = config.database.owner_url.as_ref().is_none_or(|url| is_postgres_url(url.expose_secret()));
    expect(owner, "database.owner_url must begin with postgres://.");
    expect(config.database.connections <= 1000, "database.connections must be at most 1000.");
    let enough = config.connections_of_each() >= 2;
    expect(enough, "database.connections must be at least two for each of server.workers, and two more.");
    let storage = &config.storage;
    expect(is_origin(&storage.endpoint), "storage.endpoint must be http:// or https:// and a host, without a path.");
    expect(is_bucket(&storage.bucket), "storage.bucket must be 3 to 63 small letters, digits and hyphens.");
    expect(!storage.access_key.expose_secret().is_empty(), "storage.access_key must not be empty.");
    expect(!storage.secret_key.expose_secret().is_empty(), "storage.secret_key must not be empty.");
    let is_key = |key: &SecretString| {
        let key = key.expose_secret().trim();
        key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let secrets = &config.secrets;
    let root = secrets.root_key.as_ref().is_none_or(is_key);
    expect(
        root,
        "secrets.root_key must be 64 hexadecimal digits. Restore it from where you keep it: a new one opens nothing that \
         was stored. Only for a new installation make one with: openssl rand -hex 32.",
    );
    let next = secrets.next_root_key.as_ref().is_none_or(is_key);
    expect(next, "secrets.next_root_key must be 64 hexadecimal digits. Make one with: openssl rand -hex 32.");
    let days = (1..=3650).contains(&secrets.backup_days);
    expect(days, "secrets.backup_days must be between 1 and 3650.");
    let log = tracing_subscriber::EnvFilter::try_new(&config.telemetry.log).is_ok();
    expect(log, "telemetry.log must be a level or a list of part=level, for example renderkeep=debug,info.");
}

fn egress(config: &Config, expect: &mut impl FnMut(bool, &str)) {
    let proxy = config.egress.proxy.as_ref().is_none_or(|address| is_origin(address.expose_secret()));
    expect(proxy, "egress.proxy must be http:// or https:// and a host with its port, without a path.");
}

fn limits(config: &Config, expect: &mut impl FnMut(bool, &str)) {
    let organisation = &config.organisation;
    let name = |name: &str| (1..=255).contains(&name.len());
    expect(name(&organisation.name), "organisation.name must have 1 to 255 bytes.");
    expect(name(&organisation.owner_name), "organisation.owner_name must have 1 to 255 bytes.");
    let mail = organisation.owner_mail.split_once('@');
    let is_mail = mail.is_some_and(|(local, host)| !local.is_empty() && !host.is_empty());
    expect(is_mail, "organisation.owner_mail must be a mail address.");
    let inference = &config.inference;
    expect((1..=1000).contains(&inference.per_person), "inference.per_person must be between 1 and 1000.");
    expect((1..=1000).contains(&inference.at_once), "inference.at_once must be between 1 and 1000.");
    let timeout = (1..=86_400).contains(&inference.timeout_seconds);
    expect(timeout, "inference.timeout_seconds must be between 1 and 86400.");
    let audit = &config.audit;
    expect(audit.checkpoint_entries >= 1, "audit.checkpoint_entries must be at least 1.");
    expect((1..=1440).contains(&audit.checkpoint_minutes), "audit.checkpoint_minutes must be between 1 and 1440.");
    let sessions = &config.sessions;
    expect((1..=525_600).contains(&sessions.idle_minutes), "sessions.idle_minutes must be between 1 and 525600.");
    expect((1..=8760).contains(&sessions.absolute_hours), "sessions.absolute_hours must be between 1 and 8760.");
}

fn provider(provider: &ConfiguredProvider, expect: &mut impl FnMut(bool, &str)) {
    let slug = is_slug(&provider.slug) && provider.slug != "demo";
    expect(slug, "inference.providers.slug must be small letters, digits and hyphens, and not demo.");
    let url = Url::parse(&provider.base_url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    expect(url, "inference.providers.base_url must begin with http:// or https://.");
    for model in &provider.models {
        self::model(model, expect);
    }
}

fn model(model: &ConfiguredModel, expect: &mut impl FnMut(bool, &str)) {
    let name = (1..=180).contains(&model.name.len());
    expect(name, "inference.providers.models.name must have 1 to 180 bytes.");
    let sizes = !model.sizes.is_empty() && model.sizes.iter().all(|size| is_size(size));
    expect(sizes, "inference.providers.models.sizes must be a list such as [\"1024x1024\"].");
    let tasks = !model.tasks.is_empty() && model.tasks.iter().all(|task| TASKS.contains(&task.as_str()));
    expect(tasks, "inference.providers.models.tasks must be a list of text-to-image, image-to-image and inpaint.");
    let count = (1..=16).contains(&model.max_count);
    expect(count, "inference.providers.models.max_count must be between 1 and 16.");
    let references = model.max_references <= 16;
    expect(references, "inference.providers.models.max_references must be between 0 and 16.");
    let price = model.price_micros_per_image.is_none_or(|price| price >= 0);
    expect(price, "inference.providers.models.price_micros_per_image must not be negative.");
}

fn is_postgres_url(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/" && url.query().is_none()
    })
}

fn is_bucket(text: &str) -> bool {
    (3..=63).contains(&text.len()) && is_slug(text)
}

fn is_slug(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.bytes().next().is_some_and(word) && text.len() <= 63 && text.bytes().all(|byte| word(byte) || byte == b'-')
}

fn is_size(text: &str) -> bool {
    let side = |text: &str| text.parse::<u32>().is_ok_and(|side| (1..=16_384).contains(&side));
    text.split_once('x').is_some_and(|(width, height)| side(width) && side(height))
}
