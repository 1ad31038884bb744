//! What a route says about itself in the OpenAPI document, and the document made of all of them.

use actix_web::http::StatusCode;
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        self, ComponentsBuilder, ContentBuilder, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr,
        Required, ResponseBuilder,
        path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        schema::{ObjectBuilder, Schema, Type},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use super::{
    look::{self, Envelope, Look},
    problem::ProblemDocument,
    route::Route,
};
use crate::base::{
    ids::{Id, Kind},
    paging::List,
};

type NamedSchema = (String, RefOr<Schema>);

/// A media type and what it holds.
type Content = (&'static str, RefOr<Schema>);

pub struct Operation {
    summary: &'static str,
    tag: &'static str,
    parameters: Vec<Parameter>,
    body: Option<(Vec<&'static str>, RefOr<Schema>, bool)>,
    answers: Vec<(StatusCode, &'static str, Vec<Content>)>,
    problems: Vec<StatusCode>,
    schemas: Vec<NamedSchema>,
    public: bool,
}

/// Starts the description of one route.
pub fn operation(tag: &'static str, summary: &'static str) -> Operation {
    Operation {
        summary,
        tag,
        parameters: Vec::new(),
        body: None,
        answers: Vec::new(),
        problems: Vec::new(),
        schemas: Vec::new(),
        public: false,
    }
}

impl Operation {
    /// An id in the path.
    pub fn id<K: Kind + PartialSchema>(mut self, name: &str) -> Self {
        self.parameters.push(path_parameter(name, Id::<K>::schema()));
        self
    }

    /// Free text in the path.
    pub fn text(mut self, name: &str) -> Self {
        self.parameters.push(path_parameter(name, text()));
        self
    }

    pub fn query<Q: IntoParams>(mut self) -> Self {
        self.parameters.extend(Q::into_params(|| Some(ParameterIn::Query)));
        self
    }

    /// A header that the caller may send.
    pub fn header(mut self, name: &str, describe: &str) -> Self {
        self.parameters.push(
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Header)
                .required(Required::False)
                .description(Some(describe))
                .schema(Some(text()))
                .build(),
        );
        self
    }

    /// Can be done once with an `Idempotency-Key`.
    pub fn once(self) -> Self {
        self.header("Idempotency-Key", "1 to 255 visible characters; the same key and body get the first answer again.")
            .problem(StatusCode::CONFLICT)
    }

    pub fn body<T: ToSchema>(mut self) -> Self {
        self.body = Some((vec!["application/json"], self.schema::<T>(), true));
        self.problem(StatusCode::BAD_REQUEST)
            .problem(StatusCode::PAYLOAD_TOO_LARGE)
            .problem(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    }

    /// A body of one of these media types that is not JSON.
    pub fn raw_body(mut self, media_types: &[&'static str], schema: RefOr<Schema>) -> Self {
        self.body = Some((media_types.to_vec(), schema, true));
        self.problem(StatusCode::BAD_REQUEST)
            .problem(StatusCode::PAYLOAD_TOO_LARGE)
            .problem(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    }

    pub fn answers<T: ToSchema>(mut self, status: StatusCode, describe: &'static str) -> Self {
        let schema = self.schema::<T>();
        self.answers.push((status, describe, vec![("application/json", schema)]));
        self
    }

    /// A page of a list.
    pub fn lists<T: ToSchema>(mut self, describe: &'static str) -> Self {
        self.schema::<T>();
        self.answers::<List<T>>(StatusCode::OK, describe)
    }

    /// An answer without a body.
    pub fn answers_nothing(mut self, status: StatusCode, describe: &'static str) -> Self {
        self.answers.push((status, describe, Vec::new()));
        self
    }

    /// An answer of bytes: a picture, an event stream.
    pub fn answers_bytes(mut self, status: StatusCode, media_type: &'static str, describe: &'static str) -> Self {
        self.answers.push((status, describe, vec![(media_type, text())]));
        self
    }

    /// The last answer as server-sent events, for whoever asks for them.
    pub fn or_events(mut self) -> Self {
        if let Some((_, _, contents)) = self.answers.last_mut() {
            contents.push(("text/event-stream", text()));
        }
        self
    }

    pub fn problem(mut self, status: StatusCode) -> Self {
        if !self.problems.contains(&status) {
            self.problems.push(status);
        }
        self
    }

    /// Needs no token.
    pub fn public(mut self) -> Self {
        self.public = true;
        self
    }

    fn schema<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let name = T::name().into_owned();
        T::schemas(&mut self.schemas);
        // `List<T>` has the same name for every T.
        if std::any::type_name::<T>().contains('<') {
            return T::schema();
        }
        self.schemas.push((name.clone(), T::schema()));
        Ref::from_schema_name(name).into()
    }
}

fn text() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).into()
}

fn path_parameter(name: &str, schema: RefOr<Schema>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(schema))
        .build()
}

/// The OpenAPI 3.1 document of all documented routes.
pub fn document(routes: &[Route]) -> OpenApi {
    let mut components = ComponentsBuilder::new()
        .response(problem_name(Look::Document), problem_response("application/problem+json", ProblemDocument::name()))
        .response(problem_name(Look::Envelope), problem_response("application/json", Envelope::name()))
        .security_scheme("token", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()))
        .security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("__Host-rk_session"))));
    let mut paths = Paths::new();
    for route in routes {
        let Some(operation) = &route.operation else { continue };
        let method = method_of(&route.method);
        // actix writes `{id:.*}` where OpenAPI writes `{id}`.
        paths.add_path_operation(plain_path(route.path), vec![method], built(route, operation));
    }
    for (name, schema) in schemas(routes) {
        components = components.schema(name, schema);
    }
    OpenApiBuilder::new()
        .info(InfoBuilder::new().title("Renderkeep").version(env!("CARGO_PKG_VERSION")))
        .paths(paths)
        .components(Some(components.build()))
        .build()
}

/// Every named schema, once for each place that needs it.
pub fn schemas(routes: &[Route]) -> Vec<NamedSchema> {
    let mut all = Vec::new();
    ProblemDocument::schemas(&mut all);
    all.push((ProblemDocument::name().into_owned(), ProblemDocument::schema()));
    Envelope::schemas(&mut all);
    all.push((Envelope::name().into_owned(), Envelope::schema()));
    all.extend(routes.iter().filter_map(|route| route.operation.as_ref()).flat_map(|one| one.schemas.iter().cloned()));
    all
}

fn plain_path(pattern: &str) -> String {
    let mut plain = String::new();
    let mut in_rule = false;
    for letter in pattern.chars() {
        match letter {
            ':' if !in_rule => in_rule = true,
            '}' => {
                in_rule = false;
                plain.push('}');
            }
            _ if in_rule => {}
            other => plain.push(other),
        }
    }
    plain
}

fn method_of(method: &actix_web::http::Method) -> HttpMethod {
    match method.as_str() {
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        "HEAD" => HttpMethod::Head,
        _ => HttpMethod::Get,
    }
}

fn built(route: &Route, operation: &Operation) -> openapi::path::Operation {
    let mut builder = OperationBuilder::new()
        .operation_id(Some(route.name))
        .summary(Some(operation.summary))
        .tag(operation.tag)
        .parameters(Some(operation.parameters.clone()));
    if let Some((media_types, schema, required)) = &operation.body {
        let required = if *required { Required::True } else { Required::False };
        let mut body = RequestBodyBuilder::new().required(Some(required));
        for media_type in media_types {
            body = body.content(*media_type, ContentBuilder::new().schema(Some(schema.clone())).build());
        }
        builder = builder.request_body(Some(body.build()));
    }
    for (status, describe, contents) in &operation.answers {
        let mut response = ResponseBuilder::new().description(*describe);
        for (media_type, schema) in contents {
            response = response.content(*media_type, ContentBuilder::new().schema(Some(schema.clone())).build());
        }
        builder = builder.response(status.as_str(), response.build());
    }
    for status in problems_of(operation) {
        builder = builder.response(status.as_str(), Ref::from_response_name(problem_name(look::of(route.path))));
    }
    let requirements = if operation.public {
        vec![SecurityRequirement::default()]
    } else {
        vec![
            SecurityRequirement::new("token", Vec::<String>::new()),
            SecurityRequirement::new("session", Vec::<String>::new()),
        ]
    };
    builder.securities(Some(requirements)).build()
}

/// What any documented route may answer besides its own.
fn problems_of(operation: &Operation) -> Vec<StatusCode> {
    let mut all = operation.problems.clone();
    let usual = [
        StatusCode::BAD_REQUEST,
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::UNPROCESSABLE_ENTITY,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    for status in usual {
        if !all.contains(&status) {
            all.push(status);
        }
    }
    all
}

fn problem_name(look: Look) -> &'static str {
    match look {
        Look::Envelope => "OpenaiError",
        Look::Document | Look::Page => "Problem",
    }
}

fn problem_response(media_type: &str, schema: impl Into<String>) -> openapi::Response {
    let schema: RefOr<Schema> = Ref::from_schema_name(schema).into();
    ResponseBuilder::new()
        .description("What happened and what to do.")
        .content(media_type, ContentBuilder::new().schema(Some(schema)).build())
        .build()
}
