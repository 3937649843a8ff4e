//! What stands in `#[callback(..)]`: on a function, on a method, and on the impl block around it.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::LitStr;

use crate::errors::Errors;
use crate::modifier::Modifier;
use crate::name;
use crate::words::{Word, closest, hint, set};

const OPTIONS: [&str; 6] = ["name", "inline", "no_cancel", "limit", "queue", "lossless"];

const EXPECTED: &str = "expected one of `name = \"..\"`, `inline`, `no_cancel`, `limit = N`, `queue = N`, `lossless`";

const EXPECTED_ON_IMPL: &str = "on an impl block, `#[callback]` takes `name = \"..\"`";

/// What was said of one callback.
#[derive(Default)]
pub(crate) struct CallbackOptions {
    pub(crate) name: Option<LitStr>,
    /// The word, if it was said.
    pub(crate) inline: Option<Ident>,
    no_cancel: Option<()>,
    limit: Option<u32>,
    queue: Option<u32>,
    /// The word, if it was said.
    pub(crate) lossless: Option<Ident>,
}

impl CallbackOptions {
    /// Reads what stands between the parentheses.
    pub(crate) fn parse(arguments: TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        let words = match Word::parse_all(arguments) {
            Ok(words) => words,
            Err(error) => {
                errors.add(syn::Error::new(error.span(), EXPECTED));
                return options;
            }
        };
        for word in &words {
            options.take(word, errors);
        }
        let said = |name| words.iter().find(|word| word.name == name);
        if let (Some(queue), None) = (said("queue"), said("limit")) {
            errors.push(queue, "calls wait only where a `limit` holds them back: add `limit = N`, or remove `queue`");
        }
        options
    }

    fn take(&mut self, word: &Word, errors: &mut Errors) {
        let name = word.name.to_string();
        match name.as_str() {
            "name" => set(&mut self.name, word, word.text(errors), errors),
            "inline" => {
                word.flag(errors);
                set(&mut self.inline, word, Some(word.name.clone()), errors);
            }
            "no_cancel" => {
                word.flag(errors);
                set(&mut self.no_cancel, word, Some(()), errors);
            }
            "limit" => set(&mut self.limit, word, word.number(1, errors), errors),
            "lossless" => {
                word.flag(errors);
                set(&mut self.lossless, word, Some(word.name.clone()), errors);
            }
            "queue" => set(&mut self.queue, word, word.number(0, errors), errors),
            _ => errors.push(word, unknown(word, closest(&name, OPTIONS), EXPECTED)),
        }
    }
}

impl ToTokens for CallbackOptions {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let inline = self.inline.is_some();
        let no_cancel = self.no_cancel.is_some();
        let lossless = self.lossless.is_some();
        let limit = match (self.limit, self.queue) {
            (None, _) => quote!(::core::option::Option::None),
            (Some(limit), queue) => {
                let queue = queue.unwrap_or(limit);
                quote!(::core::option::Option::Some((#limit, #queue)))
            }
        };
        tokens.extend(quote! {
            ::daffi::__private::CallbackOptions {
                inline: #inline,
                no_cancel: #no_cancel,
                limit: #limit,
                lossless: #lossless
            }
        });
    }
}

/// What was said of an impl block: what stands before each method's name on the wire.
pub(crate) fn prefix(arguments: TokenStream, errors: &mut Errors) -> Option<LitStr> {
    let words = match Word::parse_all(arguments) {
        Ok(words) => words,
        Err(error) => {
            errors.add(syn::Error::new(error.span(), EXPECTED_ON_IMPL));
            return None;
        }
    };
    let mut prefix = None;
    for word in &words {
        let name = word.name.to_string();
        if name == "name" {
            set(&mut prefix, word, word.text(errors), errors);
        } else if OPTIONS.contains(&name.as_str()) {
            let message = format!("`{name}` belongs to one method: put it into its `#[callback]`; {EXPECTED_ON_IMPL}");
            errors.push(word, message);
        } else {
            errors.push(word, unknown(word, closest(&name, ["name"]), EXPECTED_ON_IMPL));
        }
    }
    if let Some(prefix) = &prefix {
        name::check(prefix, &prefix.value(), errors);
    }
    prefix
}

fn unknown(word: &Word, meant: Option<&str>, expected: &str) -> String {
    let name = &word.name;
    if Modifier::from_word(word, &mut Errors::default()).is_some() {
        return format!("unknown option `{name}`: an execution modifier stands at the fetcher; {expected}");
    }
    format!("unknown option `{name}`{}: {expected}", hint(meant))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: TokenStream) -> (String, String) {
        let mut errors = Errors::default();
        let options = CallbackOptions::parse(arguments, &mut errors);
        (options.into_token_stream().to_string(), errors.messages().join("\n"))
    }

    fn options(inline: bool, no_cancel: bool, lossless: bool, limit: TokenStream) -> String {
        let options = quote! {
            ::daffi::__private::CallbackOptions {
                inline: #inline,
                no_cancel: #no_cancel,
                limit: #limit,
                lossless: #lossless
            }
        };
        options.to_string()
    }

    #[test]
    fn options_are_passed_on_and_a_queue_is_as_long_as_the_limit() {
        let none = quote!(::core::option::Option::None);
        for (arguments, expected) in [
            (quote!(), options(false, false, false, none.clone())),
            (quote!(name = "a", inline), options(true, false, false, none.clone())),
            (quote!(no_cancel,), options(false, true, false, none.clone())),
            (quote!(lossless), options(false, false, true, none)),
            (quote!(limit = 4), options(false, false, false, quote!(::core::option::Option::Some((4u32, 4u32))))),
            (
                quote!(queue = 0, limit = 4),
                options(false, false, false, quote!(::core::option::Option::Some((4u32, 0u32)))),
            ),
        ] {
            assert_eq!(read(arguments), (expected, String::new()));
        }
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        for (arguments, says) in [
            (quote!(STREAM), "an execution modifier stands at the fetcher"),
            (quote!(no_cancle), "did you mean `no_cancel`?"),
            (quote!(xyz), EXPECTED),
            (quote!("add"), EXPECTED),
            (quote!(queue = 4), "add `limit = N`"),
            (quote!(limit = 0), "from 1 to"),
            (quote!(inline, inline), "`inline` is given twice"),
            (quote!(no_cancel = false), "stands alone"),
            (quote!(lossless = true), "stands alone"),
        ] {
            let (_, errors) = read(arguments);
            assert!(errors.contains(says), "{errors}");
        }
    }

    #[test]
    fn an_impl_block_has_a_name_and_nothing_else() {
        let read = |arguments| {
            let mut errors = Errors::default();
            let prefix = prefix(arguments, &mut errors).map(|prefix| prefix.value());
            (prefix, errors.messages().join("\n"))
        };
        assert_eq!(read(quote!(name = "cam")), (Some("cam".into()), String::new()));
        assert!(read(quote!(limit = 4)).1.contains("`limit` belongs to one method"));
        assert!(read(quote!(nam = "x")).1.contains("did you mean `name`?"));
        assert!(read(quote!(name = "a b")).1.contains("none of these"));
        assert!(read(quote!(3)).1.contains(EXPECTED_ON_IMPL));
    }
}
