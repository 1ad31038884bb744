//! Reading requests: strict, bounded, and with errors that name the field.

use std::{collections::BTreeMap, future::Future, pin::Pin, str::FromStr};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest, HttpResponse,
    dev::Payload,
    http::{StatusCode, header},
    web::{self, Bytes},
};
use futures::StreamExt;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{faults::field_fault, headers, problem::Problem};
use crate::{
    base::{
        ctx::Ctx,
        error::{Invalid, Kind, NotFound},
        ids::{Id, Kind as IdKind},
        paging::{List, MOST, Page, PageRequest, USUAL},
    },
    platform::{
        crypto::{Keys, Purpose, digest},
        idempotency::{Answer, Once},
    },
};

/// Largest JSON or form body.
pub const BODY_LIMIT: usize = 1024 * 1024;

type Local<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

/// A JSON body: the right media type, at most a megabyte, no key twice, no unknown field.
pub struct Body<T> {
    pub value: T,
    /// Equal for bodies that mean the same.
    pub hash: [u8; 32],
}

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Local<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let json =
            request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(|kind| {
                kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
            });
        let declared = declared_length(request);
        let payload = payload.take();
        Box::pin(async move {
            if !json {
                return Err(unsupported("This takes a body of type application/json."));
            }
            let bytes = read(payload, declared).await?;
            parse(&bytes)
        })
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<Body<T>, Problem> {
    let strict: Strict = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
    let hash = digest(&canonical(&strict.0));
    let value = typed(strict.0)?;
    Ok(Body { value, hash })
}

/// Reads `value` as `T`; an error names the field.
pub fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Invalid> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        Invalid(vec![field_fault(&path, &error.into_inner().to_string())])
    })
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(Kind::Malformed, "request.malformed", format!("The body is not valid JSON: {error}."))
}

pub fn unsupported(detail: &str) -> Problem {
    Problem::new(Kind::UnsupportedMedia, "request.unsupported_media", detail)
}

pub fn too_large(detail: &str) -> Problem {
    Problem::new(Kind::TooLarge, "request.too_large", detail)
}

fn declared_length(request: &HttpRequest) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn read(mut payload: Payload, declared: Option<usize>) -> Result<Bytes, Problem> {
    let over = || too_large("The body is larger than 1 MiB.");
    if declared.is_some_and(|length| length > BODY_LIMIT) {
        return Err(over());
    }
    let mut body = web::BytesMut::new();
    while let Some(part) = payload.next().await {
        let part = part.map_err(|_| Problem::new(Kind::Malformed, "request.malformed", "The body broke off."))?;
        if body.len() + part.len() > BODY_LIMIT {
            return Err(over());
        }
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}

/// JSON in which no object has a key twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> serde::de::Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("any JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }
    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = serde_json::Map::new();
        while let Some((key, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if map.contains_key(&key) {
                return Err(serde::de::Error::custom(format!("the key {key:?} stands twice")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// The same bytes for values that are the same, whatever the order of keys.
pub fn canonical(value: &Value) -> Vec<u8> {
    fn write(value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Object(map) => {
                out.push(b'{');
                for (key, value) in map.iter().collect::<BTreeMap<_, _>>() {
                    out.extend(Value::from(key.as_str()).to_string().bytes());
                    out.push(b':');
                    write(value, out);
                    out.push(b',');
                }
                out.push(b'}');
            }
            Value::Array(items) => {
                out.push(b'[');
                for item in items {
                    write(item, out);
                    out.push(b',');
                }
                out.push(b']');
            }
            plain => out.extend(plain.to_string().bytes()),
        }
    }
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

/// Query parameters: each known, each once, each of its type. `T` has only optional fields.
pub struct Query<T> {
    pub value: T,
    pairs: Vec<(String, String)>,
}

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(query(request.query_string()))
    }
}

fn query<T: DeserializeOwned>(text: &str) -> Result<Query<T>, Problem> {
    let mut pairs: Vec<(String, String)> = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
    pairs.sort();
    if let Some(twice) = pairs.windows(2).find_map(|pair| match pair {
        [(one, _), (other, _)] if one == other => Some(one.clone()),
        _ => None,
    }) {
        return Err(Invalid::field(twice.clone(), "repeated", format!("{twice} may stand only once.")).into());
    }
    let broken = percent_broken(text);
    if broken || pairs.iter().any(|(_, value)| value.contains('\u{fffd}')) {
        return Err(Invalid::field("query", "malformed", "The query is not valid UTF-8.").into());
    }
    let value = serde_path_to_error::deserialize(serde::de::value::MapDeserializer::<_, serde::de::value::Error>::new(
        pairs.iter().map(|(name, value)| (name.as_str(), Word(value))),
    ))
    .map_err(|error| {
        let path = error.path().to_string();
        Invalid(vec![field_fault(&path, &error.into_inner().to_string())])
    })?;
    Ok(Query { value, pairs })
}

/// A `%` that is not followed by two hexadecimal digits.
fn percent_broken(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .any(|rest| !rest.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)))
}

/// One value of a query, read as whatever its field needs.
struct Word<'a>(&'a str);

macro_rules! parsed {
    ($($method:ident, $visit:ident, $type:ty, $what:literal;)*) => {$(
        fn $method<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            let value: $type = self.0.parse().map_err(|_| serde::de::Error::custom(concat!("expected ", $what)))?;
            visitor.$visit(value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Word<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_str(self.0)
    }
    fn deserialize_option<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }
    fn deserialize_newtype_struct<V: serde::de::Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_enum<V: serde::de::Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        use serde::de::IntoDeserializer;
        self.0.into_deserializer().deserialize_enum(name, variants, visitor)
    }
    parsed! {
        deserialize_bool, visit_bool, bool, "true or false";
        deserialize_u8, visit_u8, u8, "a whole number";
        deserialize_u16, visit_u16, u16, "a whole number";
        deserialize_u32, visit_u32, u32, "a whole number";
        deserialize_u64, visit_u64, u64, "a whole number";
        deserialize_i32, visit_i32, i32, "a whole number";
        deserialize_i64, visit_i64, i64, "a whole number";
    }
    serde::forward_to_deserialize_any! {
        i8 i16 i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

impl<'de> serde::de::IntoDeserializer<'de, serde::de::value::Error> for Word<'de> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

/// A typed id from the path; another kind or shape is simply not there.
pub fn path_id<K: IdKind>(text: &str) -> Result<Id<K>, NotFound> {
    Id::from_str(text).map_err(|_| NotFound)
}

impl<T> Query<T> {
    /// Which page of this very query is asked for. `limit` and `cursor` are fields of `T`.
    pub fn page(
        &self,
        keys: &Keys,
        path: &str,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<PageRequest, Invalid> {
        let limit = limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(Invalid::field("limit", "out_of_range", format!("limit is 1 to {MOST}.")));
        }
        let before = cursor.map(|cursor| self.open(keys, path, cursor)).transpose()?;
        Ok(PageRequest { limit, before })
    }

    /// A page's answer, its cursor bound to this query.
    pub fn list<I>(&self, keys: &Keys, path: &str, page: Page<I>) -> List<I> {
        let next_cursor = page.next.map(|id| {
            let mac = keys.mac(Purpose::Cursor, &self.cursor_subject(path, id)).unwrap_or_default();
            let mark = mac.get(..16).unwrap_or_default();
            data_encoding::BASE64URL_NOPAD.encode(&[id.as_bytes().as_slice(), mark].concat())
        });
        List { items: page.items, next_cursor }
    }

    fn open(&self, keys: &Keys, path: &str, cursor: &str) -> Result<uuid::Uuid, Invalid> {
        let foreign = || Invalid::field("cursor", "foreign", "This cursor does not belong to this list.");
        let bytes = data_encoding::BASE64URL_NOPAD.decode(cursor.as_bytes()).map_err(|_| foreign())?;
        let (id, mark) = bytes.split_at_checked(16).ok_or_else(foreign)?;
        let id = uuid::Uuid::from_slice(id).map_err(|_| foreign())?;
        let mac = keys.mac(Purpose::Cursor, &self.cursor_subject(path, id)).map_err(|_| foreign())?;
        if mac.get(..16) == Some(mark) { Ok(id) } else { Err(foreign()) }
    }

    /// The filters, without the window on them: a cursor may be used with another limit.
    fn cursor_subject(&self, path: &str, id: uuid::Uuid) -> Vec<u8> {
        let filters: Vec<_> = self.pairs.iter().filter(|(name, _)| name != "cursor" && name != "limit").collect();
        format!("{path}\n{filters:?}\n{id}").into_bytes()
    }
}

/// How the caller wants this done once; the header is optional.
pub fn once(request: &HttpRequest, body_hash: [u8; 32]) -> Result<Once, Invalid> {
    let Some(value) = request.headers().get("idempotency-key") else { return Ok(Once::unkeyed()) };
    let key = value.to_str().unwrap_or_default();
    if !(1..=255).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Invalid::field("Idempotency-Key", "malformed", "Idempotency-Key is 1 to 255 visible characters."));
    }
    // Ids in the path belong to what is asked for.
    let route = format!("{} {}", request.method(), request.path());
    // Keyed: a plain hash of what somebody wrote would let others try out what it was.
    let keys = super::guard::keys_of(request);
    let body = keys.and_then(|keys| keys.mac(Purpose::RequestBody, &body_hash).ok()).unwrap_or(body_hash);
    Ok(Once::keyed(route, key, body))
}

/// What to search for, in a query. Nothing to look for is no search.
pub fn search<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(from)?.filter(|text| !text.trim().is_empty());
    match text {
        Some(text) if text.len() > 255 => Err(serde::de::Error::custom("at most 255 bytes")),
        text => Ok(text),
    }
}

/// An answer that may have been given before.
pub fn answer(answer: &Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::build(status);
    if let Some(location) = &answer.location {
        response.insert_header((header::LOCATION, location.as_str()));
    }
    if answer.replayed {
        response.insert_header(("Idempotent-Replayed", "true"));
    }
    response.json(&answer.body)
}

/// A first answer, ready to be kept.
pub fn first_answer<T: Serialize>(status: StatusCode, location: Option<String>, body: &T) -> Answer {
    Answer {
        status: status.as_u16(),
        location,
        body: serde_json::to_value(body).unwrap_or(Value::Null),
        replayed: false,
    }
}

/// A form of a page, with its token checked.
pub struct Form<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Form<T> {
    type Error = Problem;
    type Future = Local<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let declared = declared_length(request);
        let ctx = request.extensions().get::<Ctx>().cloned();
        let keys = super::guard::keys_of(request);
        let headed = request.headers().contains_key("x-csrf-token");
        let payload = payload.take();
        Box::pin(async move {
            let bytes = read(payload, declared).await?;
            let mut pairs: Vec<(String, String)> = url::form_urlencoded::parse(&bytes).into_owned().collect();
            let token = pairs.iter().position(|(name, _)| name == "csrf").map(|at| pairs.remove(at).1);
            if let (Some(ctx), Some(keys), false) = (&ctx, &keys, headed) {
                headers::check_form_token(keys, ctx, token.as_deref())?;
            }
            let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            form(&text).map(Form)
        })
    }
}

/// Forms may repeat a field (checkboxes); what is empty counts as not given.
fn form<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let mut fields: serde_json::Map<String, Value> = serde_json::Map::new();
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()).into_owned() {
        match fields.get_mut(&name) {
            Some(Value::Array(many)) => many.push(value.into()),
            Some(one) => *one = Value::Array(vec![one.take(), value.into()]),
            None => {
                fields.insert(name, value.into());
            }
        }
    }
    typed(Value::Object(fields)).map_err(Problem::from)
}
