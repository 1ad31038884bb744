//! The HTTP server: middleware in order, limits, and the listener.

use std::{net::TcpListener, sync::Arc, time::Duration};

use actix_web::{App, HttpServer, dev::Server, middleware::from_fn, web};

use super::{frame, routes, session, tls::Certificates};
use crate::{
    platform::Platform,
    web::{door, guard},
};

/// How long running requests may go on after a stop was asked for.
const SHUTDOWN_SECONDS: u64 = 10;

/// Everything between the network and the handlers; the last `wrap` runs first.
pub fn serve(
    platform: Platform,
    listener: TcpListener,
    certificates: Option<Arc<Certificates>>,
) -> std::io::Result<Server> {
    let workers = platform.config.server.workers.max(1);
    let server = HttpServer::new(move || {
        let platform = Platform { db: platform.db.apart(), ..platform.clone() };
        App::new()
            .app_data(web::ThinData(platform.clone()))
            .configure(guard::install(platform.clone()))
            .configure(routes::configure)
            .wrap(from_fn(frame::prepare))
            .wrap(from_fn(session::identify))
            .wrap(from_fn(door::door))
    })
    .workers(workers)
    // Otherwise the end of an answer waits until its middle was acknowledged, which clients put off for up to 40 ms.
    .tcp_nodelay(true)
    // A client that dawdles over its head of request holds a connection and nothing else, and not for long.
    .client_request_timeout(Duration::from_secs(10))
    .keep_alive(Duration::from_secs(75))
    .shutdown_timeout(SHUTDOWN_SECONDS)
    // Signals belong to the command line, which stops everything in order.
    .disable_signals();
    let server = match certificates {
        // HTTP/2 and HTTP/1.1 are offered by ALPN.
        Some(certificates) => {
            let tls = certificates.server_config().map_err(std::io::Error::other)?;
            server.tls_handshake_timeout(Duration::from_secs(10)).listen_rustls_0_23(listener, tls)?
        }
        None => server.listen(listener)?,
    };
    Ok(server.run())
}
