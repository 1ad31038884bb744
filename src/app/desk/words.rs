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
        "people.add" => "Person added",
        "people.deactivate" => "Person deactivated",
        "people.reactivate" => "Person reactivated",
        "people.end_sessions" => "Sessions of a person ended",
        "people.one_time_password" => "One-time password made",
        "caps.set" => "Cap changed",
        "caps.delete" => "Cap deleted",
        "ledger.overage" => "Overage posted",
        "assets.trash" => "Picture put in the trash",
        "assets.restore" => "Picture restored",
        "assets.delete" => "Picture deleted",
        "assets.purge" => "Trash emptied",
        "generations.resolve" => "Generation resolved",
        "egress.allow" => "Destination allowed",
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
    #[test]
    fn acts_without_a_name_are_still_readable() {
        assert_eq!(super::of_action("providers.update"), "Providers update");
        assert_eq!(super::of_action("people.add"), "Person added");
        assert_eq!(super::plain(""), "");
    }
}
