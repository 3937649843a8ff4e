//! Records the spans of this process, and finds those of a test.

use std::{collections::HashMap, sync::OnceLock};

use opentelemetry::trace::{SpanKind, Status, TracerProvider};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{InMemorySpanExporter, SdkTracerProvider, SpanData, SpanExporter},
};
use tokio::sync::watch;
use tracing_subscriber::prelude::*;

use crate::common::soon;

/// The spans of the process that have ended.
#[derive(Debug)]
struct Recorder {
    spans: InMemorySpanExporter,
    grew: watch::Sender<()>,
}

impl SpanExporter for &'static Recorder {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.spans.export(batch).await?;
        self.grew.send_replace(());
        Ok(())
    }
}

/// Records from here on, if that is not done yet.
pub(crate) fn record() {
    recorder();
}

fn recorder() -> &'static Recorder {
    static RECORDER: OnceLock<&'static Recorder> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let recorder = Recorder { spans: InMemorySpanExporter::default(), grew: watch::Sender::default() };
        let recorder: &'static Recorder = Box::leak(Box::new(recorder));
        let provider = SdkTracerProvider::builder().with_simple_exporter(recorder).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("tests"));
        tracing_subscriber::registry().with(layer.with_filter(tracing_subscriber::filter::LevelFilter::INFO)).init();
        recorder
    })
}

/// The spans of one trace.
pub(crate) struct Trace(Vec<SpanData>);

impl Trace {
    /// Waits until so many spans of this trace have ended.
    pub(crate) async fn of(trace_id: [u8; 16], count: usize) -> Self {
        let mut grew = recorder().grew.subscribe();
        soon(async {
            loop {
                grew.mark_unchanged();
                let trace = Self::so_far(trace_id);
                if trace.0.len() >= count {
                    assert_eq!(trace.0.len(), count, "{:#?}", trace.0);
                    return trace;
                }
                grew.changed().await.expect("the recorder stays");
            }
        })
        .await
    }

    /// Those that have ended.
    pub(crate) fn so_far(trace_id: [u8; 16]) -> Self {
        let mut spans = recorder().spans.get_finished_spans().expect("nobody panicked on the way");
        spans.retain(|span| span.span_context.trace_id().to_bytes() == trace_id);
        Self(spans)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The only span of this kind and name.
    pub(crate) fn the(&self, kind: SpanKind, name: &str) -> Found<'_> {
        let found = self.all(kind, name);
        assert_eq!(found.len(), 1, "{name} in {:#?}", self.0);
        found[0]
    }

    pub(crate) fn all(&self, kind: SpanKind, name: &str) -> Vec<Found<'_>> {
        self.0.iter().filter(|span| span.span_kind == kind && span.name == name).map(Found).collect()
    }
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a>(pub(crate) &'a SpanData);

impl Found<'_> {
    pub(crate) fn id(self) -> [u8; 8] {
        self.0.span_context.span_id().to_bytes()
    }

    pub(crate) fn parent(self) -> [u8; 8] {
        self.0.parent_span_id.to_bytes()
    }

    /// The attributes, as text.
    pub(crate) fn attributes(self) -> HashMap<String, String> {
        let pairs = self.0.attributes.iter().map(|pair| (pair.key.to_string(), pair.value.to_string()));
        let attributes: HashMap<_, _> = pairs.collect();
        assert_eq!(attributes.len(), self.0.attributes.len(), "each is there once");
        attributes
    }

    pub(crate) fn attribute(self, key: &str) -> Option<String> {
        self.attributes().remove(key)
    }

    /// What went wrong, and its description.
    pub(crate) fn error(self) -> Option<(String, String)> {
        let kind = self.attribute("error.type");
        match &self.0.status {
            Status::Error { description } => Some((kind.expect("an error has a type"), description.to_string())),
            Status::Unset | Status::Ok => {
                assert_eq!(kind, None);
                None
            }
        }
    }
}
