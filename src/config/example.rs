//! A commented file to begin with, and what is in force, without secrets.

use std::fmt::Write;

use ::config::{Value, ValueKind};

use super::{
    Faults,
    load::{Sources, merge},
    sections::{Key, Kind, Preset, SECTIONS, Section, plain_sections},
};

const OPENING: &str = "\
# The settings of Renderkeep. Each line with a value shows the default; those that must be set hold a sample.
# The environment overrides this file: server.port is RENDERKEEP__SERVER__PORT. A secret may be in a file of its own:
# database.url_file = \"/run/credentials/database-url\", or RENDERKEEP__DATABASE__URL_FILE.
";

/// A complete file: every key with its meaning. What is optional is commented out.
pub fn example() -> String {
    let mut text = OPENING.to_owned();
    for section in SECTIONS {
        let list = section.name.contains('.');
        let (mark, head) =
            if list { ("# ", format!("[[{}]]", section.name)) } else { ("", format!("[{}]", section.name)) };
        let _ = writeln!(text, "\n{}{mark}{head}", comment(section.about));
        for key in section.keys.iter().filter(|key| key.kind != Kind::Tables) {
            text.push_str(&comment(key.about));
            text.push_str(&example_line(key, mark));
        }
    }
    text
}

fn comment(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("#{line}\n")).collect()
}

fn example_line(key: &Key, mark: &str) -> String {
    let (mark, value) = match key.preset {
        Preset::Default(value) | Preset::Required(value) => (mark, value),
        Preset::Optional(value) => ("# ", value),
    };
    format!("{mark}{} = {}\n", key.name, literal(key.kind, value))
}

fn literal(kind: Kind, value: &str) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    match kind {
        Kind::Text | Kind::Secret => quoted(value),
        Kind::Number | Kind::Flag => value.to_owned(),
        Kind::List | Kind::Tables => {
            let parts: Vec<String> = value.split(',').filter(|part| !part.is_empty()).map(quoted).collect();
            format!("[{}]", parts.join(", "))
        }
    }
}

/// What is in force after all sources, secrets as asterisks. Also of a configuration that is not complete.
pub fn show(sources: &Sources) -> Result<String, Faults> {
    let merged = merge(sources)?;
    let mut text = String::new();
    for section in plain_sections() {
        let _ = writeln!(text, "[{}]", section.name);
        for key in section.keys {
            let value = merged.get::<Value>(&format!("{}.{}", section.name, key.name)).ok();
            text.push_str(&shown_line(section, key, value));
        }
        text.push('\n');
    }
    Ok(text)
}

fn shown_line(section: &Section, key: &Key, value: Option<Value>) -> String {
    match (key.kind, value) {
        (_, None) => format!("# {} is not set\n", key.name),
        (Kind::Secret, Some(_)) => format!("{} = \"********\"\n", key.name),
        (Kind::Tables, Some(value)) => shown_tables(section, key, value),
        (kind, Some(value)) => format!("{} = {}\n", key.name, shown(kind, value)),
    }
}

fn shown(kind: Kind, value: Value) -> String {
    match value.kind {
        ValueKind::Array(values) => {
            let parts: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
            literal(Kind::List, &parts.join(","))
        }
        other => literal(kind, &Value::new(None, other).to_string()),
    }
}

/// How many there are and what they are called; the rest is in the file.
fn shown_tables(section: &Section, key: &Key, value: Value) -> String {
    let entries = value.into_array().unwrap_or_default();
    let slug = |entry: Value| entry.into_table().ok()?.remove("slug").map(|slug| slug.to_string());
    let slugs: Vec<String> = entries.into_iter().filter_map(slug).collect();
    format!("# {}.{}: {} ({})\n", section.name, key.name, slugs.len(), slugs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::{super::load, *};

    fn loads(text: &str) -> super::super::Config {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        load(&Sources { file: Some(file.path().to_owned()), ..Sources::default() }).unwrap()
    }

    #[test]
    fn the_example_is_a_configuration() {
        let config = loads(&example());
        assert_eq!(config.server.port, 8080);
        assert!(config.inference.providers.is_empty());
    }

    #[test]
    fn the_example_is_one_with_everything_optional_too() {
        let is_setting = |line: &str| line.starts_with('[') || line.contains(" = ");
        let uncommented = |line: &str| match line.strip_prefix("# ") {
            Some(rest) if is_setting(rest) && !line.contains("_file =") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        };
        let config = loads(&example().lines().map(uncommented).collect::<String>());
        assert_eq!(config.inference.providers.len(), 1);
        assert_eq!(config.inference.providers[0].models[0].price_micros_per_image, Some(40_000));
        assert!(config.server.public_url.is_some() && config.telemetry.metrics.is_some());
    }

    #[test]
    fn what_is_shown_holds_no_secret() {
        let sources =
            Sources::default().flag("storage.secret_key", "hush").flag("database.url", "postgres://user:hush@host/db");
        let shown = show(&sources).unwrap();
        assert!(shown.contains("secret_key = \"********\"") && !shown.contains("hush"), "{shown}");
        assert!(shown.contains("port = 8080") && shown.contains("# root_key is not set"), "{shown}");
    }
}
