//! Turns the rooms' lists of routes into the server's routing table.

use std::collections::BTreeMap;

use actix_web::{
    HttpResponse,
    http::header::{ALLOW, HeaderValue},
    web,
};

use crate::{
    base::error::{Kind, NotFound},
    web::{problem::Problem, route::Route},
};

/// Every route, and what addresses answer that have none.
pub fn configure(config: &mut web::ServiceConfig) {
    for (path, routes) in by_path(super::rooms::routes()) {
        let allow = allowed(&routes);
        let resource = routes.iter().fold(web::resource(path), |resource, route| resource.route(route.service()));
        config.service(resource.default_service(web::to(move || refuse_method(allow.clone()))));
    }
    config.default_service(web::to(|| async { Err::<HttpResponse, Problem>(NotFound.into()) }));
}

/// Routes of one address together; addresses with a rest pattern last, so that they take only what nobody else does.
fn by_path(routes: Vec<Route>) -> Vec<(&'static str, Vec<Route>)> {
    let mut paths: BTreeMap<(bool, &'static str), Vec<Route>> = BTreeMap::new();
    for route in routes {
        paths.entry((route.path.contains(":."), route.path)).or_default().push(route);
    }
    paths.into_iter().map(|((_, path), routes)| (path, routes)).collect()
}

fn allowed(routes: &[Route]) -> String {
    routes.iter().map(|route| route.method.as_str()).collect::<Vec<_>>().join(", ")
}

async fn refuse_method(allow: String) -> Result<HttpResponse, Problem> {
    let mut problem = Problem::new(
        Kind::MethodNotAllowed,
        "request.method_not_allowed",
        format!("This address does not take that method. It takes {allow}."),
    );
    problem.header = HeaderValue::from_str(&allow).ok().map(|value| (ALLOW, value));
    Err(problem)
}
