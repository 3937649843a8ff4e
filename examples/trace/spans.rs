//! What both sides do to record spans. The exporter prints a line for each; one that sends them to a collector, such as
//! `opentelemetry-otlp`, takes its place.

use opentelemetry::trace::{SpanId, TracerProvider};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use tracing_subscriber::{filter::LevelFilter, prelude::*};

/// Records the spans of this process from here on, daffi's among them.
pub(crate) fn record(service: &'static str) -> SdkTracerProvider {
    let provider = SdkTracerProvider::builder().with_simple_exporter(Lines).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer(service));
    tracing_subscriber::registry().with(layer.with_filter(LevelFilter::INFO)).init();
    provider
}

#[derive(Debug)]
struct Lines;

impl SpanExporter for Lines {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        for SpanData { span_context, parent_span_id, span_kind, name, .. } in batch {
            let parent = match parent_span_id {
                SpanId::INVALID => "nobody".to_owned(),
                parent => parent.to_string(),
            };
            let (span, trace) = (span_context.span_id(), span_context.trace_id());
            println!("{span_kind:?} {name}: {span}, child of {parent}, trace {trace}");
        }
        Ok(())
    }
}
