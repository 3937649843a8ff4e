//! What stands in `#[fetcher(..)]`: on a function, on a method of a client's trait, and on the trait.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{Expr, ExprLit, Lit, LitStr, Type};

use crate::errors::Errors;
use crate::modifier::Modifier;
use crate::name;
use crate::words::{Value, Word, closest, hint, set};

const OPTIONS: [&str; 4] = ["name", "of", "idempotent", "on_slow"];

const EXPECTED: &str = "expected one of `FG`, `BG`, `BG(no_return)`, `BROADCAST`, `STREAM`, `PERIOD`, and of the options \
                        `name = \"..\"`, `of = path`, `idempotent`, `on_slow = ..`";

const EXPECTED_ON_TRAIT: &str = "on a trait, `#[fetcher]` takes `name = \"..\"` and `of = Type`";

/// What was said of one stub.
#[derive(Default)]
pub(crate) struct FetcherOptions {
    modifier: Option<(Modifier, Ident)>,
    pub(crate) name: Option<LitStr>,
    pub(crate) of: Option<Type>,
    /// The word, if it was said.
    pub(crate) idempotent: Option<Ident>,
    /// The word, if it was said, and what it said.
    on_slow: Option<(Ident, OnSlow)>,
}

/// What happens to items that come faster than a receiver finishes them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum OnSlow {
    #[default]
    Block,
    DropOldest(u32),
    KeepLatest,
}

impl OnSlow {
    fn parse(word: &Word, errors: &mut Errors) -> Option<Self> {
        let value = match (&word.options, &word.value) {
            (None, Some((_, Value::Expr(value)))) => Self::from_expr(value),
            _ => None,
        };
        if value.is_none() {
            let message = "`on_slow` says what happens to items that a receiver is too slow for: write `on_slow = Block`, \
                           `on_slow = DropOldest(8)`, say, or `on_slow = KeepLatest`";
            errors.push(word, message);
        }
        value
    }

    fn from_expr(value: &Expr) -> Option<Self> {
        match value {
            Expr::Path(path) if path.path.is_ident("Block") => Some(Self::Block),
            Expr::Path(path) if path.path.is_ident("KeepLatest") => Some(Self::KeepLatest),
            Expr::Call(call) => match (&*call.func, call.args.first()) {
                (Expr::Path(path), Some(Expr::Lit(ExprLit { lit: Lit::Int(count), .. })))
                    if path.path.is_ident("DropOldest") && call.args.len() == 1 =>
                {
                    // An item for which there is no place would never arrive.
                    count.base10_parse().ok().filter(|count| *count > 0).map(Self::DropOldest)
                }
                _ => None,
            },
            _ => None,
        }
    }
}

impl ToTokens for OnSlow {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(match self {
            Self::Block => quote!(::daffi::OnSlow::Block),
            Self::DropOldest(count) => quote!(::daffi::OnSlow::DropOldest(#count)),
            Self::KeepLatest => quote!(::daffi::OnSlow::KeepLatest),
        });
    }
}

impl FetcherOptions {
    /// Reads what stands between the parentheses.
    ///
    /// After a mistake the answer is what was most likely meant, so that the uses of the stub still make sense.
    pub(crate) fn parse(arguments: TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        match Word::parse_all(arguments) {
            Ok(words) => words.iter().for_each(|word| options.take(word, errors)),
            Err(error) => errors.add(syn::Error::new(error.span(), EXPECTED)),
        }
        options.check(errors);
        options
    }

    pub(crate) fn modifier(&self) -> Modifier {
        self.modifier.as_ref().map_or(Modifier::Foreground, |(modifier, _)| *modifier)
    }

    pub(crate) fn on_slow(&self) -> OnSlow {
        self.on_slow.as_ref().map_or_else(OnSlow::default, |(_, on_slow)| *on_slow)
    }

    fn take(&mut self, word: &Word, errors: &mut Errors) {
        match word.name.to_string().as_str() {
            "on_slow" => {
                let value = OnSlow::parse(word, errors).unwrap_or_default();
                set(&mut self.on_slow, word, Some((word.name.clone(), value)), errors);
            }
            "name" => set(&mut self.name, word, word.text(errors), errors),
            "of" => set(&mut self.of, word, word.path(errors), errors),
            "idempotent" => {
                word.flag(errors);
                set(&mut self.idempotent, word, Some(word.name.clone()), errors);
            }
            _ => {
                let Some(modifier) = Modifier::from_word(word, errors) else {
                    return self.guess(word, errors);
                };
                if let Some((_, given)) = &self.modifier {
                    let message = format!("a fetcher has one execution modifier, and `{given}` is given already");
                    errors.push(word, message);
                } else {
                    self.modifier = Some((modifier, word.name.clone()));
                }
            }
        }
    }

    fn guess(&mut self, word: &Word, errors: &mut Errors) {
        let name = word.name.to_string();
        let meant = Modifier::meant_by(&name);
        let option = closest(&name, OPTIONS);
        let hint = hint(meant.map(|(spelled, _)| spelled).or(option));
        errors.push(&word.name, format!("unknown modifier or option `{name}`{hint}: {EXPECTED}"));
        if let (Some((_, modifier)), None) = (meant, &self.modifier) {
            self.modifier = Some((modifier, word.name.clone()));
        }
    }

    fn check(&self, errors: &mut Errors) {
        let repeatable = matches!(self.modifier(), Modifier::Foreground | Modifier::Background);
        if let (Some(word), false) = (&self.idempotent, repeatable) {
            let message = "only a call of one node whose result is awaited can be made again, so `idempotent` goes with `FG` \
                           and `BG`: remove it";
            errors.push(word, message);
        }
        if let (Some((word, _)), false) = (&self.on_slow, self.modifier() == Modifier::Stream) {
            errors.push(word, "only items of a stream can be dropped, so `on_slow` goes with `STREAM`: remove it");
        }
    }
}

/// What was said of a client.
#[derive(Default)]
pub(crate) struct ClientOptions {
    /// Stands before each method's name on the wire.
    pub(crate) prefix: Option<LitStr>,
    /// The type whose methods the client's are checked against.
    pub(crate) of: Option<Type>,
}

impl ClientOptions {
    pub(crate) fn parse(arguments: TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        match Word::parse_all(arguments) {
            Ok(words) => words.iter().for_each(|word| options.take(word, errors)),
            Err(error) => errors.add(syn::Error::new(error.span(), EXPECTED_ON_TRAIT)),
        }
        if let Some(prefix) = &options.prefix {
            name::check(prefix, &prefix.value(), errors);
        }
        options
    }

    fn take(&mut self, word: &Word, errors: &mut Errors) {
        let name = word.name.to_string();
        match name.as_str() {
            "name" => set(&mut self.prefix, word, word.text(errors), errors),
            "of" => set(&mut self.of, word, word.path(errors), errors),
            "idempotent" | "on_slow" => errors.push(word, per_method(&name)),
            _ if Modifier::from_word(word, &mut Errors::default()).is_some() => errors.push(word, per_method(&name)),
            _ => {
                let hint = hint(closest(&name, ["name", "of"]));
                errors.push(&word.name, format!("unknown option `{name}`{hint}: {EXPECTED_ON_TRAIT}"));
            }
        }
    }
}

fn per_method(name: &str) -> String {
    format!(
        "each method says for itself how it is called: put `#[fetcher({name})]` on the methods; {EXPECTED_ON_TRAIT}"
    )
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;
    use crate::tidy::tidy;

    fn read(arguments: TokenStream) -> (FetcherOptions, String) {
        let mut errors = Errors::default();
        let options = FetcherOptions::parse(arguments, &mut errors);
        (options, errors.messages().join("\n"))
    }

    fn refused(arguments: TokenStream) -> String {
        read(arguments).1
    }

    #[test]
    fn options_stand_in_any_order() {
        let (options, errors) = read(quote!(name = "resize", idempotent, BG, of = that::shrink,));
        assert_eq!(errors, "");
        assert_eq!(options.modifier(), Modifier::Background);
        assert_eq!(options.name.unwrap().value(), "resize");
        assert_eq!(tidy(options.of), "that::shrink");
        assert!(options.idempotent.is_some());
        assert_eq!(read(quote!()).0.modifier(), Modifier::Foreground);
    }

    #[test]
    fn a_wrong_word_is_answered_with_the_likely_one_and_the_list() {
        for (word, suggestion, meant) in [
            (quote!(stream), "`STREAM`", Modifier::Stream),
            (quote!(BROADCST), "`BROADCAST`", Modifier::Broadcast),
            (quote!(no_return), "`BG(no_return)`", Modifier::OneWay),
            (quote!(idempotnet), "`idempotent`", Modifier::Foreground),
            (quote!(names = "add"), "`name`", Modifier::Foreground),
        ] {
            let (options, message) = read(word);
            assert_eq!(options.modifier(), meant);
            assert!(message.contains(&format!("did you mean {suggestion}?")), "{message}");
            assert!(message.contains(EXPECTED), "{message}");
        }
        let message = refused(quote!(xyz));
        assert!(!message.contains("did you mean"), "{message}");
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        assert!(refused(quote!("BG")).contains(EXPECTED));
        assert!(refused(quote!(BG, STREAM)).contains("`BG` is given already"));
        assert!(refused(quote!(name = "a", name = "b")).contains("`name` is given twice"));
        assert!(refused(quote!(STREAM, idempotent)).contains("goes with `FG` and `BG`"));
        assert!(refused(quote!(BG(no_return), idempotent)).contains("goes with `FG` and `BG`"));
    }

    #[test]
    fn a_stream_says_what_it_does_for_the_slow() {
        let on_slow = |arguments| {
            let (options, errors) = read(arguments);
            (options.on_slow().to_token_stream().to_string(), errors)
        };
        for (arguments, expected) in [
            (quote!(STREAM), quote!(::daffi::OnSlow::Block)),
            (quote!(STREAM, on_slow = Block), quote!(::daffi::OnSlow::Block)),
            (quote!(on_slow = KeepLatest, STREAM), quote!(::daffi::OnSlow::KeepLatest)),
            (quote!(STREAM, on_slow = DropOldest(8)), quote!(::daffi::OnSlow::DropOldest(8u32))),
        ] {
            assert_eq!(on_slow(arguments), (expected.to_string(), String::new()));
        }
        for arguments in [
            quote!(STREAM, on_slow),
            quote!(STREAM, on_slow = Latest),
            quote!(STREAM, on_slow = DropOldest),
            quote!(STREAM, on_slow = DropOldest(0)),
            quote!(STREAM, on_slow = DropOldest(1, 2)),
            quote!(STREAM, on_slow(KeepLatest)),
        ] {
            assert!(on_slow(arguments).1.contains("write `on_slow = Block`"));
        }
        assert!(refused(quote!(on_slow = KeepLatest)).contains("goes with `STREAM`"));
        assert!(refused(quote!(STREAM, on_slow = Block, on_slow = Block)).contains("given twice"));
    }

    #[test]
    fn a_trait_takes_what_holds_for_all_methods() {
        let read = |arguments| {
            let mut errors = Errors::default();
            let options = ClientOptions::parse(arguments, &mut errors);
            (options, errors.messages().join("\n"))
        };
        let (options, errors) = read(quote!(name = "counters", of = that::Counter));
        assert_eq!((errors.as_str(), options.prefix.unwrap().value()), ("", "counters".to_owned()));
        assert_eq!(tidy(options.of), "that::Counter");
        assert!(read(quote!(STREAM)).1.contains("put `#[fetcher(STREAM)]` on the methods"));
        assert!(read(quote!(idempotent)).1.contains("put `#[fetcher(idempotent)]` on the methods"));
        assert!(read(quote!(nmae = "a")).1.contains("did you mean `name`?"));
        assert!(read(quote!(name = "a b")).1.contains("none of these"));
    }
}
