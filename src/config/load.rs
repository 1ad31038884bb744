//! Reads the sources, refuses keys that nobody knows, and lets the `config` crate put the rest over each other.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use ::config::{ConfigBuilder, File, FileFormat, Value, ValueKind, builder::DefaultState};
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
}

/// The checked configuration, or everything that is wrong with it.
pub fn load(sources: &Sources) -> Result<Config, Faults> {
    let config = deserialize(merge(sources)?)?;
    check(&config)?;
    Ok(config)
}

/// The store that is asked for, read before the rest because the rest follows from it.
pub fn bundled(sources: &Sources) -> Result<Option<Bundled>, Faults> {
    match merge(sources)?.get::<Bundled>("storage.bundled") {
        Err(::config::ConfigError::NotFound(_)) => Ok(None),
        found => found.map(Some).map_err(crate_fault),
    }
}

/// All sources over each other, before anything is made of them.
pub(super) fn merge(sources: &Sources) -> Result<::config::Config, Faults> {
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
    for (key, value) in typed(&sources.presets) {
        builder = builder.set_default(key, value).map_err(crate_fault)?;
    }
    if let Some(path) = &sources.file {
        let text = toml::to_string(&read_file(path)?).map_err(|error| Faults::one(error.to_string()))?;
        builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
    }
    for (key, value) in environment(&sources.environment)?.into_iter().chain(typed(&sources.flags)) {
        builder = builder.set_override(key, value).map_err(crate_fault)?;
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

fn crate_fault(error: ::config::ConfigError) -> Faults {
    Faults::one(match error {
        ::config::ConfigError::At { error, key: Some(key), .. } => format!("{key}: {error}."),
        ::config::ConfigError::Type { key: Some(key), expected, unexpected, .. } => {
            format!("{key} must be {expected}, and is {unexpected}.")
        }
        other => format!("{other}."),
    })
}

fn typed(settings: &[(&'static str, String)]) -> Vec<(String, Value)> {
    let kind = |name: &str| known(name).map_or(Kind::Text, |key| key.kind);
    settings.iter().map(|(name, text)| ((*name).to_owned(), value(kind(name), text))).collect()
}

fn known(name: &str) -> Option<&'static Key> {
    let (section, key) = name.rsplit_once('.')?;
    find(section)?.key(key)
}

/// Text from outside the file; the `config` crate turns it into numbers and flags where those are wanted.
fn value(kind: Kind, text: &str) -> Value {
    let list = || text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let kind = match kind {
        Kind::List => ValueKind::Array(list().map(Value::from).collect()),
        Kind::Tables => ValueKind::Array(Vec::new()),
        Kind::Text | Kind::Number | Kind::Flag | Kind::Secret => ValueKind::String(text.to_owned()),
    };
    Value::new(None, kind)
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
            Ok((name, value(key.kind, text)))
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
