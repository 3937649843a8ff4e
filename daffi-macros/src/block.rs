//! An impl block as tokens: its header and body apart, its items told apart, and its attributes and `Self` replaced.
//!
//! What the user wrote is emitted as it was, and not as it would be printed after parsing.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, ItemImpl, Path, Signature, Token, Type, Visibility};

use crate::declaration::keyword;

/// The block's header as an empty block, and its body.
pub(crate) fn split(item: TokenStream) -> syn::Result<(ItemImpl, Group)> {
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    let Some(TokenTree::Group(body)) = tokens.pop() else {
        return Err(syn::Error::new_spanned(TokenStream::from_iter(tokens), "expected an impl block"));
    };
    tokens.push(Group::new(Delimiter::Brace, TokenStream::new()).into());
    Ok((syn::parse2(TokenStream::from_iter(tokens))?, body))
}

/// The item without the attributes on its methods, which would expand on their own.
pub(crate) fn unmarked(item: &TokenStream) -> TokenStream {
    let mut tokens: Vec<TokenTree> = item.clone().into_iter().collect();
    if let Some(TokenTree::Group(body)) = tokens.last_mut() {
        let mut kept: Vec<TokenTree> = Vec::new();
        for token in body.stream() {
            if let TokenTree::Group(attribute) = &token
                && attribute.delimiter() == Delimiter::Bracket
                && matches!(kept.last(), Some(TokenTree::Punct(hash)) if hash.as_char() == '#')
                && names_ours(attribute.stream())
            {
                kept.pop();
                continue;
            }
            kept.push(token);
        }
        let mut unmarked = Group::new(Delimiter::Brace, TokenStream::from_iter(kept));
        unmarked.set_span(body.span());
        *body = unmarked;
    }
    TokenStream::from_iter(tokens)
}

/// Whether these are the insides of `#[callback]`, by whatever path.
fn names_ours(attribute: TokenStream) -> bool {
    let parser = |input: ParseStream<'_>| {
        let path = input.call(Path::parse_mod_style)?;
        input.parse::<TokenStream>()?;
        Ok(path.segments.last().is_some_and(|segment| segment.ident == "callback"))
    };
    parser.parse2(attribute).unwrap_or(false)
}

/// Whether the next item is a function.
pub(crate) fn is_function(input: ParseStream<'_>) -> syn::Result<bool> {
    let ahead = input.fork();
    ahead.call(Attribute::parse_outer)?;
    ahead.parse::<Visibility>()?;
    let invocation = ahead.fork();
    let is_macro = invocation.call(Path::parse_mod_style).is_ok() && invocation.peek(Token![!]);
    Ok(!is_macro && keyword(&ahead).is_none())
}

/// The signature with the type in place of `Self`, which means nothing beside the block.
pub(crate) fn named(signature: &Signature, of: &Type) -> Signature {
    let named = name_self(signature.to_token_stream(), &of.to_token_stream());
    // What it does not parse with, `Self::Item` of a tuple for one, stays as it was.
    syn::parse2(named).unwrap_or_else(|_| signature.clone())
}

fn name_self(tokens: TokenStream, of: &TokenStream) -> TokenStream {
    let name = |token| match token {
        TokenTree::Ident(ident) if ident == "Self" => of
            .clone()
            .into_iter()
            .map(|mut token| {
                token.set_span(ident.span());
                token
            })
            .collect(),
        TokenTree::Group(group) => {
            let mut named = Group::new(group.delimiter(), name_self(group.stream(), of));
            named.set_span(group.span());
            TokenTree::Group(named).into()
        }
        other => TokenStream::from(other),
    };
    tokens.into_iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use quote::quote;
    use syn::parse_quote;

    use super::*;

    #[test]
    fn only_our_attributes_are_taken_out_of_the_body() {
        let item = quote! {
            #[callback] impl A { #![allow(unused)] #[inline] #[daffi::callback(limit = 1)] fn f() { #[callback] fn g() {} } }
        };
        let expected = quote! {
            #[callback] impl A { #![allow(unused)] #[inline] fn f() { #[callback] fn g() {} } }
        };
        assert_eq!(unmarked(&item).to_string(), expected.to_string());
    }

    #[test]
    fn functions_are_told_from_other_items() {
        for (item, is) in [
            (quote! { #[inline] pub(crate) async unsafe extern "C" fn f() {} }, true),
            (quote! { const fn f() {} }, true),
            (quote! { const A: u8 = 1; }, false),
            (quote! { type A = u8; }, false),
            (quote! { some::items! { fn f() {} } }, false),
        ] {
            let parser = |input: ParseStream<'_>| {
                let found = is_function(input);
                input.parse::<TokenStream>()?;
                found
            };
            assert_eq!(parser.parse2(item.clone()).unwrap(), is, "{item}");
        }
    }

    #[test]
    fn self_is_the_type_wherever_it_stands() {
        let signature: Signature = parse_quote!(fn f(&self, a: Option<Self>, b: Self::Item) -> [Self; 2]);
        let expected: Signature = parse_quote!(fn f(&self, a: Option<a::B>, b: a::B::Item) -> [a::B; 2]);
        let named = named(&signature, &parse_quote!(a::B));
        assert_eq!(named.to_token_stream().to_string(), expected.to_token_stream().to_string());
    }
}
