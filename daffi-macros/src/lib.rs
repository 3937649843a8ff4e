//! The two attributes of daffi: [`macro@callback`] offers a function to other processes, [`macro@fetcher`] declares
//! the stub of one. Both are re-exported by the crate `daffi`, and the code they emit names only paths of that crate.
//!
//! Nothing here knows the runtime: a macro reads a signature, reports every mistake in it at once, and emits calls into
//! `daffi`. Whether the two sides fit is decided when they meet, since they are compiled apart.

use proc_macro::TokenStream;

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

/// Offers a function to other processes, under its own name.
///
/// The attribute goes on a free function, and leaves it as it is: it can still be called here, and tested.
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
///
/// References stand only for a whole argument, of a type with a size: `Option<&str>` has to be `Option<String>`, and
/// `&Path` has to be `&PathBuf`. `&mut` is refused, since nothing would travel back. A parameter has a name, because names are part of the signature; `mut` before it is fine.
/// There are at most sixteen.
///
/// # Bytes
///
/// Whole arguments and results that are spelled `Vec<u8>`, `&[u8]` or `bytes::Bytes` travel as bytes. A `Vec<u8>`
/// inside a struct is a sequence of numbers to serde, about a hundred times slower: write
/// `#[serde(with = "serde_bytes")]` at the field.
///
/// # Results
///
/// What is returned is owned and has serde's `Serialize`. A `Result<T, E>` is a typed error: the caller gets the `E`
/// back as it was, apart from what goes wrong on the way. It is told by its name and its two arguments, so an alias such
/// as `io::Result<T>` has to be written out.
///
/// # What is not possible
///
/// Generic and lifetime parameters, `impl Trait`, `self`, `const`, `unsafe` and `extern` functions: the other process
/// has to know the types, and there is no value to call a method on. A function inside an impl block or a trait cannot be
/// a callback either, even without `self`.
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
/// | `#[fetcher(BG)]` | goes on; the result is taken later | `BackgroundCall<T, E>` |
/// | `#[fetcher(BG(no_return))]` | goes on; nothing comes back | `OneWayCall` |
/// | `#[fetcher(BROADCAST)]` | calls every node that has the callback | `BroadcastCall<T, E>` |
/// | `#[fetcher(STREAM)]` | sends every item of a source to every node that has the callback | `StreamCall<E>` |
/// | `#[fetcher(PERIOD)]` | calls again and again, or at given times | `PeriodCall<T, E>` |
///
/// A `STREAM` stub declares one parameter, the item, and is called with a source of items: an iterator or an async
/// stream. It declares no value, since a stream answers with a report.
///
/// ```text
/// #[fetcher(STREAM)]
/// async fn show_stream(frame: Frame);
///
/// let report = show_stream(frames).await?;
/// ```
///
/// # Arguments
///
/// An argument is any type with serde's `Serialize`, by value or borrowed: `&str`, `&Config` and `&[&str]` are fine,
/// whatever the callback takes (`String` or `&str`, say), because they are encoded at once. Only the item of a stream is
/// owned. `&mut` is refused, since nothing would travel back. There are at most sixteen.
///
/// # Bytes
///
/// Whole arguments and results that are spelled `Vec<u8>`, `&[u8]` or `bytes::Bytes` travel as bytes. A `Vec<u8>`
/// inside a struct is a sequence of numbers to serde, about a hundred times slower: write
/// `#[serde(with = "serde_bytes")]` at the field.
///
/// # Results
///
/// What comes back has serde's `Deserialize` and is owned. With `Result<T, E>` the error of the callback arrives as an
/// `E`, apart from what goes wrong on the way; without it there is no such error. An alias such as `io::Result<T>` has
/// to be written out, because the attribute sees the words and not the types.
///
/// # Limits of stubs
///
/// A stub is compiled apart from its callback. Its name, and the number and the meaning of its arguments, are matched
/// only when the call is made, so a stub that does not fit is an error of the call. A stub has no generic or lifetime
/// parameters, no `impl Trait` and no `self`.
#[proc_macro_attribute]
pub fn fetcher(arguments: TokenStream, item: TokenStream) -> TokenStream {
    fetcher::expand(arguments.into(), item.into()).into()
}
