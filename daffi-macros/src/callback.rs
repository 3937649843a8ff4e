//! `#[callback]`: the user's function, and beside it the entry by which a node finds and calls it.
//!
//! The entry lives in a struct of the function's name. Functions and braced structs have different namespaces, so
//! `use module::add` brings both, and `callbacks![add]` finds the entry through the name alone. The struct has no
//! associated types: a private type there would not compile under a `pub fn`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;

use crate::declaration::Declaration;
use crate::decoding::Decoding;
use crate::errors::Errors;
use crate::modifier::Word;
use crate::signature::{Checked, Output, Side};
use crate::types::is_byte_vec;

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    check_options(arguments, &mut errors);
    let declaration = match Declaration::parse("callback", item.clone()) {
        Ok(declaration) => declaration,
        Err(error) => {
            errors.add(error);
            let errors = errors.into_items();
            return quote! { #errors #item };
        }
    };
    let checked = Checked::new(Side::Callback, &declaration.signature, &mut errors);
    if declaration.body.is_none() {
        errors.push(
            &declaration.signature,
            "a callback needs a body; a stub for a function of another process is a `#[fetcher]`",
        );
    }
    let function = function(&declaration);
    if !errors.is_empty() {
        let errors = errors.into_items();
        return quote! { #errors #function };
    }
    let entry = entry(&declaration, &checked);
    quote! { #function #entry }
}

fn check_options(arguments: TokenStream, errors: &mut Errors) {
    match Word::parse_all(arguments) {
        Ok(words) => {
            for word in &words {
                let message = format!(
                    "unknown option `{}`: `#[callback]` takes no options; an execution modifier stands at the fetcher",
                    word.name
                );
                errors.push(word, message);
            }
        }
        Err(error) => errors.add(syn::Error::new(error.span(), "`#[callback]` takes no options")),
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

fn entry(declaration: &Declaration, checked: &Checked) -> TokenStream {
    let Declaration { visibility, signature, .. } = declaration;
    let ident = &signature.ident;
    let name = ident.unraw().to_string();
    let description = checked.fingerprint(signature, "Call");
    let (kind, invoke) = invoke(ident, signature.asyncness.is_some(), checked);
    quote! {
        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code, unreachable_pub)]
        #visibility struct #ident {}

        #[allow(deprecated)]
        impl ::daffi::__private::Definition for #ident {
            const CALLBACK: ::daffi::__private::Callback = {
                #invoke
                ::daffi::__private::Callback {
                    name: #name,
                    signature: ::daffi::__private::Signature { #description },
                    file: ::core::file!(),
                    line: ::core::line!(),
                    options: ::daffi::__private::CallbackOptions {
                        inline: false,
                        no_cancel: false,
                        limit: ::core::option::Option::None,
                    },
                    handler: ::daffi::__private::Handler::#kind(__daffi_invoke),
                }
            };
        }

        ::daffi::__private::inventory::submit! { <#ident as ::daffi::__private::Definition>::CALLBACK }
    }
}

/// `Sync` or `Async`, and the functions that decode, call and answer.
fn invoke(ident: &Ident, is_async: bool, checked: &Checked) -> (Ident, TokenStream) {
    let decoding = Decoding::new(&checked.parameters);
    let Decoding { decoder, pattern, arguments, .. } = &decoding;
    let args = local("args");
    let borrowed = if is_async { quote!(&#args) } else { quote!(#args) };
    let decode = decoding.call(&borrowed);
    let pending = is_async.then(|| quote!(.await));
    let answer = answer(&quote! { #ident(#(#arguments),*) #pending }, &checked.output);
    let body = quote! {
        let #pattern = #decode?;
        #answer
    };
    if !is_async {
        let invoke = quote! {
            #decoder
            fn __daffi_invoke(_: &::daffi::__private::State, #args: &[u8]) -> ::daffi::__private::Outcome { #body }
        };
        return (format_ident!("Sync"), invoke);
    }
    // On the function's name, since that is what has to change when its future cannot be sent to another thread.
    let boxed = quote_spanned! { ident.span()=> ::std::boxed::Box::pin(__daffi_run(#args)) };
    let invoke = quote! {
        #decoder
        async fn __daffi_run(#args: ::daffi::__private::Payload) -> ::daffi::__private::Outcome { #body }
        fn __daffi_invoke(
            _: ::daffi::__private::State,
            #args: ::daffi::__private::Payload,
        ) -> ::daffi::__private::BoxFuture<::daffi::__private::Outcome> {
            #boxed
        }
    };
    (format_ident!("Async"), invoke)
}

/// Makes the outcome of what `call` returns.
fn answer(call: &TokenStream, output: &Output) -> TokenStream {
    let value = local("value");
    let reply = reply(output, &value);
    match (&output.value, &output.error) {
        (None, None) => quote! { #call; ::daffi::__private::reply::<()>(&()) },
        (Some(_), None) => quote! { let #value = #call; #reply },
        (_, Some(error)) => quote! {
            match #call {
                ::core::result::Result::Ok(#value) => #reply,
                ::core::result::Result::Err(#value) => ::daffi::__private::reply_error::<#error>(&#value),
            }
        },
    }
}

fn reply(output: &Output, value: &Ident) -> TokenStream {
    if output.value.as_ref().is_some_and(is_byte_vec) {
        return quote! { ::daffi::__private::reply(::daffi::__private::BytesRef::new(&#value)) };
    }
    let ty = output.value_type();
    quote! { ::daffi::__private::reply::<#ty>(&#value) }
}

/// A local that the user's code cannot see, nor be shadowed by.
pub(crate) fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
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
    fn a_sync_callback_becomes_itself_and_an_entry() {
        let function = quote! { /** Adds. */ pub fn add(a: i64, b: i64) -> i64 { a + b } };
        let expansion = expand(quote!(), function.clone());
        let expected = quote! {
            #function
            #[doc(hidden)]
            #[allow(non_camel_case_types, dead_code, unreachable_pub)]
            pub struct add {}

            #[allow(deprecated)]
            impl ::daffi::__private::Definition for add {
                const CALLBACK: ::daffi::__private::Callback = {
                    fn __daffi_decode<__A0: ::daffi::__private::Decode, __A1: ::daffi::__private::Decode>(
                        args: &[u8],
                    ) -> ::core::result::Result<(__A0, __A1,), ::daffi::__private::Failure> {
                        ::daffi::__private::decode_args::<(__A0, __A1,)>(args, 2)
                    }
                    fn __daffi_invoke(args: &[u8]) -> ::daffi::__private::Outcome {
                        let (arg_0, arg_1,) = __daffi_decode::<i64, i64>(args)?;
                        let value = add(arg_0, arg_1);
                        ::daffi::__private::reply::<i64>(&value)
                    }
                    ::daffi::__private::Callback {
                        name: "add",
                        signature: "add(a: i64, b: i64) -> i64",
                        parameters: 2,
                        file: ::core::file!(),
                        line: ::core::line!(),
                        handler: ::daffi::__private::Handler::Sync(__daffi_invoke),
                    }
                };
            }

            ::daffi::__private::inventory::submit! { <add as ::daffi::__private::Definition>::CALLBACK }
        };
        assert_eq!(expansion.to_string(), expected.to_string());
    }

    #[test]
    fn an_async_callback_runs_in_a_boxed_future() {
        let expansion = expand(quote!(), quote! { async fn tidy() {} });
        assert_holds(
            &expansion,
            quote! {
                async fn __daffi_run(args: ::daffi::__private::Payload) -> ::daffi::__private::Outcome {
                    let ::daffi::__private::NoArgs {} =
                        ::daffi::__private::decode_args::<::daffi::__private::NoArgs>(&args, 0)?;
                    tidy().await;
                    ::daffi::__private::reply::<()>(&())
                }
            },
        );
        assert_holds(&expansion, quote! { ::std::boxed::Box::pin(__daffi_run(args)) });
        assert_holds(&expansion, quote! { ::daffi::__private::Handler::Async(__daffi_invoke) });
    }

    #[test]
    fn a_result_answers_with_either_side() {
        let expansion = expand(quote!(), quote! { fn read() -> Result<Vec<u8>, ReadError> { todo!() } });
        assert_holds(
            &expansion,
            quote! {
                match read() {
                    ::core::result::Result::Ok(value) =>
                        ::daffi::__private::reply(::daffi::__private::BytesRef::new(&value)),
                    ::core::result::Result::Err(value) => ::daffi::__private::reply_error::<ReadError>(&value),
                }
            },
        );
    }

    #[test]
    fn after_a_mistake_the_function_is_still_there() {
        let function = quote! { fn f(a: &mut u8) { body of any kind } };
        let expansion = expand(quote!(FG), function.clone());
        assert_eq!(expansion.to_string().matches("compile_error").count(), 2);
        assert_holds(&expansion, function);
        assert!(!expansion.to_string().contains("submit"));
    }
}
