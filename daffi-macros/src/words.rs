//! The list in an attribute: `WORD`, `WORD(options)` and `word = value`, and what to say of a word that is not known.

use proc_macro2::{Group, Ident, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, Lit, LitStr, Token, Type};

use crate::errors::Errors;

/// Below this Jaro-Winkler similarity a suggestion would be a guess.
const SIMILAR: f64 = 0.8;

/// One entry of an attribute's list.
pub(crate) struct Word {
    pub(crate) name: Ident,
    pub(crate) options: Option<Group>,
    pub(crate) value: Option<(Token![=], Value)>,
}

/// What stands after the `=`.
pub(crate) enum Value {
    Expr(Expr),
    /// Of `of`: a path that may have generic arguments, which an expression could not have.
    Type(Type),
}

impl Word {
    pub(crate) fn parse_all(arguments: TokenStream) -> syn::Result<Punctuated<Self, Token![,]>> {
        Punctuated::parse_terminated.parse2(arguments)
    }

    /// A word that stands alone; says so if it does not.
    pub(crate) fn flag(&self, errors: &mut Errors) {
        if self.options.is_some() || self.value.is_some() {
            errors.push(self, format!("`{0}` stands alone: write `{0}`, or leave it out", self.name));
        }
    }

    /// `name = ".."`
    pub(crate) fn text(&self, errors: &mut Errors) -> Option<LitStr> {
        match (&self.options, &self.value) {
            (None, Some((_, Value::Expr(Expr::Lit(ExprLit { lit: Lit::Str(text), .. }))))) => Some(text.clone()),
            _ => {
                errors.push(self, format!("`{0}` is a string: write `{0} = \"..\"`", self.name));
                None
            }
        }
    }

    /// `limit = 4`: a whole number of at least `least`.
    pub(crate) fn number(&self, least: u32, errors: &mut Errors) -> Option<u32> {
        let number = match (&self.options, &self.value) {
            (None, Some((_, Value::Expr(Expr::Lit(ExprLit { lit: Lit::Int(number), .. }))))) => {
                number.base10_parse().ok().filter(|number| *number >= least)
            }
            _ => None,
        };
        if number.is_none() {
            let name = &self.name;
            let message = format!("`{name}` is a whole number from {least} to {}: write `{name} = 4`, say", u32::MAX);
            errors.push(self, message);
        }
        number
    }

    /// `of = some::path`
    pub(crate) fn path(&self, errors: &mut Errors) -> Option<Type> {
        match (&self.options, &self.value) {
            (None, Some((_, Value::Type(path @ Type::Path(_))))) => Some(path.clone()),
            _ => {
                errors.push(self, format!("`{0}` is the path of a callback: write `{0} = some_crate::add`", self.name));
                None
            }
        }
    }
}

impl Parse for Word {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = input.call(Ident::parse_any)?;
        let options = if input.peek(syn::token::Paren) { Some(input.parse()?) } else { None };
        let value = if input.peek(Token![=]) {
            let equals = input.parse()?;
            let value = if name == "of" && !input.peek(Lit) {
                Value::Type(input.parse()?)
            } else {
                Value::Expr(input.parse()?)
            };
            Some((equals, value))
        } else {
            None
        };
        Ok(Self { name, options, value })
    }
}

impl ToTokens for Word {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.name.to_tokens(tokens);
        self.options.to_tokens(tokens);
        if let Some((equals, value)) = &self.value {
            equals.to_tokens(tokens);
            match value {
                Value::Expr(value) => value.to_tokens(tokens),
                Value::Type(value) => value.to_tokens(tokens),
            }
        }
    }
}

/// Puts what a word said into its place, unless it was said already.
pub(crate) fn set<T>(place: &mut Option<T>, word: &Word, value: Option<T>, errors: &mut Errors) {
    if place.is_some() {
        errors.push(word, format!("`{}` is given twice", word.name));
    } else {
        *place = value;
    }
}

/// The word of the list that `name` most likely meant.
pub(crate) fn closest<'a>(name: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = words.into_iter().map(|word| (strsim::jaro_winkler(&word.to_lowercase(), &name.to_lowercase()), word));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(score, _)| *score >= SIMILAR).map(|(_, word)| word)
}

/// ` (did you mean ..?)`, or nothing.
pub(crate) fn hint(meant: Option<&str>) -> String {
    meant.map(|meant| format!(" (did you mean `{meant}`?)")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn word(tokens: TokenStream) -> Word {
        syn::parse2(tokens).unwrap()
    }

    fn refused(read: impl FnOnce(&mut Errors)) -> String {
        let mut errors = Errors::default();
        read(&mut errors);
        errors.messages().join("\n")
    }

    #[test]
    fn values_are_read_or_said_how_to_write() {
        let mut errors = Errors::default();
        assert_eq!(word(quote!(name = "a.b")).text(&mut errors).unwrap().value(), "a.b");
        assert_eq!(word(quote!(limit = 4)).number(1, &mut errors), Some(4));
        assert_eq!(word(quote!(queue = 0)).number(0, &mut errors), Some(0));
        assert!(word(quote!(of = a::Viewer<u8, u16>)).path(&mut errors).is_some());
        word(quote!(inline)).flag(&mut errors);
        assert!(errors.is_empty(), "{:?}", errors.messages());
        for tokens in
            [quote!(limit = 0), quote!(limit = -1), quote!(limit), quote!(limit = 1.5), quote!(limit = 4294967296)]
        {
            let message = refused(|errors| assert_eq!(word(tokens).number(1, errors), None));
            assert!(message.contains("a whole number from 1 to 4294967295"), "{message}");
        }
        assert!(refused(|errors| drop(word(quote!(name = add)).text(errors))).contains("write `name = \"..\"`"));
        assert!(refused(|errors| drop(word(quote!(of = "add")).path(errors))).contains("write `of = some_crate::add`"));
        assert!(refused(|errors| word(quote!(inline = true)).flag(errors)).contains("stands alone"));
    }

    #[test]
    fn a_word_is_said_once() {
        let mut place = None;
        assert_eq!(refused(|errors| set(&mut place, &word(quote!(queue = 1)), Some(1), errors)), "");
        let message = refused(|errors| set(&mut place, &word(quote!(queue = 2)), Some(2), errors));
        assert_eq!((place, message.as_str()), (Some(1), "`queue` is given twice"));
    }

    #[test]
    fn only_a_similar_word_is_suggested() {
        assert_eq!(closest("no_cancle", ["name", "no_cancel"]), Some("no_cancel"));
        assert_eq!(closest("stream", ["STREAM", "PERIOD"]), Some("STREAM"));
        assert_eq!(closest("xyz", ["name", "no_cancel"]), None);
    }
}
