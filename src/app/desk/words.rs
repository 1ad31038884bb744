//! What recorded acts are called on pages.

/// "Person added" for `people.add`. An act without a name of its own is shown as it is recorded.
pub fn of_action(action: &str) -> String {
    let words = match action {
        "accounts.sign_in" => "Sign-in",
        "accounts.sign_out" => "Signed out",
        "accounts.change_password" => "Password changed",
        "accounts.rename" => "Name changed",
        "accounts.end_session" => "Session ended",
        "accounts.end_sessions" => "Other sessions ended",
        "tokens.create" => "API token made",
        "tokens.revoke" => "API token revoked",
        "organisation.found" => "Organisation founded",
        "keys.rotate" => "Root key changed",
        "keys.begin_epoch" => "New epoch of keys begun",
        "keys.end_epochs" => "Old epoch keys destroyed",
        "storage.switch" => "Switched to another store",
        "storage.empty" => "Old store emptied",
        "people.add" => "Person added",
        "people.deactivate" => "Person deactivated",
        "people.reactivate" => "Person reactivated",
        "people.end_sessions" => "Sessions of a person ended",
        "people.one_time_password" => "One-time password made",
        "caps.set" => "Cap changed",
        "caps.delete" => "Cap deleted",
        "caps.refill" => "Cap refilled",
        "ledger.export" => "Statement exported",
        "ledger.overage" => "Overage posted",
        "assets.trash" => "Picture put in the trash",
        "assets.restore" => "Picture restored",
        "assets.delete" => "Picture deleted",
        "assets.purge" => "Trash emptied",
        "generations.resolve" => "Generation resolved",
        "providers.add" => "Provider added",
        "providers.change" => "Provider changed",
        "providers.remove" => "Provider removed",
        "providers.switch_on" => "Provider switched on",
        "providers.switch_off" => "Provider switched off",
        "providers.test" => "Provider tested",
        "models.add" => "Model added",
        "models.change" => "Model changed",
        "models.remove" => "Model removed",
        "models.price" => "Price of a model set",
        "models.switch_on" => "Model switched on",
        "models.switch_off" => "Model switched off",
        "audit.export" => "Audit log exported",
        "audit.erase_notes" => "Reasons and networks erased",
        "egress.allow" => "Destination allowed",
        "egress.export" => "Egress ledger exported",
        "egress.switch_on" => "Destination switched on",
        "egress.switch_off" => "Destination switched off",
        other => return plain(other),
    };
    words.to_owned()
}

/// "What it was done to": the kind of thing.
pub fn of_object(kind: &str) -> &str {
    match kind {
        "person" => "Person",
        "session" => "Session",
        "token" => "API token",
        "organisation" => "Organisation",
        "workspace" => "Workspace",
        "generation" => "Generation",
        "asset" => "Picture",
        "provider" => "Provider",
        "model" => "Model",
        "price_card" => "Price",
        "cap" => "Cap",
        "destination" => "Destination",
        other => other,
    }
}

/// "Limit micros" for `limit_micros`.
pub fn plain(name: &str) -> String {
    let text = name.replace(['.', '_'], " ");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    /// Names of acts in the sources: what `Act::done` gets, and what is switched on or off.
    fn acts(folder: &Path, found: &mut BTreeSet<String>) {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                acts(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let named = text.split("Act::done(\"").skip(1).filter_map(|rest| rest.split('"').next());
                let switched =
                    text.split('"').filter(|word| word.ends_with(".switch_on") || word.ends_with(".switch_off"));
                found.extend(
                    named.chain(switched).filter(|name| !name.starts_with('.') && !name.is_empty()).map(str::to_owned),
                );
            }
        }
    }

    #[test]
    fn every_act_has_words() {
        let mut found = BTreeSet::new();
        acts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert!(found.len() > 30, "{found:?}");
        let bare: Vec<_> = found.iter().filter(|name| super::of_action(name) == super::plain(name)).collect();
        assert!(bare.is_empty(), "{bare:?}");
    }

    #[test]
    fn acts_without_a_name_are_still_readable() {
        assert_eq!(super::of_action("future.act"), "Future act");
        assert_eq!(super::of_action("people.add"), "Person added");
        assert_eq!(super::plain(""), "");
    }
}
