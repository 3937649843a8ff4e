//! The item under an attribute: what kind of item it is, and a function of it.
//!
//! syn's `ItemFn` wants a block, and a fetcher has none; so a declaration is read here: attributes, visibility,
//! signature, then `;` or a body. The body stays tokens: the compiler says better than a macro what is wrong in it.

use proc_macro2::{Group, Ident, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Meta, Signature, Token, Visibility};

use crate::errors::Errors;

/// A function as it was typed, with or without a body.
pub(crate) struct Declaration {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: Option<Group>,
}

/// What an attribute can stand on, as far as the first keyword tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    Impl,
    Trait,
    /// A function, or an error.
    Other,
}

impl Item {
    pub(crate) fn of(item: &TokenStream) -> Self {
        let parser = |input: ParseStream<'_>| {
            input.call(Attribute::parse_outer)?;
            input.parse::<Visibility>()?;
            let found = keyword(input);
            input.parse::<TokenStream>()?;
            Ok(found)
        };
        match parser.parse2(item.clone()) {
            Ok(Some((keyword, _))) if keyword == "impl" => Self::Impl,
            Ok(Some((keyword, _))) if keyword == "trait" => Self::Trait,
            _ => Self::Other,
        }
    }
}

impl Declaration {
    /// Reads the item under the attribute `name`.
    pub(crate) fn parse(name: &str, item: TokenStream) -> syn::Result<Self> {
        let parser = |input: ParseStream<'_>| {
            let attributes = input.call(Attribute::parse_outer)?;
            let visibility = input.parse()?;
            if let Some((keyword, found)) = keyword(input) {
                let goes = match name {
                    "callback" => "a function, or on an impl block and its methods",
                    _ => "a function without a body, or on a trait",
                };
                let message = format!("`#[{name}]` goes on {goes}, not on {found}");
                return Err(syn::Error::new(keyword.span(), message));
            }
            Self::parse_function(attributes, visibility, input)
        };
        parser.parse2(item)
    }

    fn parse_function(attributes: Vec<Attribute>, visibility: Visibility, input: ParseStream<'_>) -> syn::Result<Self> {
        let signature = input.parse()?;
        let body =
            if input.is_empty() || input.parse::<Option<Token![;]>>()?.is_some() { None } else { Some(input.parse()?) };
        Ok(Self { attributes, visibility, signature, body })
    }
}

impl Parse for Declaration {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        Self::parse_function(attributes, visibility, input)
    }
}

/// Whether an attribute is daffi's of this name, by whatever path.
pub(crate) fn is_ours(attribute: &Attribute, name: &str) -> bool {
    attribute.path().segments.last().is_some_and(|segment| segment.ident == name)
}

/// Takes daffi's attribute of this name out of those of a method: what stands between its parentheses.
pub(crate) fn take_ours(attributes: &mut Vec<Attribute>, name: &str, errors: &mut Errors) -> Option<TokenStream> {
    let (ours, others) = attributes.drain(..).partition::<Vec<_>, _>(|attribute| is_ours(attribute, name));
    *attributes = others;
    let mut ours = ours.into_iter();
    let first = ours.next()?;
    for second in ours {
        errors.push(second, format!("`#[{name}]` is given twice: put all options into one"));
    }
    match first.meta {
        Meta::Path(_) => Some(TokenStream::new()),
        Meta::List(list) => Some(list.tokens),
        other => {
            errors.push(other, format!("write `#[{name}]`, or `#[{name}(..)]` with its options"));
            Some(TokenStream::new())
        }
    }
}

/// The keyword of an item that is no function, and how it is called.
pub(crate) fn keyword(input: ParseStream<'_>) -> Option<(Ident, &'static str)> {
    let ahead = input.fork();
    // `unsafe impl`, `unsafe trait`, `const fn`, `extern "C" fn`: the qualifiers come first.
    while !ahead.peek(Token![fn]) && !ahead.is_empty() {
        let keyword = ahead.call(Ident::parse_any).ok()?;
        let found = match keyword.to_string().as_str() {
            "impl" => "an impl block",
            "trait" => "a trait",
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
                    static LIMIT: u8 = 1;
                ),
                "a static",
            ),
            (
                quote!(
                    const LIMIT: u8 = 1;
                ),
                "a constant",
            ),
        ] {
            let message = Declaration::parse("callback", item).err().unwrap().to_string();
            assert!(message.contains(&format!("not on {named}")), "{message}");
        }
    }

    #[test]
    fn the_first_keyword_tells_what_it_is() {
        for (item, expected) in [
            (quote! { /** Doc. */ #[cfg(unix)] impl Viewer {} }, Item::Impl),
            (quote! { unsafe impl Send for Viewer {} }, Item::Impl),
            (quote! { pub(crate) trait Counter {} }, Item::Trait),
            (quote! { pub async unsafe fn trait_of() {} }, Item::Other),
            (quote! { fn f() -> impl Iterator<Item = u8>; }, Item::Other),
            (quote! { 3 }, Item::Other),
        ] {
            assert_eq!(Item::of(&item), expected, "{item}");
        }
    }

    #[test]
    fn our_attribute_is_taken_out_of_the_others() {
        let mut errors = Errors::default();
        let mut attributes: Vec<Attribute> = syn::parse_quote!(#[inline] #[daffi::callback(limit = 1)] #[cfg(unix)]);
        let options = take_ours(&mut attributes, "callback", &mut errors).unwrap();
        assert_eq!(options.to_string(), "limit = 1");
        assert_eq!(attributes.len(), 2);
        assert!(take_ours(&mut attributes, "callback", &mut errors).is_none());
        assert!(errors.is_empty());
        let mut attributes: Vec<Attribute> = syn::parse_quote!(#[callback = "add"] #[callback]);
        take_ours(&mut attributes, "callback", &mut errors);
        assert_eq!(errors.messages().len(), 2);
    }
}
