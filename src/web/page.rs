//! Pages: the frame around them, and what an error looks like to a person.

use actix_web::{
    FromRequest, HttpMessage, HttpRequest, HttpResponse,
    dev::Payload,
    http::{
        StatusCode,
        header::{self, CONTENT_TYPE, HeaderMap},
    },
};
use askama::Template;

use super::{
    cookies,
    errors::ErrorPage,
    frame::{Flash, Frame, Place},
    problem::Problem,
};
use crate::base::{ctx::RequestId, error::Kind};

/// The frame for this request's page: who looks, what runs, what is left. `app::frame` prepares it.
pub struct PageFrame(Frame);

impl PageFrame {
    /// The frame with this page's title and place.
    pub fn titled(self, title: impl Into<String>, place: Place) -> Frame {
        Frame { title: title.into(), place, ..self.0 }
    }
}

impl FromRequest for PageFrame {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Ok(Self(frame_of(request))))
    }
}

fn frame_of(request: &HttpRequest) -> Frame {
    request.extensions().get::<Frame>().cloned().unwrap_or_default()
}

/// A rendered page or fragment.
pub fn html(status: StatusCode, template: &impl Template) -> Result<HttpResponse, Problem> {
    let body = template.render().map_err(|error| {
        let mut problem = Problem::new(Kind::Internal, "server.internal", "This page could not be made.");
        problem.cause = Some(error.to_string());
        problem
    })?;
    Ok(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(body))
}

pub fn ok(template: &impl Template) -> Result<HttpResponse, Problem> {
    html(StatusCode::OK, template)
}

/// After a form was done: go and look. Works with and without htmx.
pub fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, location)).finish()
}

/// Like `see_other`, and the page there says once what was done.
pub fn told(location: &str, flash: &Flash) -> HttpResponse {
    let mut response = see_other(location);
    cookies::give_flash(&mut response, flash);
    response
}

pub fn is_page(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// An error as a page: to the sign-in where that helps, otherwise what happened and what to do.
pub fn problem(problem: &Problem, id: &RequestId, request: &HttpRequest) -> HttpResponse {
    match problem.code {
        "auth.required" => {
            let next = url::form_urlencoded::byte_serialize(request.path().as_bytes()).collect::<String>();
            see_other(&format!("/sign-in?next={next}"))
        }
        "auth.new_password_required" => see_other("/password"),
        _ => error_page(problem, id, request),
    }
}

fn error_page(problem: &Problem, id: &RequestId, request: &HttpRequest) -> HttpResponse {
    let frame = Frame { title: problem.title().to_owned(), ..frame_of(request) };
    let id = id.as_str();
    let view = match (problem.kind, problem.code) {
        (Kind::NotFound, _) if request.path().starts_with("/library/") => ErrorPage::no_picture(frame, id),
        (Kind::NotFound, _) => ErrorPage::not_found(frame, id),
        (_, "auth.cross_site") => ErrorPage::stale_form(frame, id),
        (Kind::Forbidden, _) => ErrorPage::forbidden(frame, id),
        (Kind::Unavailable, _) => ErrorPage::unavailable(frame, id),
        (Kind::Internal, _) => ErrorPage::internal(frame, id),
        _ => ErrorPage::other(frame, problem.status().as_u16(), problem.title(), &problem.detail, id),
    };
    html(problem.status(), &view).unwrap_or_else(|_| HttpResponse::build(problem.status()).body(problem.detail.clone()))
}
