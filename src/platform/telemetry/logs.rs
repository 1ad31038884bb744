//! Log lines, to standard error: one JSON object each for machines, or coloured text for people.
//!
//! Every line of a request carries its id, because the request's span does. Lines hold ids, numbers and codes; never
//! prompts, mail addresses, bodies or secrets.

use std::io::IsTerminal;

use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

use crate::config::{LogFormat, Telemetry};

#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    #[error("telemetry.log is not a filter such as \"info\" or \"renderkeep=debug,info\"")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    #[error("logging was started twice")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Whether `text` can stand in `telemetry.log`.
pub fn filter(text: &str) -> Result<EnvFilter, LogsError> {
    EnvFilter::try_new(text).map_err(LogsError::Filter)
}

/// From now on everything is logged, for the whole process.
pub fn start(settings: &Telemetry) -> Result<(), LogsError> {
    let filter = filter(&settings.log)?;
    Registry::default().with(filter).with(layer(settings.format, std::io::stderr)).try_init()?;
    Ok(())
}

fn layer<S, W>(format: LogFormat, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    match format {
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(writer)
            .boxed(),
        LogFormat::Pretty => {
            fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_target(false).with_writer(writer).boxed()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = Registry::default().with(filter(level).unwrap()).with(layer(format, move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("request", id = "req_1");
            span.in_scope(|| {
                tracing::info!(status = 200, "answered");
                tracing::debug!("too much");
            });
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_lines_carry_the_id_of_their_request() {
        let text = logged(LogFormat::Json, "info");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "answered");
        assert_eq!(line["status"], 200);
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["span"]["id"], "req_1");
    }

    #[test]
    fn pretty_lines_do_too_and_the_filter_holds() {
        let text = logged(LogFormat::Pretty, "info");
        assert!(text.contains("req_1") && text.contains("answered") && !text.contains("too much"), "{text}");
        assert!(logged(LogFormat::Pretty, "debug").contains("too much"));
    }

    #[test]
    fn a_filter_that_is_none_is_refused_by_its_key() {
        let error = filter("renderkeep=loud").unwrap_err();
        assert!(error.to_string().starts_with("telemetry.log"));
    }
}
