//! What came back, and what it means: for the person, for the money, and for another try.
//!
//! Money: the hold goes back only when the provider surely did not bill. A refusal (4xx) is not billed; a 500 or 503 is the
//! provider's own word that it did not do the work, and a person reads that it may have billed it all the same. An answer
//! that was lost, on its way or behind a gateway (502, 504), and one that says yes and holds no usable picture may have
//! been billed in full: the hold stays until an owner has looked (`Ending::Unknown`). A machine of the house bills nothing.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use data_encoding::BASE64;
use serde_json::Value;

use super::super::{Ending, Failure, Work, whole};
use crate::{
    base::money::Micros,
    platform::egress::{EgressError, Reply},
};

/// Whose answer it is.
#[derive(Clone, Copy)]
pub struct Whose<'a> {
    pub title: &'a str,
    /// The organisation's own machine, which bills nothing.
    pub local: bool,
}

/// A picture in the answer, or where it is.
#[derive(Debug, PartialEq, Eq)]
pub enum Picture {
    Here(Bytes),
    At(String),
}

type Sent = Result<Reply, EgressError>;

/// The pictures of an answer.
pub fn read(sent: Sent, work: &Work, whose: Whose<'_>, now: DateTime<Utc>) -> Result<Vec<Picture>, Failure> {
    let reply = sent.map_err(|error| lost(&error, work.held, whose))?;
    if !(200..300).contains(&reply.status) {
        return Err(refusal(&reply, whose, now));
    }
    let body: Value = serde_json::from_slice(&reply.body).map_err(|_| unreadable(whose, "it is not JSON"))?;
    let data = body.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if data.is_empty() && body.get("error").is_some_and(|error| !error.is_null()) {
        return Err(refusal(&Reply { status: 400, ..reply }, whose, now));
    }
    let pictures: Vec<Picture> = data.iter().map(|item| picture(item, whose)).collect::<Result<_, _>>()?;
    if pictures.is_empty() { Err(unreadable(whose, "there is no picture in it")) } else { Ok(pictures) }
}

fn picture(item: &Value, whose: Whose<'_>) -> Result<Picture, Failure> {
    let text = |name: &str| item.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let inline = text("b64_json").or_else(|| text("url").filter(|url| url.starts_with("data:")));
    match (inline, text("url")) {
        (Some(encoded), _) => {
            let encoded = encoded.split_once(";base64,").map_or(encoded, |(_, rest)| rest);
            let bytes = BASE64.decode(encoded.as_bytes()).map_err(|_| unreadable(whose, "a picture is not base64"))?;
            Ok(Picture::Here(bytes.into()))
        }
        (None, Some(url)) => Ok(Picture::At(url.to_owned())),
        (None, None) => Err(unreadable(whose, "a picture is missing in it")),
    }
}

/// A picture that was fetched from where the answer said.
pub fn fetched(sent: Sent, work: &Work, whose: Whose<'_>) -> Result<Bytes, Failure> {
    match sent {
        Ok(reply) if reply.status == 200 => Ok(reply.body),
        Ok(reply) => Err(unreadable(whose, &format!("the picture's address answers {}", reply.status))),
        Err(EgressError::Elsewhere) => {
            Err(unreadable(whose, "the picture is on another server, and nothing is fetched from there"))
        }
        Err(error @ EgressError::Cancelled) => Err(lost(&error, work.held, whose)),
        Err(_) => Err(unreadable(whose, "the picture could not be fetched")),
    }
}

pub fn checked(bytes: Bytes, whose: Whose<'_>) -> Result<Bytes, Failure> {
    if whole::is_whole(&bytes) { Ok(bytes) } else { Err(unreadable(whose, "a picture in it is damaged or none")) }
}

pub fn unreadable(whose: Whose<'_>, why: &str) -> Failure {
    let Whose { title, local } = whose;
    if local {
        let message = format!("{title} sent an answer that cannot be used: {why}. Nothing was charged.");
        return Failure::failed("provider.unreadable", message, true);
    }
    Failure::unknown("provider.unreadable", unknown(title, &format!("sent an answer that cannot be used: {why}")))
}

/// The sentence about money after work that may have been done.
fn unbilled(whose: Whose<'_>) -> &'static str {
    if whose.local { "Nothing was charged." } else { "Nothing was charged here; the provider may have billed it." }
}

/// The call brought no answer.
fn lost(error: &EgressError, held: Micros, whose: Whose<'_>) -> Failure {
    let Whose { title, local } = whose;
    match error {
        EgressError::SwitchedOff
        | EgressError::Unknown
        | EgressError::Purpose
        | EgressError::Elsewhere
        | EgressError::Data(_)
        | EgressError::Address(_) => Failure::failed(
            "provider.not_allowed",
            format!("{title} was not asked. {error} Nothing was charged; an owner can change it."),
            false,
        ),
        EgressError::Unresolvable | EgressError::Unreachable | EgressError::Unconnected => Failure::failed(
            "provider.unreachable",
            format!("{title} could not be reached. {error} Nothing was charged; try again later."),
            true,
        ),
        EgressError::TimedOut => Failure::unknown("provider.timed_out", unknown(title, "did not answer in time")),
        EgressError::BrokenOff { status: Some(status @ 400..) } => by_status(*status, whose),
        EgressError::BrokenOff { .. } => {
            Failure::unknown("provider.lost", unknown(title, "broke off before it had answered"))
        }
        EgressError::TooLarge { .. } => unreadable(whose, "it is too large"),
        EgressError::Cancelled if local => Failure::cancelled(),
        EgressError::Cancelled => Failure {
            ending: Ending::Cancelled,
            billed: held,
            message: format!("You cancelled it after it was sent. {title} makes and bills it all the same."),
            ..Failure::cancelled()
        },
        EgressError::Withdrawn if local => {
            Failure::failed("provider.not_allowed", format!("{title} was stopped. {error} Nothing was charged."), false)
        }
        EgressError::Withdrawn => Failure::unknown(
            "provider.lost",
            unknown(title, "was switched off or removed by an owner before it had answered"),
        ),
        EgressError::Unprepared(_) | EgressError::Db(_) => Failure::failed(
            "service.unavailable",
            "A part of this server did not answer, so this was not sent. Nothing was charged; try again.",
            true,
        ),
    }
}

fn unknown(title: &str, what: &str) -> String {
    format!(
        "{title} {what}. It may still have made and billed the pictures, so the money stays set aside until an \
         owner has looked."
    )
}

/// An answer that says no.
fn refusal(reply: &Reply, whose: Whose<'_>, now: DateTime<Utc>) -> Failure {
    let body = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    let Said { message, code, kind } = said(&body);
    let moderated = ["moderation_blocked", "content_policy_violation", "content_filter"];
    let title = whose.title;
    let words = message.as_deref().map(cleaned).unwrap_or_default();
    match (reply.status, code.as_str()) {
        (429, "insufficient_quota") => Failure::failed(
            "provider.out_of_credit",
            format!("{title} says that the organisation's credit there is used up. Nothing was charged."),
            false,
        ),
        (429, _) => Failure {
            retry_after: reply.retry_after.as_deref().and_then(|text| seconds(text, now)),
            ..by_status(429, whose)
        },
        (400 | 403 | 422, code) if moderated.contains(&code) || kind == "image_generation_user_error" => {
            Failure::failed(
                "provider.moderated",
                format!(
                    "{title} does not make this picture: its safety rules refuse it. Nothing was charged; change the prompt.{words}"
                ),
                false,
            )
        }
        // A refused key may be part of the words.
        (401 | 403, _) => by_status(reply.status, whose),
        (status, _) => {
            let failure = by_status(status, whose);
            Failure { message: failure.message.clone() + &words, ..failure }
        }
    }
}

fn by_status(status: u16, whose: Whose<'_>) -> Failure {
    let title = whose.title;
    match status {
        401 | 403 => Failure::failed(
            "provider.unauthorised",
            format!(
                "{title} refused this server's key ({status}). Nothing was charged; an owner has to give a valid one."
            ),
            false,
        ),
        404 => Failure::failed(
            "provider.refused",
            format!("{title} knows no such model or address (404). Nothing was charged; an owner can correct it."),
            false,
        ),
        408 | 409 => Failure::failed(
            "provider.failed",
            format!("{title} could not do it now ({status}). Nothing was charged; try again."),
            true,
        ),
        429 => Failure::failed(
            "provider.rate_limited",
            format!("{title} has too much to do at the moment (429). Nothing was charged; try again in a while."),
            true,
        ),
        300..=399 => Failure::failed(
            "provider.refused",
            format!(
                "{title} points to another address ({status}), which is not followed. Nothing was charged; an owner can correct it."
            ),
            false,
        ),
        502 | 504 if !whose.local => {
            let what = format!("did not get the answer of a server behind it ({status})");
            Failure::unknown("provider.lost", unknown(title, &what))
        }
        500.. => Failure::failed(
            "provider.failed",
            format!("{title} failed ({status}). {} Try again.", unbilled(whose)),
            true,
        ),
        _ => {
            Failure::failed("provider.refused", format!("{title} refused this ({status}). Nothing was charged."), false)
        }
    }
}

#[derive(Default)]
struct Said {
    message: Option<String>,
    code: String,
    kind: String,
}

/// OpenAI's `{error: {message, type, code}}`, sd-server's `{error: "text"}`, SGLang's and vLLM's `{detail}`.
fn said(body: &Value) -> Said {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    match body.get("error") {
        Some(Value::String(message)) => Said { message: Some(message.clone()), ..Said::default() },
        Some(error @ Value::Object(_)) => Said {
            message: text(error.get("message")),
            code: text(error.get("code")).unwrap_or_default(),
            kind: text(error.get("type")).unwrap_or_default(),
        },
        _ => {
            let detail = body.get("detail");
            let first = detail.and_then(|detail| detail.get(0)).and_then(|item| item.get("msg"));
            Said { message: text(detail).or_else(|| text(first)), ..Said::default() }
        }
    }
}

/// A provider's words for a person: short, on one line, without anything that looks like a key or an address.
fn cleaned(words: &str) -> String {
    let readable = |word: &str| {
        let long = word.len() > 24;
        let key = word.starts_with("sk-") || word.contains("://");
        if long || key { "…".to_owned() } else { word.chars().filter(|letter| !letter.is_control()).collect() }
    };
    let line = words.split_whitespace().map(readable).collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(200).collect();
    if short.is_empty() { short } else { format!(" It says: “{}”", short.trim_end_matches('.')) }
}

/// `Retry-After`: seconds or a date. Longer than an hour is not worth waiting for here.
fn seconds(text: &str, now: DateTime<Utc>) -> Option<u32> {
    let date = || DateTime::parse_from_rfc2822(text).ok().map(|date| (date.to_utc() - now).num_seconds());
    let seconds = text.trim().parse::<i64>().ok().or_else(date)?;
    u32::try_from(seconds.clamp(1, 3600)).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::super::tests::work, *};

    const CLOUD: Whose<'_> = Whose { title: "OpenAI", local: false };

    fn reply(status: u16, body: &Value) -> Reply {
        Reply {
            status,
            content_type: None,
            retry_after: Some("12".to_owned()),
            request_id: None,
            body: body.to_string().into(),
            took: std::time::Duration::ZERO,
        }
    }

    fn read_from(status: u16, body: &Value) -> Result<Vec<Picture>, Failure> {
        read(Ok(reply(status, body)), &work(), CLOUD, DateTime::default())
    }

    #[test]
    fn every_answer_has_its_meaning() {
        let openai = |code: &str| json!({ "error": { "message": "No.", "type": "x", "param": null, "code": code } });
        let moderated = json!({ "error": { "message": "No.", "type": "image_generation_user_error", "code": null } });
        let table = [
            (401, openai("invalid_api_key"), "provider.unauthorised", false),
            (403, openai("unsupported_region"), "provider.unauthorised", false),
            (404, openai("model_not_found"), "provider.refused", false),
            (400, openai("moderation_blocked"), "provider.moderated", false),
            (400, moderated, "provider.moderated", false),
            (400, openai("invalid_value"), "provider.refused", false),
            (400, json!({ "error": "out of memory" }), "provider.refused", false),
            (422, json!({ "detail": [{ "msg": "n is too large" }] }), "provider.refused", false),
            (400, json!({ "detail": "no store" }), "provider.refused", false),
            (408, json!(null), "provider.failed", true),
            (409, json!(null), "provider.failed", true),
            (429, openai("rate_limit_exceeded"), "provider.rate_limited", true),
            (429, openai("insufficient_quota"), "provider.out_of_credit", false),
            (500, openai("server_error"), "provider.failed", true),
            (503, json!("<html>"), "provider.failed", true),
            (302, json!(null), "provider.refused", false),
            (200, json!({ "error": { "message": "No.", "code": "moderation_blocked" } }), "provider.moderated", false),
        ];
        for (status, body, code, retryable) in table {
            let failure = read_from(status, &body).unwrap_err();
            assert_eq!((failure.code, failure.retryable), (code, retryable), "{status} {body}");
            assert_eq!((failure.ending, failure.billed), (Ending::Failed, Micros::ZERO), "{status} {body}");
            assert_eq!(failure.retry_after, (code == "provider.rate_limited").then_some(12), "{status} {body}");
            assert!(failure.message.contains("charged"), "{}", failure.message);
        }
    }

    #[test]
    fn what_may_have_been_billed_keeps_its_hold_unless_the_machine_is_of_the_house() {
        let table = [
            (200, json!({ "data": [] }), "provider.unreadable"),
            (200, json!({ "data": [{}] }), "provider.unreadable"),
            (200, json!({ "data": [{ "b64_json": "%%%" }] }), "provider.unreadable"),
            (200, json!("<html>"), "provider.unreadable"),
            (502, json!("<html>"), "provider.lost"),
            (504, json!(null), "provider.lost"),
        ];
        for (status, body, code) in table {
            let failure = read_from(status, &body).unwrap_err();
            assert_eq!((failure.code, failure.ending), (code, Ending::Unknown), "{status} {body}");
            assert!(failure.message.contains("stays set aside"), "{}", failure.message);
            let ours = Whose { title: "House", local: true };
            let failure = read(Ok(reply(status, &body)), &work(), ours, DateTime::default()).unwrap_err();
            assert_eq!((failure.ending, failure.retryable), (Ending::Failed, true), "{status} {body}");
            assert!(failure.message.contains("Nothing was charged."), "{}", failure.message);
        }
    }

    #[test]
    fn pictures_come_in_the_answer_or_as_addresses() {
        let body = json!({ "data": [{ "b64_json": "aGk=" }, { "url": "http://x/1.png" },
            { "url": "data:image/png;base64,aGk=" }] });
        let here = || Picture::Here("hi".into());
        assert_eq!(read_from(200, &body).unwrap(), [here(), Picture::At("http://x/1.png".into()), here()]);
    }

    #[test]
    fn a_lost_answer_keeps_the_hold_and_a_lost_connection_does_not() {
        let end = |error, local| lost(&error, Micros(5), Whose { title: "x", local });
        assert_eq!(end(EgressError::TimedOut, false).ending, Ending::Unknown);
        assert_eq!(end(EgressError::BrokenOff { status: None }, true).ending, Ending::Unknown);
        assert_eq!(end(EgressError::BrokenOff { status: Some(200) }, true).ending, Ending::Unknown);
        assert_eq!(end(EgressError::BrokenOff { status: Some(500) }, true).ending, Ending::Failed);
        assert_eq!(end(EgressError::Unreachable, false).ending, Ending::Failed);
        assert_eq!(end(EgressError::Cancelled, false).billed, Micros(5));
        assert_eq!(end(EgressError::Cancelled, true).billed, Micros::ZERO);
        assert_eq!(end(EgressError::Withdrawn, false).ending, Ending::Unknown);
        assert_eq!(end(EgressError::Withdrawn, true).ending, Ending::Failed);
    }

    #[test]
    fn a_providers_words_are_short_and_keep_no_secret() {
        let words = format!("Bad\nkey: sk-abc123 at https://x.example/y {} now. {}", "k".repeat(40), "so ".repeat(200));
        let said = cleaned(&words);
        assert!(said.starts_with(" It says: “Bad key: … at … … now. so so"), "{said}");
        assert!(said.chars().count() < 230);
        let body = json!({ "error": { "message": "Incorrect API key provided: abcdef", "code": "invalid_api_key" } });
        assert!(!read_from(401, &body).unwrap_err().message.contains("abcdef"));
    }
}
