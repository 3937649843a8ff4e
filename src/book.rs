//! Compiles and runs the snippets of the book in docs/book.

macro_rules! pages {
    ($($page:ident = $path:literal),* $(,)?) => {
        $(#[doc = include_str!(concat!("../docs/book/src/", $path))] struct $page;)*
    };
}

pages! {
    Introduction = "introduction.md",
    TutorialPrograms = "tutorial/programs.md",
    TutorialController = "tutorial/controller.md",
    TutorialStream = "tutorial/stream.md",
    TutorialError = "tutorial/error.md",
    TutorialTest = "tutorial/test.md",
    Fg = "modifiers/fg.md",
    Bg = "modifiers/bg.md",
    Broadcast = "modifiers/broadcast.md",
    Stream = "modifiers/stream.md",
    Period = "modifiers/period.md",
    Results = "guide/results.md",
    Incoming = "guide/incoming.md",
    State = "guide/state.md",
    Contracts = "guide/contracts.md",
    Context = "guide/context.md",
    Traces = "guide/traces.md",
    Choosing = "guide/choosing.md",
    Limits = "guide/limits.md",
    Stopping = "guide/stopping.md",
    Presence = "guide/presence.md",
    Blocking = "guide/blocking.md",
    Bytes = "guide/bytes.md",
    Dynamic = "guide/dynamic.md",
    Errors = "guide/errors.md",
    Testing = "guide/testing.md",
    Production = "production.md",
    Access = "access.md",
    ControllerLimits = "limits.md",
    FromPython = "from-python.md",
    FromGrpc = "from-grpc.md",
}
