//! What lets the compiler check a stub: beside each callback a function of its owned types that is never run, and beside a stub
//! with `of` a function that calls it, and is never run either.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{ReturnType, Signature, Type};

use crate::modifier::Modifier;
use crate::normal::owned;
use crate::output::Output;
use crate::signature::Checked;

/// What the signatures in an impl are allowed, which nobody wrote and nobody sees.
pub(crate) fn allowances() -> TokenStream {
    quote!(#[allow(dead_code, deprecated, private_interfaces, unused_variables, unreachable_pub, clippy::all)])
}

/// The name of the function for a function.
pub(crate) fn of_function(ident: &Ident) -> Ident {
    Ident::new("__daffi_signature", ident.span())
}

/// The name of the function for a method, of its name on the wire (without what the impl block puts before it): that is
/// what a stub calls.
pub(crate) fn of_method(name: &str, method: &Ident) -> Ident {
    let mut ident = String::from("__daffi_signature_");
    for character in name.chars() {
        match character {
            '_' | '0'..='9' | 'a'..='z' | 'A'..='Z' => ident.push(character),
            other => ident.push_str(&format!("_u{:x}_", u32::from(other))),
        }
    }
    Ident::new(&ident, method.span())
}

/// The callback's side.
pub(crate) fn signature(name: &Ident, checked: &Checked) -> TokenStream {
    let names = checked.travel().iter().map(|parameter| &parameter.name);
    let types = travelling(checked);
    let returns = returns(&checked.output);
    quote! {
        #[doc(hidden)]
        pub fn #name(#(#names: #types),*) -> #returns { ::core::unreachable!() }
    }
}

/// The stub's side; `callback` is the type that the callback's signature belongs to, and its name.
///
/// What is wrong is underlined where the stub says it: each expression stands in the place of the type that it is about.
pub(crate) fn check(
    callback: &(Type, Ident),
    modifier: Modifier,
    signature: &Signature,
    checked: &Checked,
) -> TokenStream {
    let values = travelling(checked)
        .into_iter()
        .zip(checked.travel())
        .map(|(owned, parameter)| in_place_of(&parameter.ty, &quote!(__daffi_value::<#owned>())));
    let (of, name) = callback;
    let (less, greater, colons) = (quote!(<), quote!(>), quote!(::));
    let [less, greater, colons] = [less, greater, colons].map(|tokens| placed(tokens, name.span()));
    let call = quote!(#less #of #greater #colons #name(#(#values),*));
    let compared = match modifier {
        Modifier::OneWay => false,
        Modifier::Stream => checked.output.value.is_some(),
        _ => true,
    };
    let compare = if compared {
        let declared = match &signature.output {
            ReturnType::Default => signature.ident.to_token_stream(),
            ReturnType::Type(_, ty) => ty.to_token_stream(),
        };
        let expected = placed(returns(&checked.output), ends(&declared).0);
        let found = in_place_of(&declared, &call);
        quote! { let _: #expected = #found; }
    } else {
        quote! { #call; }
    };
    quote! {
        #[allow(warnings, clippy::all)]
        fn __daffi_check() {
            fn __daffi_value<T>() -> T { ::core::unreachable!() }
            #compare
        }
    }
}

/// The types that travel, owned.
fn travelling(checked: &Checked) -> Vec<Type> {
    match &checked.parameters.incoming {
        Some(item) => vec![owned(item)],
        None => checked.travel().iter().map(|parameter| owned(&parameter.ty)).collect(),
    }
}

fn returns(output: &Output) -> TokenStream {
    let (value, error) = (output.value_type(), output.error_type());
    match output.results {
        Some(_) => quote!(::daffi::__private::ReturnsStream<#value, #error>),
        None => quote!(::daffi::__private::Returns<#value, #error>),
    }
}

/// The value as an expression that begins and ends where `place` does. No name may stand in it, which the user's place could hide.
fn in_place_of(place: &impl ToTokens, value: &TokenStream) -> TokenStream {
    let (first, last) = ends(place);
    let tuple = placed(quote!((#value,)), first);
    let field = placed(quote!(.0), last);
    quote!(#tuple #field)
}

/// The places of the first token and of the last.
fn ends(tokens: &impl ToTokens) -> (Span, Span) {
    let mut tokens = tokens.to_token_stream().into_iter();
    let first = tokens.next().map_or_else(Span::call_site, |token| token.span());
    (first, tokens.last().map_or(first, |token| token.span()))
}

/// The tokens in one place of the user's. All of an expression are put there: one of them elsewhere, and the compiler would
/// underline what lies between.
fn placed(tokens: impl ToTokens, place: Span) -> TokenStream {
    let place = |mut token: TokenTree| {
        token.set_span(place);
        token
    };
    tokens.to_token_stream().into_iter().map(place).collect()
}
