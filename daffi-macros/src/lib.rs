//! The two attributes of daffi: [`macro@callback`] offers functions, and the methods of a value, to other processes;
//! [`macro@fetcher`] declares stubs of them. Both are re-exported by the crate `daffi`, and the code they emit names only paths of
//! that crate.
//!
//! Nothing here knows the runtime: a macro reads a signature, reports every mistake in it at once, and emits calls into
//! `daffi`. Whether the two sides fit is decided when they meet, since they are compiled apart; where they are not, a stub's `of` has
//! the compiler decide.

use proc_macro::TokenStream;

mod block;
mod callback;
mod callback_options;
mod client;
mod contract;
mod declaration;
mod decoding;
mod encoding;
mod errors;
mod fetcher;
mod fetcher_options;
mod invoke;
mod modifier;
mod name;
mod normal;
mod output;
mod parameters;
mod service;
mod signature;
mod stub;
mod tidy;
mod types;
mod words;

/// Offers a function, or the methods of a value, to other processes.
///
/// On a function the attribute leaves it as it is: it can still be called here, and tested.
///
/// ```text
/// #[callback]
/// async fn add(a: i64, b: i64) -> i64 {
///     a + b
/// }
///
/// #[callback]
/// fn div(a: i64, b: i64) -> Result<i64, MathError> {
///     a.checked_div(b).ok_or(MathError::DivisionByZero)
/// }
/// ```
///
/// An `async fn` runs on the runtime, so its future has to be `Send`. A plain `fn` may block: it runs off the I/O
/// thread.
///
/// Every callback of the program is found by itself. Those of a library are found only if the program names the
/// library: `use the_library as _;` is enough. `callbacks![add, div]` makes an explicit list.
///
/// # Options
///
/// | option | what it does |
/// |---|---|
/// | `name = "shop.buy"` | the name on the wire, instead of the function's own: letters, digits, `_`, `-` and `.`, up to 128 bytes |
/// | `inline` | runs it on the I/O thread: for what takes microseconds and never blocks |
/// | `no_cancel` | lets it finish although its caller has gone |
/// | `limit = N` | runs at most so many at once; further calls wait |
/// | `queue = N` | lets at most so many wait, and refuses more; as many as may run unless told otherwise |
/// | `lossless` | gets every item of a stream, whatever the stream drops for others that are slow |
///
/// ```text
/// #[callback(name = "resize", limit = 4, queue = 16)]
/// fn shrink(frame: Frame) -> Frame { .. }
/// ```
///
/// # Arguments
///
/// An argument is any type with serde's `Deserialize`, owned or behind a reference:
///
/// | parameter | what happens |
/// |---|---|
/// | `T` | decoded |
/// | `&T`, `&[T]` | decoded, then lent for the call |
/// | `&str`, `&[u8]` | borrowed from the message, without a copy |
/// | `Vec<u8>`, `bytes::Bytes` | decoded as bytes |
/// | `Context`, `&Context` | no argument: the context of the call |
/// | `Incoming<T>` | a whole stream: see below |
///
/// References stand only for a whole argument, of a type with a size: `Option<&str>` has to be `Option<String>`, and
/// `&Path` has to be `&PathBuf`. `&mut` is refused, since nothing would travel back. A parameter has a name, because names
/// are part of the signature; `mut` before it is fine. There are at most sixteen.
///
/// # The context
///
/// A parameter of the type `Context` does not travel: it tells who called, how much time is left, and whether the caller still wants
/// the result. It stands anywhere in the list, at most once, and the stub does not have it. It is told by its last word, so a type
/// of yours that is called `Context` has to have another name here.
///
/// ```text
/// #[callback]
/// fn greet(cx: Context, greeting: &str) -> String {
///     format!("{greeting}, {}", cx.caller())
/// }
/// ```
///
/// # Bytes
///
/// Whole arguments, results and items that are spelled `Vec<u8>`, `&[u8]` or `bytes::Bytes` travel as bytes. A `Vec<u8>`
/// inside a struct is a sequence of numbers to serde, about a hundred times slower: write
/// `#[serde(with = "serde_bytes")]` at the field.
///
/// # Results
///
/// What is returned is owned and has serde's `Serialize`. A `Result<T, E>` is a typed error: the caller gets the `E`
/// back as it was, apart from what goes wrong on the way. It is told by its name and its two arguments, so an alias such
/// as `io::Result<T>` has to be written out.
///
/// # Streams of results
///
/// A callback may return many results, one after the other, as fast as the caller takes them:
///
/// | return type | what the caller gets |
/// |---|---|
/// | `impl Iterator<Item = T>` | the items; `next` may block |
/// | `impl Stream<Item = T>` | the items of an async stream |
/// | either with `Item = Result<T, E>` | the items, each of which may be an error |
/// | `Result<impl Stream<Item = T>, E>` | the items, or why there are none |
///
/// ```text
/// #[callback]
/// fn lines(path: String) -> Result<impl Iterator<Item = String>, ReadError> { .. }
/// ```
///
/// The stream is taken after the function has returned, so it borrows neither arguments nor `self`. Where there is something to
/// borrow it has to say so, since an `impl Trait` is taken to borrow all of it: `impl Iterator<Item = T> + use<>`.
///
/// # Whole streams
///
/// A callback is called for each item of a stream, unless it takes the stream: then it is called once, sees the items, what was
/// missed and why the stream ended, and has one result, which goes to the producer's report. It has no further arguments but the
/// context.
///
/// ```text
/// #[callback]
/// fn show(mut items: Incoming<Frame>) -> Summary { .. }
/// ```
///
/// # Methods
///
/// The methods of a value are callbacks if the attribute stands on the impl block and on each of them. Those without it stay
/// private. A method takes `&self`, since several calls run at a time, or no receiver at all; all else is as for functions.
///
/// ```text
/// #[callback(name = "viewer")]
/// impl Viewer {
///     #[callback]
///     fn show(&self, frame: Frame) { .. }
///
///     #[callback(name = "state")]
///     async fn state_now(&self, cx: Context) -> State { .. }
///
///     fn not_remote(&self) {}
/// }
/// ```
///
/// `serve(viewer)` offers them, here as `viewer.show` and `viewer.state`; without the block's `name` (which is its only option) as
/// `show` and `state`. The type is then a `Service`, for which it has to be `Send`, `Sync` and without lifetimes; it may
/// have one such block, and others without the attribute.
///
/// # What is not possible
///
/// Generic and lifetime parameters, `impl Trait` in other places, `const`, `unsafe` and `extern` functions: the other process
/// has to know the types. Methods of a trait: put the attribute on an `impl Type` whose methods call them. A function inside an impl
/// block that has not the attribute itself, even without `self`.
#[proc_macro_attribute]
pub fn callback(arguments: TokenStream, item: TokenStream) -> TokenStream {
    callback::expand(arguments.into(), item.into()).into()
}

/// Declares the stub of a callback in another process: its signature, without a body.
///
/// ```text
/// #[fetcher]
/// async fn add(a: i64, b: i64) -> i64;
///
/// #[fetcher(BROADCAST)]
/// async fn reload(config: &Config) -> u32;
///
/// let sum = add(1, 2).await?;
/// let replies = reload(&config).await?;
/// ```
///
/// Calling the stub encodes the arguments and does nothing else: it returns a lazy builder. Options go on the builder,
/// and then `.await` makes the call. `async fn` and `fn` mean the same here; a program without a runtime uses
/// `.wait()`.
///
/// # Execution modifiers
///
/// | attribute | what the call does | the stub returns |
/// |---|---|---|
/// | `#[fetcher]`, `#[fetcher(FG)]` | waits for the result of one node | `Call<T, E>` |
/// | the same, with a stream of results | takes the results of one node as they come | `ResultsCall<T, E>` |
/// | `#[fetcher(BG)]` | goes on; the result is taken later | `BackgroundCall<T, E>` |
/// | `#[fetcher(BG(no_return))]` | goes on; nothing comes back | `OneWayCall` |
/// | `#[fetcher(BROADCAST)]` | calls every node that has the callback | `BroadcastCall<T, E>` |
/// | `#[fetcher(STREAM)]` | sends every item of a source to every node that has the callback | `StreamCall<T, E>` |
/// | `#[fetcher(PERIOD)]` | calls again and again, or at given times | `PeriodCall<T, E>` |
///
/// A `STREAM` stub declares one parameter, the item, and is called with a source of items: an iterator or an async
/// stream. It returns what each receiver's callback returns for the whole stream: nothing (or `Result<(), E>`) if that is
/// called for each item, and a value if it takes an `Incoming<T>`. Both arrive in the report.
///
/// ```text
/// #[fetcher(STREAM)]
/// async fn show_stream(frame: Frame);
///
/// let report = show_stream(frames).await?;
/// ```
///
/// A stream of results is declared as `impl Stream<Item = T>`, whatever the callback makes it of; `impl Iterator` is the same.
/// Neither word is resolved here, so neither has to be imported.
/// Its errors are declared as at the callback, in the items or around the stream.
///
/// # Options
///
/// | option | what it does |
/// |---|---|
/// | `name = "shop.buy"` | calls the callback of this name, instead of the stub's own |
/// | `of = shop::buy` | has the compiler check the stub against a callback: see below |
/// | `idempotent` | running the callback twice does no harm, so `.retry(..)` may; with `FG` and `BG` |
/// | `on_slow = KeepLatest` | what happens to items that a receiver is too slow for, with `STREAM`: `Block`, `DropOldest(N)`, `KeepLatest` |
///
/// # Arguments
///
/// An argument is any type with serde's `Serialize`, by value or borrowed: `&str`, `&Config` and `&[&str]` are fine,
/// whatever the callback takes (`String` or `&str`, say), because they are encoded at once. Only the item of a stream is
/// owned. `&mut` is refused, since nothing would travel back. There are at most sixteen. A callback's `Context` does not travel, so
/// it is not declared here.
///
/// # Bytes
///
/// Whole arguments, results and items that are spelled `Vec<u8>`, `&[u8]` or `bytes::Bytes` travel as bytes. A `Vec<u8>`
/// inside a struct is a sequence of numbers to serde, about a hundred times slower: write
/// `#[serde(with = "serde_bytes")]` at the field.
///
/// # Results
///
/// What comes back has serde's `Deserialize` and is owned. With `Result<T, E>` the error of the callback arrives as an
/// `E`, apart from what goes wrong on the way; without it there is no such error. An alias such as `io::Result<T>` has
/// to be written out, because the attribute sees the words and not the types.
///
/// # Clients
///
/// On a trait the attribute makes a type of it, with a method for each stub. The methods list what travels, so they have no `self`;
/// each may have an attribute of its own. The trait takes `name`, which stands before each method's name on the wire, and `of`.
///
/// ```text
/// #[fetcher(name = "viewer")]
/// pub trait Viewer {
///     async fn state() -> State;
///
///     #[fetcher(STREAM, name = "show")]
///     async fn show_all(frame: Frame);
/// }
///
/// let viewer = Viewer::new().to("desk");
/// viewer.show_all(frames).await?;
/// ```
///
/// | method of every client | what it does |
/// |---|---|
/// | `new()` | a client that calls the next node in turn |
/// | `.on(&node)` | calls through this node |
/// | `.to("desk")` | calls the node of this name; broadcasts and streams go to every node all the same |
/// | `.under("left")` | calls the value that was served under this name: `left.viewer.state` |
///
/// # Checked stubs
///
/// A stub is compiled apart from its callback: the two are compared when the node that offers the callback is met. A different number
/// of arguments is an error of the call; types that are spelled otherwise are a warning in the log. A program that can name the
/// callback may have the compiler check the types themselves:
///
/// ```text
/// #[fetcher(of = shop::buy)]
/// async fn buy(item: &str) -> Result<Receipt, ShopError>;
///
/// #[fetcher(of = shop::Counter)]
/// trait Counter {
///     async fn bump(by: i64) -> i64;
/// }
/// ```
///
/// References count as what they refer to, so `&str` fits `String`, and `&[T]` fits `Vec<T>`. A method of a client is checked against the
/// one of its name on the wire, less the block's and the trait's `name`; with an `of` of its own against a function. Of a
/// `STREAM` stub the item is checked, and the value if there is one. Nothing of a check is run.
///
/// # Limits of stubs
///
/// A stub has no generic or lifetime parameters, no `self`, and no `impl Trait` but a stream of results.
#[proc_macro_attribute]
pub fn fetcher(arguments: TokenStream, item: TokenStream) -> TokenStream {
    fetcher::expand(arguments.into(), item.into()).into()
}
