//! A table belongs to whoever lists it in a `DATA_MAP`; nobody else imports it, and in a room only the store does.

use std::collections::BTreeMap;

use crate::{
    paths,
    source::{Source, Token},
};

const SCHEMA: &str = "src/platform/db/schema.rs";

/// Each table with its owner: a room, or a part of the platform.
type Owners = BTreeMap<String, String>;

fn owner(source: &Source) -> String {
    let module = source.module();
    let length = if module.first().is_some_and(|top| top == "platform") { 2 } else { 1 };
    module.into_iter().take(length).collect::<Vec<_>>().join("::")
}

/// `Table { name: "people", ...` anywhere in the sources.
fn owners(sources: &[Source]) -> Owners {
    let mut owners = Owners::new();
    for source in sources {
        for window in source.tokens.windows(5) {
            if let [Token::Name(table), Token::Mark('{'), Token::Name(field), Token::Mark(':'), Token::Text(name)] =
                window
                && table == "Table"
                && field == "name"
            {
                owners.insert(name.clone(), owner(source));
            }
        }
    }
    owners
}

/// The tables of the generated schema: `diesel::table! { people (id) { ...`.
fn tables(schema: &Source) -> Vec<String> {
    let found = schema.tokens.windows(4).filter_map(|window| match window {
        [Token::Name(table), Token::Mark('!'), Token::Mark('{'), Token::Name(name)] if table == "table" => {
            Some(name.clone())
        }
        _ => None,
    });
    found.collect()
}

fn findings(source: &Source, owners: &Owners) -> Vec<String> {
    let here = owner(source);
    let mut findings = Vec::new();
    for mention in paths::mentions(source) {
        let Some(table) = mentioned(&mention.path).filter(|table| *table != "*") else { continue };
        match owners.get(table) {
            None => findings.push(format!("{}: nobody lists the table `{table}` in a DATA_MAP", mention.at)),
            Some(owner) if *owner != here => findings.push(format!(
                "{}: the table `{table}` belongs to {owner}; ask its ops instead of reading it here",
                mention.at
            )),
            Some(_) if !here.contains("::") && !is_store(source) => findings.push(format!(
                "{}: the table `{table}` is named outside the store; move the query to {here}/store.rs",
                mention.at
            )),
            Some(_) => {}
        }
    }
    findings.extend(in_sql(source, owners, &here));
    findings
}

fn mentioned(path: &[String]) -> Option<&str> {
    match path {
        [platform, db, schema, table, ..] if platform == "platform" && db == "db" && schema == "schema" => Some(table),
        _ => None,
    }
}

fn is_store(source: &Source) -> bool {
    source.module().get(1).is_some_and(|part| part == "store")
}

/// Queries that are written as text.
fn in_sql(source: &Source, owners: &Owners, here: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        let Token::Text(text) = token else { continue };
        let words: Vec<String> = text
            .to_lowercase()
            .split(|char: char| !char.is_alphanumeric() && char != '_')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        if !words
            .first()
            .is_some_and(|first| ["select", "insert", "update", "delete", "with", "lock"].contains(&first.as_str()))
        {
            continue;
        }
        for pair in words.windows(2) {
            let reads = ["from", "join", "into", "update", "table"].contains(&pair[0].as_str());
            if let Some(owner) = owners.get(&pair[1]).filter(|owner| reads && *owner != here) {
                findings.push(format!(
                    "{}: a query names `{}`, which belongs to {owner}; ask its ops",
                    source.at(at),
                    pair[1]
                ));
            }
        }
    }
    findings
}

#[test]
fn tables_are_used_by_their_owner_alone() {
    let sources = crate::sources();
    let owners = owners(&sources);
    crate::none(sources.iter().flat_map(|source| findings(source, &owners)).collect());
}

#[test]
fn every_table_has_an_owner() {
    let sources = crate::sources();
    let owners = owners(&sources);
    let schema = sources.iter().find(|source| source.path == SCHEMA).expect("the generated schema");
    let tables = tables(schema);
    assert!(tables.len() > 10, "only {} tables were found", tables.len());
    let lost = tables.iter().filter(|table| !owners.contains_key(*table));
    crate::none(lost.map(|table| format!("nobody lists the table `{table}` in a DATA_MAP; its room does")).collect());
}

#[test]
fn bad_samples_are_found() {
    let map = "pub const DATA_MAP: &[Table] = &[Table { name: \"people\", columns: &[] }];";
    let owners = owners(&[Source::new("src/accounts/store/mod.rs", map)]);
    let found = |path: &str, text: &str| findings(&Source::new(path, text), &owners);
    let import = "use crate::platform::db::{Conn, schema::people::dsl as t};";
    crate::finds(&found("src/library/store.rs", import), "belongs to accounts");
    crate::finds(&found("src/accounts/ops/people.rs", import), "outside the store");
    crate::finds(
        &found("src/library/store.rs", "#[diesel(table_name = crate::platform::db::schema::people)]"),
        "belongs to accounts",
    );
    crate::finds(&found("src/library/store.rs", "sql_query(\"select 1 from people\")"), "a query names `people`");
    crate::finds(&found("src/library/store.rs", "use crate::platform::db::schema::attic;"), "nobody lists");
    assert!(found("src/accounts/store/people.rs", import).is_empty());
}
