//! `#[fetcher]` on a function: reads the options and the declaration, and emits a stub, or all that is wrong with them.

use proc_macro2::TokenStream;
use quote::quote;

use crate::client;
use crate::contract::of_function;
use crate::declaration::{Declaration, Item};
use crate::errors::Errors;
use crate::fetcher_options::FetcherOptions;
use crate::modifier::Modifier;
use crate::name;
use crate::signature::{Checked, Side};
use crate::stub::Stub;
use crate::types::Shape;

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    if Item::of(&item) == Item::Trait {
        return client::expand(arguments, item);
    }
    let mut errors = Errors::default();
    let options = FetcherOptions::parse(arguments, &mut errors);
    let declaration = match Declaration::parse("fetcher", item.clone()) {
        Ok(declaration) => declaration,
        Err(error) => {
            errors.add(error);
            let errors = errors.into_items();
            return quote! { #errors #item };
        }
    };
    let checked = check(Side::Fetcher, &options, &declaration, &mut errors);
    if let Some(body) = &declaration.body {
        errors.push(body, "a fetcher has no body: end the line with `;`");
    }
    let name = name::on_the_wire(&declaration.signature.ident, options.name.as_ref(), None, &mut errors);
    let stub = Stub {
        declaration: &declaration,
        checked: &checked,
        modifier: options.modifier(),
        name: &name,
        idempotent: options.idempotent.is_some(),
        on_slow: options.on_slow(),
        of: options.of.clone().map(|of| (of, of_function(&declaration.signature.ident))),
        client: None,
    };
    if !errors.is_empty() {
        let errors = errors.into_items();
        let placeholder = stub.placeholder();
        return quote! { #errors #placeholder };
    }
    stub.tokens()
}

/// What is asked of a stub, be it a function or a method of a client.
pub(crate) fn check(side: Side, options: &FetcherOptions, declaration: &Declaration, errors: &mut Errors) -> Checked {
    let signature = &declaration.signature;
    let checked = Checked::new(side, signature, errors);
    let output = &checked.output;
    match options.modifier() {
        Modifier::Foreground => {}
        _ if output.results.is_some() => {
            errors.push(&signature.output, "a stream of results is asked of one node, by `FG`: remove the modifier");
        }
        Modifier::OneWay if output.value.is_some() || output.error.is_some() => {
            let message = "nothing comes back from `BG(no_return)`: remove the return type, or use `BG`";
            errors.push(&signature.output, message);
        }
        _ => {}
    }
    if let (Some(idempotent), Some(_)) = (&options.idempotent, output.results) {
        let message = "a stream of results may have been taken from already, so it is not made again by itself: remove \
                       `idempotent`";
        errors.push(idempotent, message);
    }
    if options.modifier() == Modifier::Stream {
        check_item(declaration, &checked, errors);
    }
    checked
}

fn check_item(declaration: &Declaration, checked: &Checked, errors: &mut Errors) {
    let signature = &declaration.signature;
    if checked.parameters.order.len() != 1 {
        let message = "a `STREAM` fetcher has exactly one parameter, its item: make the item a tuple or a struct";
        if signature.inputs.is_empty() {
            errors.push(signature, message);
        } else {
            errors.push(&signature.inputs, message);
        }
    }
    for parameter in checked.travel() {
        if Shape::of(&parameter.ty).borrowed {
            errors.push(&parameter.ty, "an item is owned, since it outlives the call: remove the `&`");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_mistake_a_placeholder_has_the_builder_that_was_meant() {
        let expansion = expand(quote!(stream), quote! { fn f(item: u8); }).to_string();
        let placeholder = quote! {
            fn f(__source_0: impl ::core::marker::Sized) -> ::daffi::StreamCall<(), ::daffi::Never>
            { ::core::unreachable!() }
        };
        assert!(expansion.contains("compile_error"), "{expansion}");
        assert!(expansion.contains(&placeholder.to_string()), "{expansion}");
    }

    #[test]
    fn what_the_modifier_does_not_allow_is_refused() {
        for (modifier, item) in [
            (quote!(), quote! { fn f() {} }),
            (quote!(BG(no_return)), quote! { fn f() -> u8; }),
            (quote!(STREAM), quote! { fn f(); }),
            (quote!(STREAM), quote! { fn f(a: u8, b: u8); }),
            (quote!(STREAM), quote! { fn f(a: &u8); }),
            (quote!(STREAM), quote! { fn f(a: u8) -> impl Stream<Item = u8>; }),
            (quote!(BROADCAST), quote! { fn f() -> impl Iterator<Item = u8>; }),
            (quote!(BG), quote! { fn f() -> Result<impl Iterator<Item = u8>, E>; }),
            (quote!(idempotent), quote! { fn f() -> impl Iterator<Item = u8>; }),
            (quote!(name = "a b"), quote! { fn f(); }),
        ] {
            let expansion = expand(modifier, item).to_string();
            assert_eq!(expansion.matches("compile_error").count(), 1, "{expansion}");
        }
    }
}
