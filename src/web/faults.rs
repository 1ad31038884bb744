//! What is wrong with a field of a request, in words of people: serde says it with names of our types.

use crate::base::error::FieldFault;

/// serde's words, turned into a field and a stable code.
pub(super) fn field_fault(path: &str, message: &str) -> FieldFault {
    let quoted = message.split('`').nth(1).unwrap_or_default();
    let within = |name: &str| if path == "." { name.to_owned() } else { format!("{path}.{name}") };
    if message.starts_with("missing field") {
        FieldFault::new(within(quoted), "required", format!("{quoted} is required."))
    } else if message.starts_with("unknown field") {
        let name = if path.rsplit('.').next() == Some(quoted) { path.to_owned() } else { within(quoted) };
        FieldFault::new(name, "unknown", format!("There is no field {quoted} here."))
    } else {
        let name = if path == "." { "The body" } else { path };
        let message = match message.rsplit_once("expected ") {
            Some((_, expected)) => format!("{name} must be {}.", for_people(expected)),
            None => format!("{name}: {message}."),
        };
        FieldFault::new(path, "wrong_type", message)
    }
}

/// What serde expects, which names types of ours: the end of `invalid type: string "x", expected u32`.
fn for_people(expected: &str) -> String {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is neither negative nor too large",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number that is not too large",
        "f32" | "f64" => "a number",
        "a string" | "a borrowed string" => "text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        shape if shape.starts_with("struct ") => "an object",
        other => return other.replace('`', ""),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use crate::{base::error::Invalid, web::extract::typed};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Asked {
        count: Option<u32>,
        strength: Option<f32>,
        prompt: Option<String>,
        sizes: Option<Vec<String>>,
        reference: Option<Inner>,
        format: Option<Format>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Inner {
        asset: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Format {
        Png,
        Jpeg,
    }

    #[test]
    fn what_is_wrong_with_a_field_is_said_without_words_of_ours() {
        for (given, name, message) in [
            (json!({ "count": -1 }), "count", "count must be a whole number that is neither negative nor too large."),
            (json!({ "count": "2" }), "count", "count must be a whole number that is neither negative nor too large."),
            (json!({ "strength": true }), "strength", "strength must be a number."),
            (json!({ "prompt": 5 }), "prompt", "prompt must be text."),
            (json!({ "sizes": {} }), "sizes", "sizes must be a list."),
            (json!({ "reference": "ast_1" }), "reference", "reference must be an object."),
            (json!({ "reference": {} }), "reference.asset", "asset is required."),
            (json!({ "format": "gif" }), "format", "format must be png or jpeg."),
            (json!({ "colour": "red" }), "colour", "There is no field colour here."),
            (json!(5), ".", "The body must be an object."),
        ] {
            let Invalid(faults) = typed::<Asked>(given).unwrap_err();
            assert_eq!(
                faults.iter().map(|fault| (&*fault.name, &*fault.message)).collect::<Vec<_>>(),
                [(name, message)]
            );
        }
    }
}
