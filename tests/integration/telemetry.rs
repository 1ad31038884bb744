//! Health and metrics of a server on real parts.

use std::{
    io::{Read, Write},
    time::Duration,
};

use renderkeep::app::health::probe;
use renderkeep::platform::{
    db::{Db, DbError},
    telemetry::metrics,
};
use tokio_util::sync::CancellationToken;

use crate::support::platform;

#[tokio::test]
async fn a_server_is_ready_until_a_part_goes_and_says_which() {
    let mut test = platform().await;
    let report = probe(&test.platform.db, test.platform.storage.stores().answer(&test.platform.db)).await;
    assert!(report.ready(), "{report:?}");
    assert_eq!(report.parts.iter().map(|part| part.name).collect::<Vec<_>>(), ["database", "store"]);
    test.platform.db = Db::new("postgres://nobody@%2Fnowhere/none", 1).unwrap();
    let report = probe(&test.platform.db, test.platform.storage.stores().answer(&test.platform.db)).await;
    assert!(!report.ready());
    assert_eq!(report.parts.iter().map(|part| part.up).collect::<Vec<_>>(), [false, true]);
}

#[actix_web::test]
async fn what_is_measured_can_be_read_on_a_listener_of_its_own() {
    let metrics = metrics::start("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = metrics.addresses()[0];
    let stop = CancellationToken::new();
    let test = platform().await;
    test.platform.db.write("test.measured", async |_| Ok::<_, DbError>(())).await.unwrap();
    let asking = async {
        let answer = tokio::task::spawn_blocking(move || ask(address, "/metrics")).await.unwrap();
        let missing = tokio::task::spawn_blocking(move || ask(address, "/")).await.unwrap();
        stop.cancel();
        (answer, missing)
    };
    let serving = tokio::time::timeout(Duration::from_secs(20), metrics.serve(stop.clone()));
    let (served, (answer, missing)) = tokio::join!(serving, asking);
    served.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(r#"renderkeep_transactions_total{name="test.measured",end="committed"} 1"#), "{answer}");
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
}

#[expect(clippy::disallowed_types, reason = "asks the listener under test, and nobody else")]
fn ask(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
