//! What lets the compiler check a stub: beside each callback a function of its owned types that is never run, and beside a stub
//! with `of` a function that calls it, and is never run either.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::{Signature, Type};

use crate::modifier::Modifier;
use crate::normal::owned;
use crate::output::Output;
use crate::signature::Checked;

/// What the signatures in an impl are allowed, which nobody wrote and nobody sees.
pub(crate) fn allowances() -> TokenStream {
    quote!(#[allow(dead_code, deprecated, private_interfaces, unused_variables, unreachable_pub, clippy::all)])
}

/// The name of the function for a function.
pub(crate) fn of_function(span: Span) -> Ident {
    Ident::new("__daffi_signature", span)
}

/// The name of the function for a method, of its name on the wire (without what the impl block puts before it): that is
/// what a stub calls.
pub(crate) fn of_method(name: &str, span: Span) -> Ident {
    let mut ident = String::from("__daffi_signature_");
    for character in name.chars() {
        match character {
            '_' | '0'..='9' | 'a'..='z' | 'A'..='Z' => ident.push(character),
            other => ident.push_str(&format!("_u{:x}_", u32::from(other))),
        }
    }
    Ident::new(&ident, span)
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

/// The stub's side; `callback` is the path of the callback's.
///
/// What is wrong is underlined where the stub says it: each expression has the span of the type that it stands for.
pub(crate) fn check(
    callback: &TokenStream,
    modifier: Modifier,
    signature: &Signature,
    checked: &Checked,
) -> TokenStream {
    let values = travelling(checked)
        .into_iter()
        .zip(checked.travel())
        .map(|(owned, parameter)| spanned_call("__daffi_value", &quote!(::<#owned>), &quote!(), &parameter.ty));
    let call = quote!(#callback(#(#values),*));
    let compared = match modifier {
        Modifier::OneWay => false,
        Modifier::Stream => checked.output.value.is_some(),
        _ => true,
    };
    let compare = if compared {
        let expected = returns(&checked.output);
        let declared = match &signature.output {
            syn::ReturnType::Default => signature.ident.to_token_stream(),
            syn::ReturnType::Type(_, ty) => ty.to_token_stream(),
        };
        let found = spanned_call("__daffi_same", &quote!(), &quote!(found), &declared);
        quote! {
            let found = #call;
            let _: #expected = #found;
        }
    } else {
        quote! { #call; }
    };
    quote! {
        #[allow(warnings, clippy::all)]
        fn __daffi_check() {
            fn __daffi_value<T>() -> T { ::core::unreachable!() }
            fn __daffi_same<T>(same: T) -> T { same }
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

/// `name(arguments)`, which begins and ends where `place` does.
fn spanned_call(name: &str, generics: &TokenStream, arguments: &TokenStream, place: &impl ToTokens) -> TokenStream {
    let mut tokens = place.to_token_stream().into_iter();
    let first = tokens.next().map_or_else(Span::call_site, |token| token.span());
    let last = tokens.last().map_or(first, |token| token.span());
    let name = Ident::new(name, first);
    let mut arguments = Group::new(proc_macro2::Delimiter::Parenthesis, arguments.clone());
    arguments.set_span(last);
    let arguments = TokenTree::Group(arguments);
    quote!(#name #generics #arguments)
}

/// The path of a method's signature.
pub(crate) fn method_path(of: &Type, name: &str, method: &Ident) -> TokenStream {
    let signature = of_method(name, method.span());
    quote!(<#of>::#signature)
}

/// The path of a function's signature.
pub(crate) fn function_path(of: &Type) -> TokenStream {
    let signature = format_ident!("__daffi_signature");
    quote!(<#of>::#signature)
}
