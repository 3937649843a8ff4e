//! `#[fetcher]`: reads the modifier and the declaration, and emits a stub, or all that is wrong with them.

use proc_macro2::TokenStream;
use quote::quote;

use crate::declaration::Declaration;
use crate::errors::Errors;
use crate::modifier::Modifier;
use crate::signature::{Checked, Side};
use crate::stub::{placeholder, stub};
use crate::types::Shape;

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let modifier = Modifier::parse(arguments, &mut errors);
    let declaration = match Declaration::parse("fetcher", item.clone()) {
        Ok(declaration) => declaration,
        Err(error) => {
            errors.add(error);
            let errors = errors.into_items();
            return quote! { #errors #item };
        }
    };
    let checked = Checked::new(Side::Fetcher, &declaration.signature, &mut errors);
    check(modifier, &declaration, &checked, &mut errors);
    if !errors.is_empty() {
        let errors = errors.into_items();
        let placeholder = placeholder(modifier, &declaration, &checked);
        return quote! { #errors #placeholder };
    }
    stub(modifier, &declaration, &checked)
}

/// What the modifier asks of the signature.
fn check(modifier: Modifier, declaration: &Declaration, checked: &Checked, errors: &mut Errors) {
    if let Some(body) = &declaration.body {
        errors.push(body, "a fetcher has no body: end the line with `;`");
    }
    let signature = &declaration.signature;
    match modifier {
        Modifier::OneWay if checked.output.value.is_some() || checked.output.error.is_some() => {
            let message = "nothing comes back from `BG(no_return)`: remove the return type, or use `BG`";
            errors.push(&signature.output, message);
        }
        Modifier::Stream => check_stream(declaration, checked, errors),
        _ => {}
    }
}

fn check_stream(declaration: &Declaration, checked: &Checked, errors: &mut Errors) {
    let signature = &declaration.signature;
    if checked.output.value.is_some() {
        errors.push(
            &signature.output,
            "a stream answers with its report, not with a value per item: remove the return type, or return \
             `Result<(), E>`",
        );
    }
    if signature.inputs.len() != 1 {
        let message = "a `STREAM` fetcher has exactly one parameter, its item: make the item a tuple or a struct";
        if signature.inputs.is_empty() {
            errors.push(signature, message);
        } else {
            errors.push(&signature.inputs, message);
        }
    }
    for parameter in &checked.parameters {
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
            fn f(__source_0: impl ::core::marker::Sized) -> ::daffi::StreamCall<::daffi::Never>
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
            (quote!(STREAM), quote! { fn f(a: u8) -> Result<u8, E>; }),
        ] {
            let expansion = expand(modifier, item).to_string();
            assert_eq!(expansion.matches("compile_error").count(), 1, "{expansion}");
        }
    }
}
