//! Logs to standard error, one line an event, and traces to an OTLP collector if there is one.

use std::{
    env,
    io::{self, Write},
    panic,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{global, propagation::Extractor, trace::TracerProvider};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{ParseError, filter_fn},
    fmt,
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};
use uuid::Uuid;

use crate::config::Format;

/// How long a shutdown waits for the last spans to leave.
const FLUSH: Duration = Duration::from_secs(3);

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the log filter is malformed")]
    Filter(#[from] ParseError),
    #[error("the OTLP exporter cannot be built")]
    Exporter(#[from] ExporterBuildError),
    #[error("telemetry is already set up")]
    Twice(#[from] TryInitError),
}

/// Keeps the exporter; see [`Guard::flush`].
#[must_use]
pub struct Guard(Option<SdkTracerProvider>);

impl Guard {
    /// Sends the spans that are still here, for at most three seconds.
    pub async fn flush(self) {
        let Some(provider) = self.0 else { return };
        // It blocks, and the exporter's connection needs this runtime's threads meanwhile.
        let flushed =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("the last spans were not exported");
        }
    }
}

/// Sets up logs and, given an `endpoint` such as `http://127.0.0.1:4317`, traces. Call it
/// once, within the runtime. `filter` is `info,mingpian=debug` and the like. What else OTLP
/// needs, such as headers or the sampler, the SDK reads from the usual `OTEL_…` variables.
pub fn init(format: Format, filter: &str, endpoint: Option<&str>) -> Result<Guard, Error> {
    let filter = EnvFilter::try_new(filter)?;
    let provider = endpoint.map(exporter).transpose()?;
    let spans = provider.as_ref().map(|provider| {
        // Only our own: the exporter's transport has spans too, which would export themselves.
        let own = filter_fn(|m| m.target().starts_with(env!("CARGO_CRATE_NAME")));
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(env!("CARGO_PKG_NAME")))
            .with_filter(own)
    });
    tracing_subscriber::registry()
        .with(lines(format, io::stderr))
        .with(spans)
        .with(filter)
        .try_init()?;
    if provider.is_some() {
        EXPORTS.store(true, Ordering::Relaxed);
        global::set_text_map_propagator(TraceContextPropagator::new());
    }
    panic::set_hook(Box::new(log_panic));
    Ok(Guard(provider))
}

fn exporter(endpoint: &str) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()?;
    let mut resource = Resource::builder();
    if env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
    }
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build())
}

static EXPORTS: AtomicBool = AtomicBool::new(false);

/// Whether traces go anywhere.
pub fn exports() -> bool {
    EXPORTS.load(Ordering::Relaxed)
}

/// The id of a request: in it for what is within, in the answer for the caller, and in
/// the log.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The caller's own when it is one word of a log line, else a new one.
pub fn request_id(headers: &HeaderMap) -> HeaderValue {
    callers_id(headers).cloned().unwrap_or_else(new_id)
}

/// The caller's own, when it is one word of a log line.
pub fn callers_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
    let one_word =
        |id: &&HeaderValue| (1..=64).contains(&id.len()) && id.as_bytes().iter().all(plain);
    headers.get(REQUEST_ID).filter(one_word)
}

/// One of ours.
pub fn new_id() -> HeaderValue {
    HeaderValue::from_str(&Uuid::now_v7().to_string())
        .unwrap_or_else(|_| HeaderValue::from_static("-"))
}

/// Makes the span a child of the one that the caller names.
pub fn continue_trace(span: &Span, headers: &HeaderMap) {
    // Without OTLP there is neither a propagator nor a layer to take the parent.
    let parent = global::get_text_map_propagator(|p| p.extract(&Headers(headers)));
    let _ = span.set_parent(parent);
}

/// Where the propagator finds `traceparent`.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

type Lines = Box<dyn Layer<Registry> + Send + Sync>;

fn lines<W, F>(format: Format, writer: F) -> Lines
where
    W: Write + 'static,
    F: Fn() -> W + Send + Sync + 'static,
{
    match format {
        Format::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(writer)
            .boxed(),
        Format::Text => fmt::layer()
            .with_ansi(false)
            .with_writer(move || OneLine(writer()))
            .boxed(),
    }
}

/// A panic is a log line like others, not many lines of its own. Its text stays out: that
/// of an `unwrap` quotes the error, which may quote a caller.
fn log_panic(info: &panic::PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string);
    tracing::error!(location, "panicked");
}

/// Escapes control characters. tracing-subscriber lets line breaks through, and in `%` fields
/// everything: a value could forge the next line or play with the reader's terminal.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.write_all(one_line(event).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn one_line(event: &[u8]) -> String {
    let text = String::from_utf8_lossy(event.strip_suffix(b"\n").unwrap_or(event));
    let mut line = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::with_default;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, event: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let lines = lines(format, move || writer.clone());
        with_default(tracing_subscriber::registry().with(lines), event);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_value_cannot_forge_a_log_line_or_move_the_cursor() {
        let hostile = "a\r\n2026 ERROR forged \x1b[2J\u{9b}";
        let event = || tracing::info!(shown = %hostile, debugged = ?hostile, "said: {hostile}");
        let text = logged(Format::Text, event);
        assert!(text.ends_with('\n'));
        assert_eq!(
            text.chars().filter(|c| c.is_control()).count(),
            1,
            "{text:?}"
        );
        let json = logged(Format::Json, event);
        assert_eq!(
            json.bytes().filter(u8::is_ascii_control).count(),
            1,
            "{json:?}"
        );
    }

    #[test]
    fn a_panic_is_logged_without_its_text() {
        let text = logged(Format::Text, || {
            let hook = panic::take_hook();
            panic::set_hook(Box::new(log_panic));
            let _ = panic::catch_unwind(|| panic!("13800000000"));
            panic::set_hook(hook);
        });
        assert!(
            text.contains("telemetry.rs") && text.contains("panicked"),
            "{text}"
        );
        assert!(!text.contains("13800000000"), "{text}");
    }

    #[test]
    fn json_lines_are_json() {
        let text = logged(Format::Json, || tracing::info!(code = "OK", "call ended"));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&line["message"], &line["code"]),
            (&"call ended".into(), &"OK".into())
        );
    }

    fn sent(id: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_static(id))])
    }

    #[test]
    fn a_request_id_is_the_callers_unless_it_could_forge_a_log_line() {
        assert_eq!(request_id(&sent("order-7_a.1")), "order-7_a.1");
        for odd in ["", "a b", "a\tb", "a\"b", "a=b"] {
            assert_eq!(request_id(&sent(odd)).len(), 36, "{odd:?}");
        }
    }
}
