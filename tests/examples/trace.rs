//! A trace across two processes.

use rustix::process::Signal;

use crate::programs::{System, run};

/// What the example prints of a span: `Client buy: 1d9f.., child of 3e20.., trace 8c1a..`.
#[derive(Debug)]
struct Line {
    what: String,
    span: String,
    parent: String,
    trace: String,
}

impl Line {
    fn of(line: &str) -> Self {
        let parts = line.split_once(": ").and_then(|(what, rest)| {
            let (span, rest) = rest.split_once(", child of ")?;
            let (parent, trace) = rest.split_once(", trace ")?;
            Some([what, span, parent, trace].map(str::to_owned))
        });
        let [what, span, parent, trace] = parts.unwrap_or_else(|| panic!("it is no span: {line}"));
        Self { what, span, parent, trace }
    }
}

#[test]
fn a_trace_goes_from_the_client_to_the_service() {
    run(async {
        let system = System::new();
        let mut service = system.start("trace_service", &[]);
        service.says("the shop is open").await;
        let said = system.start("trace_client", &[]).ends_well().await;
        let [call, errand, bought] = &said[..] else { panic!("{said:?}") };
        assert_eq!(bought, "bought one pot");
        let (call, errand) = (Line::of(call), Line::of(errand));
        let shelf = Line::of(&service.line().await);
        let answer = Line::of(&service.line().await);
        service.signal(Signal::INT);
        assert!(service.ends_well().await.is_empty());

        let spans = [&errand, &call, &answer, &shelf];
        let names = ["Internal errand", "Client buy", "Server buy", "Internal look at the shelf"];
        assert_eq!(spans.map(|line| line.what.as_str()), names);
        assert!(spans.iter().all(|line| line.trace == errand.trace), "{spans:?}");
        let parents = ["nobody", &errand.span, &call.span, &answer.span];
        assert_eq!(spans.map(|line| line.parent.as_str()), parents);
    });
}
