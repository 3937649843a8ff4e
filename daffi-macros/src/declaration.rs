//! The declaration under an attribute.
//!
//! syn's `ItemFn` wants a block, and a fetcher has none; so a declaration is read here: attributes, visibility,
//! signature, then `;` or a body. The body stays tokens: the compiler says better than a macro what is wrong in it.

use proc_macro2::{Group, Ident, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Signature, Token, Visibility};

/// A function as it was typed, with or without a body.
pub(crate) struct Declaration {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: Option<Group>,
}

impl Declaration {
    /// Reads the item under the attribute `name`.
    pub(crate) fn parse(name: &str, item: TokenStream) -> syn::Result<Self> {
        let parser = |input: ParseStream<'_>| {
            let attributes = input.call(Attribute::parse_outer)?;
            let visibility = input.parse()?;
            if let Some((keyword, found)) = not_a_function(input) {
                let message = format!("`#[{name}]` goes on a free function, not on {found}");
                return Err(syn::Error::new(keyword.span(), message));
            }
            let signature = input.parse()?;
            let body = if input.is_empty() || input.parse::<Option<Token![;]>>()?.is_some() {
                None
            } else {
                Some(input.parse()?)
            };
            Ok(Self { attributes, visibility, signature, body })
        };
        parser.parse2(item)
    }
}

/// Names the item if its keyword says that it is no function.
fn not_a_function(input: ParseStream<'_>) -> Option<(Ident, &'static str)> {
    let ahead = input.fork();
    // `unsafe impl`, `unsafe trait`, `const fn`, `extern "C" fn`: the qualifiers come first.
    while !ahead.peek(Token![fn]) && !ahead.is_empty() {
        let keyword = ahead.call(Ident::parse_any).ok()?;
        let found = match keyword.to_string().as_str() {
            "impl" => "an impl block: declare the function outside of it",
            "trait" => "a trait: declare the function outside of it",
            "struct" => "a struct",
            "enum" => "an enum",
            "union" => "a union",
            "mod" => "a module: put it on each function in it",
            "static" => "a static",
            "type" => "a type alias",
            "use" => "an import: put it where the function is declared",
            "const" if ahead.peek(syn::Ident) || ahead.peek(Token![_]) => "a constant",
            _ => continue,
        };
        return Some((keyword, found));
    }
    None
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn an_item_that_is_no_function_is_named() {
        for (item, named) in [
            (
                quote!(
                    pub struct Frame;
                ),
                "a struct",
            ),
            (
                quote!(
                    unsafe impl Send for Frame {}
                ),
                "an impl block",
            ),
            (
                quote!(
                    const LIMIT: u8 = 1;
                ),
                "a constant",
            ),
        ] {
            let message = Declaration::parse("callback", item).err().unwrap().to_string();
            assert!(message.contains(&format!("free function, not on {named}")), "{message}");
        }
    }
}
