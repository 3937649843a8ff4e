//! `#[callback]` on a function: the user's function, and beside it the entry by which a node finds and calls it.
//!
//! The entry lives in a struct of the function's name. Functions and braced structs have different namespaces, so
//! `use module::add` brings both, and `callbacks![add]` finds the entry through the name alone. The struct has no
//! associated types: a private type there would not compile under a `pub fn`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Signature, Type};

use crate::callback_options::CallbackOptions;
use crate::contract;
use crate::declaration::{Declaration, Item};
use crate::errors::Errors;
use crate::invoke::handler;
use crate::name;
use crate::service;
use crate::signature::{Checked, Kind, Side, location};

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    if Item::of(&item) == Item::Impl {
        return service::expand(arguments, item);
    }
    let mut errors = Errors::default();
    let options = CallbackOptions::parse(arguments, &mut errors);
    let declaration = match Declaration::parse("callback", item.clone()) {
        Ok(declaration) => declaration,
        Err(error) => {
            errors.add(error);
            let errors = errors.into_items();
            return quote! { #errors #item };
        }
    };
    let checked = check(Side::Callback, &options, &declaration, &mut errors);
    let name = name::on_the_wire(&declaration.signature.ident, options.name.as_ref(), None, &mut errors);
    let function = function(&declaration);
    if !errors.is_empty() {
        let errors = errors.into_items();
        return quote! { #errors #function };
    }
    let entry = entry(&declaration, &checked, &name, &options);
    quote! { #function #entry }
}

/// What is asked of a callback, be it a function or a method.
pub(crate) fn check(side: Side, options: &CallbackOptions, declaration: &Declaration, errors: &mut Errors) -> Checked {
    let checked = Checked::new(side, &declaration.signature, errors);
    if declaration.body.is_none() {
        errors.push(
            &declaration.signature,
            "a callback needs a body; a stub for a function of another process is a `#[fetcher]`",
        );
    }
    if let (Some(inline), Kind::Incoming) = (&options.inline, checked.kind()) {
        let message = "`inline` is for what takes microseconds, and a stream takes as long as it flows: remove it";
        errors.push(inline, message);
    }
    if let (Some(lossless), Kind::Results) = (&options.lossless, checked.kind()) {
        let message = "`lossless` is for what takes a stream or its items, and this returns one, of which nothing is dropped: \
                       remove it";
        errors.push(lossless, message);
    }
    checked
}

/// What a node knows of a callback. `of` is the type whose method it is.
pub(crate) fn description(
    signature: &Signature,
    of: Option<&Type>,
    checked: &Checked,
    name: &str,
    options: &CallbackOptions,
) -> TokenStream {
    let described = checked.describe(signature, checked.kind());
    let location = location(signature);
    let (functions, handler) = handler(signature, of, checked);
    quote! {
        {
            #functions
            ::daffi::__private::Callback {
                name: #name,
                signature: #described,
                #location
                options: #options,
                handler: #handler,
            }
        }
    }
}

/// The user's own function, which nothing is changed in; only a missing body is filled.
fn function(declaration: &Declaration) -> TokenStream {
    let Declaration { attributes, visibility, signature, body } = declaration;
    match body {
        Some(body) => quote! { #(#attributes)* #visibility #signature #body },
        None => quote! { #(#attributes)* #[allow(unused)] #visibility #signature { ::core::unreachable!() } },
    }
}

fn entry(declaration: &Declaration, checked: &Checked, name: &str, options: &CallbackOptions) -> TokenStream {
    let Declaration { visibility, signature, .. } = declaration;
    let ident = &signature.ident;
    let description = description(signature, None, checked, name, options);
    let allowances = contract::allowances();
    let contract = contract::signature(&contract::of_function(ident), checked);
    quote! {
        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code, unreachable_pub)]
        #visibility struct #ident {}

        #allowances
        impl #ident { #contract }

        #[allow(deprecated)]
        impl ::daffi::__private::Definition for #ident {
            const CALLBACK: ::daffi::__private::Callback = #description;
        }

        ::daffi::__private::inventory::submit! { <#ident as ::daffi::__private::Definition>::CALLBACK }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the expansion holds these tokens.
    fn assert_holds(expansion: &TokenStream, tokens: TokenStream) {
        let (expansion, tokens) = (expansion.to_string(), tokens.to_string());
        assert!(expansion.contains(&tokens), "no\n{tokens}\nin\n{expansion}");
    }

    #[test]
    fn a_callback_becomes_itself_and_an_entry() {
        let function = quote! { /** Adds. */ pub fn add(a: i64, b: i64) -> i64 { a + b } };
        let expansion = expand(quote!(name = "math.add", no_cancel), function.clone());
        let expected = quote! {
            #function
            #[doc(hidden)]
            #[allow(non_camel_case_types, dead_code, unreachable_pub)]
            pub struct add {}

            #[allow(dead_code, deprecated, private_interfaces, unused_variables, unreachable_pub, clippy::all)]
            impl add {
                #[doc(hidden)]
                pub fn __daffi_signature(a: i64, b: i64) -> ::daffi::__private::Returns<i64, ::daffi::Never> {
                    ::core::unreachable!()
                }
            }

            #[allow(deprecated)]
            impl ::daffi::__private::Definition for add {
                const CALLBACK: ::daffi::__private::Callback = {
                    fn __daffi_decode<__A0: ::daffi::__private::Decode, __A1: ::daffi::__private::Decode>(
                        args: &[u8],
                    ) -> ::core::result::Result<(__A0, __A1,), ::daffi::__private::Failure> {
                        ::daffi::__private::decode_args::<(__A0, __A1,)>(args, 2)
                    }
                    fn __daffi_invoke(_: &::daffi::__private::State, args: &[u8],) -> ::daffi::__private::Outcome {
                        let (arg_0, arg_1,) = __daffi_decode::<i64, i64>(args)?;
                        let value = add(arg_0, arg_1);
                        ::daffi::__private::reply::<i64>(&value)
                    }
                    ::daffi::__private::Callback {
                        name: "math.add",
                        signature: ::daffi::__private::Signature {
                            text: "add(a: i64, b: i64) -> i64",
                            kind: ::daffi::__private::Kind::Call,
                            parameters: &[("a", "i64"), ("b", "i64")],
                            result: "i64",
                        },
                        file: ::core::file!(),
                        line: ::core::line!(),
                        options: ::daffi::__private::CallbackOptions {
                            inline: false,
                            no_cancel: true,
                            limit: ::core::option::Option::None,
                            lossless: false
                        },
                        handler: ::daffi::__private::Handler::Sync(__daffi_invoke),
                    }
                };
            }

            ::daffi::__private::inventory::submit! { <add as ::daffi::__private::Definition>::CALLBACK }
        };
        assert_eq!(expansion.to_string(), expected.to_string());
    }

    #[test]
    fn a_contract_is_made_of_what_travels_owned() {
        let expansion =
            expand(quote!(), quote! { fn f(cx: Context, a: &str, b: &[a::B]) -> Result<(), E> { todo!() } });
        assert_holds(
            &expansion,
            quote! {
                pub fn __daffi_signature(a: ::std::string::String, b: ::std::vec::Vec<a::B>)
                    -> ::daffi::__private::Returns<(), E>
            },
        );
        let expansion = expand(quote!(), quote! { fn f(items: Incoming<&u8>) {} });
        assert!(!expansion.to_string().contains("__daffi_signature"), "a mistake");
        let expansion = expand(quote!(), quote! { fn f(items: Incoming<Frame>) -> u8 { 0 } });
        assert_holds(
            &expansion,
            quote! { __daffi_signature(items: Frame) -> ::daffi::__private::Returns<u8, ::daffi::Never> },
        );
        let expansion = expand(quote!(), quote! { fn f() -> impl Iterator<Item = u8> { 0..2 } });
        assert_holds(&expansion, quote! { -> ::daffi::__private::ReturnsStream<u8, ::daffi::Never> });
    }

    #[test]
    fn after_a_mistake_the_function_is_still_there() {
        let function = quote! { fn f(a: &mut u8) { body of any kind } };
        let expansion = expand(quote!(FG), function.clone());
        assert_eq!(expansion.to_string().matches("compile_error").count(), 2);
        assert_holds(&expansion, function);
        assert!(!expansion.to_string().contains("submit"));
    }

    #[test]
    fn what_returns_a_stream_drops_nothing() {
        let item = quote! { fn f() -> impl Iterator<Item = u8> { 0..2 } };
        let expansion = expand(quote!(lossless), item).to_string();
        assert!(expansion.contains("nothing is dropped"), "{expansion}");
    }

    #[test]
    fn what_takes_as_long_as_a_stream_is_not_inline() {
        let expansion = expand(quote!(inline), quote! { fn f(items: Incoming<u8>) {} }).to_string();
        assert!(expansion.contains("as long as it flows"), "{expansion}");
    }
}
