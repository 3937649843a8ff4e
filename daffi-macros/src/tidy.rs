//! Source text as people write it, from tokens that have lost their spaces.
//!
//! The signature of a callback is shown to people and compared between processes, and `TokenStream::to_string` differs
//! between compiler versions.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;

/// The text of some tokens with the spaces that rustfmt would leave.
pub(crate) fn tidy(tokens: impl ToTokens) -> String {
    let mut text = String::new();
    write(&mut text, tokens.to_token_stream());
    text
}

fn write(text: &mut String, tokens: TokenStream) {
    let mut glued = '\0';
    // `&'a (A, B)` and `&mut (A, B)`, but `Fn(A, B)`.
    let mut apart = false;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => ("", ""),
                };
                if apart || (open == "[" && ends_with_word(text)) {
                    text.push(' ');
                }
                text.push_str(open);
                write(text, group.stream());
                text.push_str(close);
                (glued, apart) = ('\0', false);
            }
            TokenTree::Punct(punct) => {
                let spelled = punct.as_char();
                let joint = punct.spacing() == Spacing::Joint;
                let last = tokens.peek().is_none();
                match (glued, spelled) {
                    ('-', '>') => text.push_str("> "),
                    (':', ':') => text.push(':'),
                    (_, '-') if joint => text.push_str(" -"),
                    (_, ':') if joint => text.push(':'),
                    (_, ',' | ';' | ':') if last => text.push(spelled),
                    (_, ',' | ';' | ':') => text.extend([spelled, ' ']),
                    (_, '+' | '=') => text.extend([' ', spelled, ' ']),
                    _ => text.push(spelled),
                }
                (glued, apart) = (if joint { spelled } else { '\0' }, false);
            }
            word => {
                if ends_with_word(text) {
                    text.push(' ');
                }
                let word = word.to_string();
                text.push_str(&word);
                (glued, apart) = ('\0', glued == '\'' || word == "mut");
            }
        }
    }
}

fn ends_with_word(text: &str) -> bool {
    text.ends_with(|end: char| end.is_alphanumeric() || end == '_')
}

#[cfg(test)]
mod tests {
    use syn::Type;

    use super::*;

    #[test]
    fn signatures_read_as_rustfmt_leaves_them() {
        for text in [
            "HashMap<String, Vec<u8>>",
            "&'static [Option<&str>]",
            "(i64, (), [u8; 4])",
            "std::collections::BTreeMap<u8, T>",
            "Box<dyn Fn(i64) -> i64 + Send>",
            "Result<i64, MathError>",
            "&'a mut (A, B)",
            "<T as Trait>::Out",
            "impl Iterator<Item = u8>",
        ] {
            let ty: Type = syn::parse_str(text).unwrap();
            assert_eq!(tidy(&ty), text);
        }
    }
}
