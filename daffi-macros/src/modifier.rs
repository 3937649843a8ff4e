//! The execution modifier in `#[fetcher(..)]`, and what to say when it is not one.

use proc_macro2::{Group, Ident, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, Token};

use crate::errors::Errors;

/// The words that are allowed, in the order of the manual.
const MODIFIERS: [(&str, Modifier); 5] = [
    ("FG", Modifier::Foreground),
    ("BG", Modifier::Background),
    ("BROADCAST", Modifier::Broadcast),
    ("STREAM", Modifier::Stream),
    ("PERIOD", Modifier::Period),
];

const EXPECTED: &str = "expected one of `FG`, `BG`, `BG(no_return)`, `BROADCAST`, `STREAM`, `PERIOD`";

/// Below this Jaro-Winkler similarity a suggestion would be a guess.
const SIMILAR: f64 = 0.8;

/// How a call is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Modifier {
    /// Wait for the result.
    Foreground,
    /// A handle to a result that comes later.
    Background,
    /// `BG(no_return)`: nothing comes back.
    OneWay,
    /// Every node that has the callback.
    Broadcast,
    /// Every item of a source to every node that has the callback.
    Stream,
    /// Again and again, or at given times.
    Period,
}

impl Modifier {
    /// Reads what stands between the parentheses of `#[fetcher(..)]`.
    ///
    /// After a mistake the answer is what was most likely meant, so that the uses of the stub still make sense.
    pub(crate) fn parse(arguments: TokenStream, errors: &mut Errors) -> Self {
        let words = match Word::parse_all(arguments) {
            Ok(words) => words,
            Err(error) => {
                errors.add(syn::Error::new(error.span(), EXPECTED));
                return Self::Foreground;
            }
        };
        let mut words = words.iter();
        let Some(first) = words.next() else {
            return Self::Foreground;
        };
        let modifier = Self::from_word(first, errors);
        for extra in words {
            let message = format!("a fetcher has one execution modifier, and `{}` is given already", first.name);
            errors.push(extra, message);
        }
        modifier
    }

    fn from_word(word: &Word, errors: &mut Errors) -> Self {
        if word.value.is_some() {
            errors.push(word, format!("a fetcher has no option `{}`: {EXPECTED}", word.name));
            return Self::Foreground;
        }
        let name = word.name.to_string();
        let Some((allowed, modifier)) = MODIFIERS.into_iter().find(|(allowed, _)| *allowed == name) else {
            let (hint, meant) = suggest(&name);
            errors.push(&word.name, format!("unknown execution modifier `{name}`{hint}: {EXPECTED}"));
            return meant;
        };
        let Some(options) = &word.options else {
            return modifier;
        };
        if modifier != Self::Background {
            errors.push(options, format!("`{allowed}` takes no options: write `#[fetcher({allowed})]`"));
            return modifier;
        }
        background_options(options, errors)
    }
}

fn background_options(options: &Group, errors: &mut Errors) -> Modifier {
    let words = match Word::parse_all(options.stream()) {
        Ok(words) => words,
        Err(error) => {
            errors.add(syn::Error::new(error.span(), "the only option of `BG` is `no_return`"));
            return Modifier::Background;
        }
    };
    let mut modifier = Modifier::Background;
    for word in &words {
        let bare = word.options.is_none() && word.value.is_none();
        if !bare || word.name != "no_return" {
            let name = &word.name;
            errors.push(word, format!("unknown option `{name}`: the only option of `BG` is `no_return`"));
        } else if modifier == Modifier::OneWay {
            errors.push(word, "`no_return` is given twice");
        }
        // A misspelled option can only have meant this one.
        modifier = Modifier::OneWay;
    }
    modifier
}

/// ` (did you mean ..?)`, and the modifier that a wrong word most likely meant.
fn suggest(name: &str) -> (String, Modifier) {
    let upper = name.to_uppercase();
    let (spelled, modifier) = match upper.as_str() {
        "NO_RETURN" => ("BG(no_return)", Modifier::OneWay),
        "FOREGROUND" => ("FG", Modifier::Foreground),
        "BACKGROUND" => ("BG", Modifier::Background),
        _ => {
            let scored = MODIFIERS.map(|(word, modifier)| (strsim::jaro_winkler(word, &upper), word, modifier));
            let best = scored.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
            match best {
                Some((score, word, modifier)) if score >= SIMILAR => (word, modifier),
                _ => return (String::new(), Modifier::Foreground),
            }
        }
    };
    (format!(" (did you mean `{spelled}`?)"), modifier)
}

/// One entry of an attribute's list: `WORD`, `WORD(options)` or `word = value`.
pub(crate) struct Word {
    pub(crate) name: Ident,
    options: Option<Group>,
    value: Option<(Token![=], Expr)>,
}

impl Word {
    pub(crate) fn parse_all(arguments: TokenStream) -> syn::Result<Punctuated<Self, Token![,]>> {
        Punctuated::parse_terminated.parse2(arguments)
    }
}

impl Parse for Word {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = input.call(Ident::parse_any)?;
        let options = if input.peek(syn::token::Paren) { Some(input.parse()?) } else { None };
        let value = if input.peek(Token![=]) { Some((input.parse()?, input.parse()?)) } else { None };
        Ok(Self { name, options, value })
    }
}

impl ToTokens for Word {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.name.to_tokens(tokens);
        self.options.to_tokens(tokens);
        if let Some((equals, value)) = &self.value {
            equals.to_tokens(tokens);
            value.to_tokens(tokens);
        }
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn accepted(arguments: TokenStream) -> Modifier {
        let mut errors = Errors::default();
        let modifier = Modifier::parse(arguments, &mut errors);
        assert!(errors.is_empty(), "{:?}", errors.messages());
        modifier
    }

    fn refused(arguments: TokenStream) -> (Modifier, String) {
        let mut errors = Errors::default();
        let modifier = Modifier::parse(arguments, &mut errors);
        (modifier, errors.messages().join("\n"))
    }

    #[test]
    fn each_modifier_is_read() {
        assert_eq!(accepted(quote!()), Modifier::Foreground);
        assert_eq!(accepted(quote!(FG)), Modifier::Foreground);
        assert_eq!(accepted(quote!(BG)), Modifier::Background);
        assert_eq!(accepted(quote!(BG(no_return))), Modifier::OneWay);
        assert_eq!(accepted(quote!(BROADCAST)), Modifier::Broadcast);
        assert_eq!(accepted(quote!(STREAM,)), Modifier::Stream);
        assert_eq!(accepted(quote!(PERIOD)), Modifier::Period);
    }

    #[test]
    fn a_wrong_word_is_answered_with_the_likely_one_and_the_list() {
        for (word, suggestion, meant) in [
            (quote!(stream), "`STREAM`", Modifier::Stream),
            (quote!(BROADCST), "`BROADCAST`", Modifier::Broadcast),
            (quote!(PERIODIC), "`PERIOD`", Modifier::Period),
            (quote!(background), "`BG`", Modifier::Background),
            (quote!(no_return), "`BG(no_return)`", Modifier::OneWay),
        ] {
            let (modifier, message) = refused(word);
            assert_eq!(modifier, meant);
            assert!(message.contains(&format!("did you mean {suggestion}?")), "{message}");
            assert!(message.contains(EXPECTED), "{message}");
        }
        let (_, message) = refused(quote!(xyz));
        assert!(!message.contains("did you mean"), "{message}");
    }

    #[test]
    fn options_are_checked_for_the_modifier_they_stand_at() {
        assert!(refused(quote!(BG(no_reply))).1.contains("unknown option `no_reply`"));
        assert!(refused(quote!(STREAM(fast))).1.contains("`STREAM` takes no options"));
        assert!(refused(quote!(name = "add")).1.contains("no option `name`"));
        assert!(refused(quote!("BG")).1.contains(EXPECTED));
        assert!(refused(quote!(BG, STREAM)).1.contains("`BG` is given already"));
    }
}
