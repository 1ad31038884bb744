//! Reads the sources, refuses keys that nobody knows, and lets the `config` crate put the rest over each other.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use ::config::{ConfigBuilder, ConfigError, File, FileFormat, Value, ValueKind, builder::DefaultState};
use serde::de::DeserializeOwned;
use toml::{Table, Value as Toml};

use super::{
    Bundled, Config, Faults, check,
    sections::{Key, Kind, Preset, Section, find, plain_sections},
};

const PREFIX: &str = "RENDERKEEP__";

/// Everything that settings can come from, the weakest first.
#[derive(Debug, Default)]
pub struct Sources {
    /// Defaults of a command that differ from the general ones.
    pub presets: Vec<(&'static str, String)>,
    pub file: Option<PathBuf>,
    /// All variables of the process; those of others are ignored.
    pub environment: Vec<(String, String)>,
    /// From the command line, and what `renderkeep up` decides: full key and value.
    pub flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// The file, if any, and the variables of this process.
    pub fn of_process(file: Option<PathBuf>) -> Self {
        let text = |name: std::ffi::OsString| name.into_string().ok();
        let environment = std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect();
        Self { file, environment, ..Self::default() }
    }

    pub fn preset(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.presets.push((key, value.into()));
        self
    }

    pub fn flag(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.flags.push((key, value.into()));
        self
    }

    /// Whether nobody set anything: there is no file, and no variable of ours.
    pub fn is_empty(&self) -> bool {
        self.file.is_none() && !self.environment.iter().any(|(name, _)| name.starts_with(PREFIX))
    }
}

/// The checked configuration, or everything that is wrong with it.
pub fn load(sources: &Sources) -> Result<Config, Faults> {
    let mut layers = layers(sources)?;
    let config = deserialize(over_each_other(&layers)?)?;
    check(&config)?;
    // Each once on top: a value that another one overrides must be of its kind too, or it comes to light when that one
    // goes. Whether values fit each other counts only as they are used.
    let mut hidden = Vec::new();
    for _ in 1..layers.len() {
        layers.rotate_left(1);
        if let Err(Faults(found)) = over_each_other(&layers).and_then(deserialize) {
            hidden.extend(found);
        }
    }
    hidden.sort();
    hidden.dedup();
    Faults::none_or(hidden, config)
}

/// The store that is asked for, read before the rest because the rest follows from it.
pub fn bundled(sources: &Sources) -> Result<Option<Bundled>, Faults> {
    asked(sources, "storage.bundled")
}

/// The port that is asked for; the same.
pub fn port(sources: &Sources) -> Result<Option<u16>, Faults> {
    asked(sources, "server.port")
}

/// None when it is left to the default.
fn asked<T: DeserializeOwned>(sources: &Sources, key: &str) -> Result<Option<T>, Faults> {
    for layer in layers(sources)?.iter().rev() {
        match layer.get::<T>(key) {
            Err(ConfigError::NotFound(_)) => {}
            found => return found.map(Some).map_err(crate_fault),
        }
    }
    Ok(None)
}

/// All sources over each other, before anything is made of them.
pub(super) fn merge(sources: &Sources) -> Result<::config::Config, Faults> {
    over_each_other(&layers(sources)?)
}

/// What each source says, the weakest first.
fn layers(sources: &Sources) -> Result<Vec<::config::Config>, Faults> {
    let mut file = ::config::Config::builder();
    if let Some(path) = &sources.file {
        let text = toml::to_string(&read_file(path)?).map_err(|error| Faults::one(error.to_string()))?;
        file = file.add_source(File::from_str(&text, FileFormat::Toml));
    }
    Ok(vec![
        layer(typed(&sources.presets))?,
        file.build().map_err(crate_fault)?,
        layer(environment(&sources.environment)?)?,
        layer(typed(&sources.flags))?,
    ])
}

fn layer(settings: Vec<(String, Value)>) -> Result<::config::Config, Faults> {
    let mut builder = ::config::Config::builder();
    for (key, value) in settings {
        builder = builder.set_override(key, value).map_err(crate_fault)?;
    }
    builder.build().map_err(crate_fault)
}

fn over_each_other(layers: &[::config::Config]) -> Result<::config::Config, Faults> {
    let mut builder = ::config::Config::builder();
    for section in plain_sections() {
        if section.keys.iter().all(|key| matches!(key.preset, Preset::Optional(_))) {
            let nothing = Value::new(None, ValueKind::Table(Default::default()));
            builder = builder.set_default(section.name, nothing).map_err(crate_fault)?;
        }
        for key in section.keys {
            builder = with_default(builder, section, key)?;
        }
    }
    for layer in layers {
        builder = builder.add_source(layer.clone());
    }
    builder.build().map_err(crate_fault)
}

fn with_default(
    builder: ConfigBuilder<DefaultState>,
    section: &Section,
    key: &Key,
) -> Result<ConfigBuilder<DefaultState>, Faults> {
    match key.preset {
        Preset::Default(text) => {
            builder.set_default(format!("{}.{}", section.name, key.name), value(key.kind, text)).map_err(crate_fault)
        }
        Preset::Required(_) | Preset::Optional(_) => Ok(builder),
    }
}

fn deserialize(merged: ::config::Config) -> Result<Config, Faults> {
    let missing: Vec<String> = plain_sections()
        .flat_map(|section| section.keys.iter().map(move |key| (section, key)))
        .filter(|(_, key)| matches!(key.preset, Preset::Required(_)))
        .map(|(section, key)| (format!("{}.{}", section.name, key.name), key))
        .filter(|(name, _)| merged.get::<Value>(name).is_err())
        .map(|(name, key)| not_set(&name, key))
        .collect();
    Faults::none_or(missing, ())?;
    merged.try_deserialize().map_err(crate_fault)
}

fn not_set(name: &str, key: &Key) -> String {
    let variable = variable(name);
    let file = if key.kind == Kind::Secret { format!(", or name a file in {variable}_FILE") } else { String::new() };
    format!("{name} is not set. Set it in the configuration file or as {variable}{file}.")
}

/// `server.port` is `RENDERKEEP__SERVER__PORT`.
fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('.', "__").to_uppercase())
}

fn crate_fault(error: ConfigError) -> Faults {
    Faults::one(match error {
        ConfigError::At { error, key: Some(key), .. } => format!("{key}: {error}."),
        ConfigError::Type { key: Some(key), expected, unexpected, .. } => {
            format!("{key} must be {}, and is {}.", wanted(expected), found(&unexpected.to_string()))
        }
        other => format!("{other}."),
    })
}

/// The crate speaks of its own types.
fn wanted(expected: &str) -> &str {
    match expected {
        "an integer" => "a whole number",
        "an unsigned 64 bit or less integer" => "a whole number that is not negative",
        "an unsigned 16 bit integer" => "a whole number from 0 to 65535",
        "an unsigned 32 bit integer" => "a whole number from 0 to 4294967295",
        "a boolean" => "true or false",
        "a string" => "text",
        "an array" => "a list",
        "a map" => "a table",
        other => other,
    }
}

/// It names the type before the value: "64-bit integer `-5`".
fn found(unexpected: &str) -> &str {
    match unexpected {
        "sequence" => "a list",
        "map" => "a table",
        other => other.strip_prefix("string ").or_else(|| other.split('`').nth(1)).unwrap_or(other),
    }
}

fn typed(settings: &[(&'static str, String)]) -> Vec<(String, Value)> {
    let kind = |name: &str| known(name).map_or(Kind::Text, |key| key.kind);
    settings.iter().map(|(name, text)| ((*name).to_owned(), value(kind(name), text))).collect()
}

fn known(name: &str) -> Option<&'static Key> {
    let (section, key) = name.rsplit_once('.')?;
    find(section)?.key(key)
}

/// Text from outside the file; it stays text where it is not what is wanted.
fn value(kind: Kind, text: &str) -> Value {
    let list = || text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let as_text = || ValueKind::String(text.to_owned());
    let kind = match kind {
        Kind::List => ValueKind::Array(list().map(Value::from).collect()),
        Kind::Tables => ValueKind::Array(Vec::new()),
        Kind::Number => text.trim().parse().map_or_else(|_| as_text(), ValueKind::I64),
        Kind::Flag => match text.trim().to_lowercase().as_str() {
            "true" | "on" | "yes" | "1" => ValueKind::Boolean(true),
            "false" | "off" | "no" | "0" => ValueKind::Boolean(false),
            _ => as_text(),
        },
        Kind::Text | Kind::Secret => as_text(),
    };
    Value::new(None, kind)
}

/// In words of people.
fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Number => "a whole number",
        Kind::Flag => "true or false",
        Kind::Text | Kind::Secret => "text",
        Kind::List | Kind::Tables => "a list",
    }
}

// The environment

fn environment(variables: &[(String, String)]) -> Result<Vec<(String, Value)>, Faults> {
    let mut values = BTreeMap::new();
    let mut faults = Vec::new();
    for (variable, text) in variables.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        match from_environment(variable, text) {
            Ok((name, value)) => {
                if values.insert(name.clone(), value).is_some() {
                    faults.push(format!("{name} is set twice in the environment, once directly and once as a file."));
                }
            }
            Err(fault) => faults.push(fault),
        }
    }
    Faults::none_or(faults, values.into_iter().collect())
}

fn from_environment(variable: &str, text: &str) -> Result<(String, Value), String> {
    let name = variable.strip_prefix(PREFIX).unwrap_or(variable).to_lowercase().replace("__", ".");
    let secret_in_file = name.strip_suffix("_file").filter(|name| known(name).is_some_and(is_secret));
    if let Some(name) = secret_in_file {
        return Ok((name.to_owned(), value(Kind::Secret, &read_secret(variable, Path::new(text))?)));
    }
    match known(&name) {
        Some(key) if key.kind == Kind::Tables => {
            Err(format!("{variable} cannot be set in the environment. Set {name} in the configuration file."))
        }
        Some(key) if plain_sections().any(|section| name.split('.').next() == Some(section.name)) => {
            let value = value(key.kind, text);
            if matches!(key.kind, Kind::Number | Kind::Flag) && matches!(value.kind, ValueKind::String(_)) {
                return Err(format!("{name} must be {}, and {variable} is {text:?}.", name_of(key.kind)));
            }
            Ok((name, value))
        }
        _ => {
            let names = plain_sections().flat_map(|section| names_in(section).map(move |key| (section.name, key)));
            let names = names.map(|(section, key)| self::variable(&format!("{section}.{key}")));
            Err(unknown(variable, names))
        }
    }
}

fn is_secret(key: &Key) -> bool {
    key.kind == Kind::Secret
}

fn read_secret(name: &str, path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|error| format!("{name} names {}, which cannot be read: {error}.", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

// The file

fn read_file(path: &Path) -> Result<Table, Faults> {
    let text = fs::read_to_string(path)
        .map_err(|error| Faults::one(format!("The configuration file {} cannot be read: {error}.", path.display())))?;
    let table: Table = text.parse().map_err(|error| not_toml(path, &text, &error))?;
    let mut faults = Vec::new();
    let mut read = Table::new();
    for (name, value) in table {
        match (find(&name), value) {
            (Some(section), Toml::Table(table)) => {
                read.insert(name, Toml::Table(section_of_file(section, table, &mut faults)));
            }
            (Some(_), _) => faults.push(format!("{name} must be a table: write [{name}] and its keys below.")),
            (None, _) => faults.push(unknown(&name, plain_sections().map(|section| section.name.to_owned()))),
        }
    }
    Faults::none_or(faults, read)
}

/// Where and why, without the line itself: it may hold a secret.
fn not_toml(path: &Path, text: &str, error: &toml::de::Error) -> Faults {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    Faults::one(format!("The configuration file {} is not TOML in line {line}: {}.", path.display(), error.message()))
}

/// The section with secrets read from their files and with every entry of its lists completed.
fn section_of_file(section: &'static Section, table: Table, faults: &mut Vec<String>) -> Table {
    let mut read = Table::new();
    for (name, value) in table {
        let full = format!("{}.{name}", section.name);
        let secret = name.strip_suffix("_file").filter(|name| section.key(name).is_some_and(is_secret));
        let entry = match (section.key(&name), secret, value) {
            (None, Some(secret), Toml::String(path)) => {
                read_secret(&full, Path::new(&path)).map(|text| (secret.to_owned(), Toml::String(text)))
            }
            (None, Some(_), _) => Err(format!("{full} must be the name of a file.")),
            (Some(key), _, Toml::Array(entries)) if key.kind == Kind::Tables => {
                tables_of_file(&full, entries, faults).map(|tables| (name, Toml::Array(tables)))
            }
            (Some(key), _, _) if key.kind == Kind::Tables => {
                Err(format!("{full} is a list of tables: write [[{full}]]."))
            }
            (Some(key), _, value) if !fits(key.kind, &value) => {
                Err(format!("{full} must be {}, and is {value}.", name_of(key.kind)))
            }
            (Some(_), _, value) => Ok((name, value)),
            (None, None, _) => Err(unknown(&full, names_in(section).map(|key| format!("{}.{key}", section.name)))),
        };
        match entry {
            Ok((name, value)) => {
                if read.insert(name.clone(), value).is_some() {
                    faults.push(format!("{}.{name} is set twice, once directly and once as a file.", section.name));
                }
            }
            Err(fault) => faults.push(fault),
        }
    }
    read
}

/// The crate would make a number of a flag, and a flag of a word.
fn fits(kind: Kind, value: &Toml) -> bool {
    match kind {
        Kind::Number => value.is_integer(),
        Kind::Flag => value.is_bool(),
        Kind::List => value.is_array(),
        // The crate says what is wrong with these, and no secret.
        Kind::Text | Kind::Secret | Kind::Tables => true,
    }
}

fn tables_of_file(full: &str, entries: Vec<Toml>, faults: &mut Vec<String>) -> Result<Vec<Toml>, String> {
    let section = find(full).ok_or_else(|| format!("{full} is not known."))?;
    let mut read = Vec::new();
    for entry in entries {
        let Toml::Table(table) = entry else { return Err(format!("{full} is a list of tables: write [[{full}]].")) };
        let mut table = section_of_file(section, table, faults);
        for key in section.keys {
            complete(&mut table, section, key, faults);
        }
        read.push(Toml::Table(table));
    }
    Ok(read)
}

fn complete(table: &mut Table, section: &Section, key: &Key, faults: &mut Vec<String>) {
    if table.contains_key(key.name) {
        return;
    }
    match key.preset {
        Preset::Default(text) => {
            table.insert(key.name.to_owned(), default_of(key.kind, text));
        }
        Preset::Required(_) => faults.push(format!("{}.{} is not set in one of the tables.", section.name, key.name)),
        Preset::Optional(_) => {}
    }
}

fn default_of(kind: Kind, text: &str) -> Toml {
    let list = || text.split(',').filter(|part| !part.is_empty()).map(|part| Toml::String(part.to_owned())).collect();
    match kind {
        Kind::List | Kind::Tables => Toml::Array(list()),
        Kind::Text | Kind::Number | Kind::Flag | Kind::Secret => Toml::String(text.to_owned()),
    }
}

/// Every name that a section knows, secrets as files too.
fn names_in(section: &'static Section) -> impl Iterator<Item = String> {
    section.keys.iter().flat_map(|key| {
        let file = is_secret(key).then(|| format!("{}_file", key.name));
        [Some(key.name.to_owned()), file].into_iter().flatten()
    })
}

fn unknown(name: &str, known: impl Iterator<Item = String>) -> String {
    let nearest = known.min_by_key(|known| strsim::damerau_levenshtein(name, known));
    let nearest = nearest.map_or(String::new(), |nearest| format!(" Did you mean {nearest}?"));
    format!("{name} is not a setting.{nearest}")
}
