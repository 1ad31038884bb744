//! The plain-HTTP listener that sends browsers to the address with TLS, and answers nothing itself.

use std::net::TcpListener;

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::Server,
    http::{
        header::{HOST, LOCATION},
        uri::Authority,
    },
    web,
};

/// Where the server itself is.
#[derive(Clone, Debug)]
pub struct Target {
    /// The host that people type, when it is set; else the one that they typed.
    pub host: Option<String>,
    pub port: u16,
}

pub fn serve(listener: TcpListener, target: Target) -> std::io::Result<Server> {
    let server =
        HttpServer::new(move || App::new().app_data(web::ThinData(target.clone())).default_service(web::to(redirect)));
    Ok(server.workers(1).disable_signals().shutdown_timeout(1).listen(listener)?.run())
}

async fn redirect(request: HttpRequest, target: web::ThinData<Target>) -> HttpResponse {
    match address(&request, &target) {
        Some(address) => HttpResponse::PermanentRedirect().insert_header((LOCATION, address)).finish(),
        None => HttpResponse::BadRequest().content_type("text/plain").body("Say which host this is for."),
    }
}

/// The same path and query with TLS.
fn address(request: &HttpRequest, target: &Target) -> Option<String> {
    let typed = || {
        let authority: Authority = request.headers().get(HOST)?.to_str().ok()?.parse().ok()?;
        Some(authority.host().to_owned())
    };
    let host = target.host.clone().or_else(typed)?;
    let port = if target.port == 443 { String::new() } else { format!(":{}", target.port) };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    Some(format!("https://{host}{port}{path}"))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn path_and_query_stay() {
        let request = TestRequest::with_uri("/library?x=%2F&y=1").insert_header((HOST, "render.example.org:8081"));
        let request = request.to_http_request();
        let to = |host: Option<&str>, port| address(&request, &Target { host: host.map(str::to_owned), port }).unwrap();
        assert_eq!(to(None, 8443), "https://render.example.org:8443/library?x=%2F&y=1");
        assert_eq!(to(Some("public.example.org"), 443), "https://public.example.org/library?x=%2F&y=1");
        let bare = TestRequest::with_uri("/").to_http_request();
        assert_eq!(address(&bare, &Target { host: None, port: 443 }), None);
    }
}
