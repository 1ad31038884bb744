//! The HTTP server: middleware in order, limits, and the listener.

use std::{net::TcpListener, time::Duration};

use actix_web::{App, HttpServer, dev::Server, middleware::from_fn, web};

use super::{frame, routes, session};
use crate::{
    platform::Platform,
    web::{door, guard},
};

/// How long running requests may go on after a stop was asked for.
const SHUTDOWN_SECONDS: u64 = 10;

/// Everything between the network and the handlers; the last `wrap` runs first.
pub fn serve(platform: Platform, listener: TcpListener) -> std::io::Result<Server> {
    let workers = platform.config.server.workers.max(1);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::ThinData(platform.clone()))
            .configure(guard::install(platform.clone()))
            .configure(routes::configure)
            .wrap(from_fn(frame::prepare))
            .wrap(from_fn(session::identify))
            .wrap(from_fn(door::door))
    })
    .workers(workers)
    // A client that dawdles over its head of request holds a connection and nothing else, and not for long.
    .client_request_timeout(Duration::from_secs(10))
    .keep_alive(Duration::from_secs(75))
    .shutdown_timeout(SHUTDOWN_SECONDS)
    // Signals belong to the command line, which stops everything in order.
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(server)
}
