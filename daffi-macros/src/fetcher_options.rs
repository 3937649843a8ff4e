//! What stands in `#[fetcher(..)]`: on a function, on a method of a client's trait, and on the trait.

use proc_macro2::{Ident, TokenStream};
use syn::{LitStr, Type};

use crate::errors::Errors;
use crate::modifier::Modifier;
use crate::name;
use crate::words::{Word, closest, hint, set};

const OPTIONS: [&str; 3] = ["name", "of", "idempotent"];

const EXPECTED: &str = "expected one of `FG`, `BG`, `BG(no_return)`, `BROADCAST`, `STREAM`, `PERIOD`, and of the options \
                        `name = \"..\"`, `of = path`, `idempotent`";

const EXPECTED_ON_TRAIT: &str = "on a trait, `#[fetcher]` takes `name = \"..\"` and `of = Type`";

/// What was said of one stub.
#[derive(Default)]
pub(crate) struct FetcherOptions {
    modifier: Option<(Modifier, Ident)>,
    pub(crate) name: Option<LitStr>,
    pub(crate) of: Option<Type>,
    /// The word, if it was said.
    pub(crate) idempotent: Option<Ident>,
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

    fn take(&mut self, word: &Word, errors: &mut Errors) {
        match word.name.to_string().as_str() {
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
            "idempotent" => errors.push(word, per_method(&name)),
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
