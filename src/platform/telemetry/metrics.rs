//! Numbers for Prometheus, on a listener of their own, so that whoever may read them need not reach the server itself.

use std::{io, net::SocketAddr, time::Duration};

use actix_web::{App, HttpResponse, HttpServer, dev::Server, web};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// Bounds of the time that requests take, in seconds.
const SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// What was measured since the last reading is folded together this often, so that nobody reading does not fill memory.
const FOLD: Duration = Duration::from_secs(10);
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    #[error("telemetry.metrics: {0} cannot be listened on")]
    Address(SocketAddr, #[source] io::Error),
    #[error("measuring could not be started")]
    Recorder(#[from] BuildError),
}

/// A listener that answers `GET /metrics`.
pub struct Metrics {
    handle: PrometheusHandle,
    server: Server,
    addresses: Vec<SocketAddr>,
}

/// From now on everything is measured, for the whole process.
pub fn start(address: SocketAddr) -> Result<Metrics, MetricsError> {
    let refused = |error| MetricsError::Address(address, error);
    let listener = std::net::TcpListener::bind(address).map_err(refused)?;
    let handle = PrometheusBuilder::new().set_buckets(&SECONDS)?.install_recorder()?;
    let read = handle.clone();
    let server = HttpServer::new(move || {
        App::new().app_data(web::Data::new(read.clone())).route("/metrics", web::get().to(render))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)
    .map_err(refused)?;
    let addresses = server.addrs();
    Ok(Metrics { handle, server: server.run(), addresses })
}

async fn render(handle: web::Data<PrometheusHandle>) -> HttpResponse {
    HttpResponse::Ok().content_type(MEDIA_TYPE).body(handle.render())
}

impl Metrics {
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Answers until `stop`.
    pub async fn serve(self, stop: CancellationToken) -> io::Result<()> {
        let Self { handle, server, .. } = self;
        let running = server.handle();
        let fold = async {
            loop {
                tokio::time::sleep(FOLD).await;
                handle.run_upkeep();
            }
        };
        tokio::pin!(server);
        tokio::select! {
            end = &mut server => return end,
            () = fold => {}
            () = stop.cancelled() => {}
        }
        let ((), end) = tokio::join!(running.stop(false), server);
        end
    }
}
