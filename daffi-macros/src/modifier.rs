//! The execution modifier in `#[fetcher(..)]`.

use proc_macro2::Group;

use crate::errors::Errors;
use crate::words::{Word, closest};

/// The words that are allowed, in the order of the manual.
pub(crate) const MODIFIERS: [(&str, Modifier); 5] = [
    ("FG", Modifier::Foreground),
    ("BG", Modifier::Background),
    ("BROADCAST", Modifier::Broadcast),
    ("STREAM", Modifier::Stream),
    ("PERIOD", Modifier::Period),
];

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
    /// Reads a word, if it is a modifier. After a mistake in its options the answer is what was most likely meant.
    pub(crate) fn from_word(word: &Word, errors: &mut Errors) -> Option<Self> {
        let (allowed, modifier) = MODIFIERS.into_iter().find(|(allowed, _)| word.name == allowed)?;
        if word.value.is_some() {
            errors.push(word, format!("`{allowed}` has no value: write `#[fetcher({allowed})]`"));
            return Some(modifier);
        }
        match &word.options {
            None => Some(modifier),
            Some(options) if modifier == Self::Background => Some(background_options(options, errors)),
            Some(options) => {
                errors.push(options, format!("`{allowed}` takes no options: write `#[fetcher({allowed})]`"));
                Some(modifier)
            }
        }
    }

    /// How the modifier is spelled that a wrong word most likely meant.
    pub(crate) fn meant_by(name: &str) -> Option<(&'static str, Self)> {
        match name.to_uppercase().as_str() {
            "NO_RETURN" => Some(("BG(no_return)", Self::OneWay)),
            "FOREGROUND" => Some(("FG", Self::Foreground)),
            "BACKGROUND" => Some(("BG", Self::Background)),
            _ => {
                let meant = closest(name, MODIFIERS.map(|(word, _)| word))?;
                MODIFIERS.into_iter().find(|(word, _)| *word == meant)
            }
        }
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

#[cfg(test)]
mod tests {
    use proc_macro2::TokenStream;
    use quote::quote;

    use super::*;

    fn read(word: TokenStream) -> (Option<Modifier>, String) {
        let mut errors = Errors::default();
        let modifier = Modifier::from_word(&syn::parse2(word).unwrap(), &mut errors);
        (modifier, errors.messages().join("\n"))
    }

    #[test]
    fn each_modifier_is_read() {
        for (word, modifier) in [
            (quote!(FG), Modifier::Foreground),
            (quote!(BG), Modifier::Background),
            (quote!(BG(no_return)), Modifier::OneWay),
            (quote!(BROADCAST), Modifier::Broadcast),
            (quote!(STREAM), Modifier::Stream),
            (quote!(PERIOD), Modifier::Period),
        ] {
            assert_eq!(read(word), (Some(modifier), String::new()));
        }
        assert_eq!(read(quote!(stream)), (None, String::new()));
    }

    #[test]
    fn options_are_checked_for_the_modifier_they_stand_at() {
        assert!(read(quote!(BG(no_reply))).1.contains("unknown option `no_reply`"));
        assert!(read(quote!(BG(no_return, no_return))).1.contains("given twice"));
        assert!(read(quote!(STREAM(fast))).1.contains("`STREAM` takes no options"));
        assert!(read(quote!(FG = 1)).1.contains("`FG` has no value"));
    }

    #[test]
    fn a_wrong_word_most_likely_meant_one() {
        for (name, meant) in [
            ("stream", Some(("STREAM", Modifier::Stream))),
            ("PERIODIC", Some(("PERIOD", Modifier::Period))),
            ("background", Some(("BG", Modifier::Background))),
            ("no_return", Some(("BG(no_return)", Modifier::OneWay))),
            ("xyz", None),
        ] {
            assert_eq!(Modifier::meant_by(name), meant);
        }
    }
}
