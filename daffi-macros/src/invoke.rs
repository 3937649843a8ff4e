//! How a callback is run: the functions that decode its arguments, call it and answer, as a node's handler.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Signature, Type};

use crate::decoding::Decoding;
use crate::output::Output;
use crate::parameters::Argument;
use crate::signature::Checked;
use crate::types::is_byte_vec;

/// The functions, and the handler that names them. `of` is the type whose method it is.
pub(crate) fn handler(signature: &Signature, of: Option<&Type>, checked: &Checked) -> (TokenStream, TokenStream) {
    let takes = checked.parameters.incoming.is_some();
    let (input, sync_input) = if takes {
        (quote!(::daffi::__private::Items), quote!(::daffi::__private::Items))
    } else {
        (quote!(::daffi::__private::Payload), quote!(&[u8]))
    };
    let ident = &signature.ident;
    let (state, args) = (local("state"), local("args"));
    let is_async = signature.asyncness.is_some();
    let (decoder, body) = body(signature, of, checked);
    // A function, and a method without a receiver, do not look at the state.
    let state = if checked.parameters.receiver { quote!(#state) } else { quote!(_) };
    if !is_async {
        let kind = format_ident!("{}", if takes { "TakeSync" } else { "Sync" });
        let functions = quote! {
            #decoder
            fn __daffi_invoke(
                #state: &::daffi::__private::State,
                #args: #sync_input,
            ) -> ::daffi::__private::Outcome { #body }
        };
        return (functions, quote!(::daffi::__private::Handler::#kind(__daffi_invoke)));
    }
    let kind = format_ident!("{}", if takes { "TakeAsync" } else { "Async" });
    let passed = local("state");
    // On the function's name, since that is what has to change when its future cannot be sent to another thread.
    let boxed = quote_spanned! { ident.span()=> ::std::boxed::Box::pin(__daffi_run(#passed, #args)) };
    let functions = quote! {
        #decoder
        async fn __daffi_run(
            #state: ::daffi::__private::State,
            #args: #input,
        ) -> ::daffi::__private::Outcome { #body }
        fn __daffi_invoke(
            #passed: ::daffi::__private::State,
            #args: #input,
        ) -> ::daffi::__private::BoxFuture<::daffi::__private::Outcome> {
            #boxed
        }
    };
    (functions, quote!(::daffi::__private::Handler::#kind(__daffi_invoke)))
}

/// The function that decodes, if there is one, and what decodes, calls and answers.
fn body(signature: &Signature, of: Option<&Type>, checked: &Checked) -> (TokenStream, TokenStream) {
    let args = local("args");
    let is_async = signature.asyncness.is_some();
    let (decoder, decode, decoded) = match &checked.parameters.incoming {
        Some(item) => {
            let incoming = if is_byte_vec(item) {
                quote!(::daffi::__private::incoming_bytes(#args))
            } else {
                quote!(::daffi::__private::incoming::<#item>(#args))
            };
            (quote!(), quote!(), vec![incoming])
        }
        None => {
            let decoding = Decoding::new(checked.travel());
            let borrowed = if is_async { quote!(&#args) } else { quote!(#args) };
            let decode = decoding.call(&borrowed);
            let Decoding { decoder, pattern, arguments, .. } = decoding;
            (decoder, quote!(let #pattern = #decode?;), arguments)
        }
    };
    let mut decoded = decoded.into_iter();
    let context = checked.parameters.context.as_ref();
    let arguments = checked.parameters.order.iter().map(|argument| match argument {
        // There are as many as travel, or the declaration would have been refused.
        Argument::Parameter => decoded.next().unwrap_or_default(),
        Argument::Context => quote!(::daffi::__private::context::<#context>()),
        Argument::ContextRef => quote!(&::daffi::__private::context::<#context>()),
    });
    let state = local("state");
    let value = checked.parameters.receiver.then(|| quote!(#state.of::<#of>(),));
    let ident = &signature.ident;
    let function = match of {
        Some(of) => quote!(<#of>::#ident),
        None => quote!(#ident),
    };
    let pending = is_async.then(|| quote!(.await));
    let answer = answer(&quote! { #function(#value #(#arguments),*) #pending }, &checked.output);
    (decoder, quote! { #decode #answer })
}

/// Makes the outcome of what `call` returns.
fn answer(call: &TokenStream, output: &Output) -> TokenStream {
    let value = local("value");
    let fallible = match output.results {
        Some(results) => results.opening,
        None => output.error.is_some(),
    };
    let reply = reply(output, &value);
    if fallible {
        let error = output.error_type();
        return quote! {
            match #call {
                ::core::result::Result::Ok(#value) => #reply,
                ::core::result::Result::Err(#value) => ::daffi::__private::reply_error::<#error>(&#value),
            }
        };
    }
    if output.value.is_none() && output.results.is_none() {
        return quote! { #call; ::daffi::__private::reply::<()>(&()) };
    }
    quote! { let #value = #call; #reply }
}

fn reply(output: &Output, value: &Ident) -> TokenStream {
    let (ty, error) = (output.value_type(), output.error_type());
    let Some(results) = output.results else {
        return if output.is_bytes() {
            quote! { ::daffi::__private::reply(::daffi::__private::BytesRef::new(&#value)) }
        } else {
            quote! { ::daffi::__private::reply::<#ty>(&#value) }
        };
    };
    let encode = match (output.is_bytes(), results.items) {
        (false, false) => quote!(encode_result::<#ty>),
        (true, false) => quote!(encode_bytes_result),
        (false, true) => quote!(encode_fallible_result::<#ty, #error>),
        (true, true) => quote!(encode_fallible_bytes_result::<#error>),
    };
    quote! { ::daffi::__private::results(#value, ::daffi::__private::#encode) }
}

/// A local that the user's code cannot see, nor be shadowed by.
pub(crate) fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;
    use crate::declaration::Declaration;
    use crate::errors::Errors;
    use crate::signature::Side;

    fn handled(of: Option<Type>, item: TokenStream) -> String {
        let declaration = Declaration::parse("callback", item).unwrap();
        let mut errors = Errors::default();
        let side = if of.is_some() { Side::Method } else { Side::Callback };
        let checked = Checked::new(side, &declaration.signature, &mut errors);
        assert!(errors.is_empty(), "{:?}", errors.messages());
        let (functions, handler) = handler(&declaration.signature, of.as_ref(), &checked);
        quote!(#functions #handler).to_string()
    }

    fn assert_handled(of: Option<Type>, item: TokenStream, expected: TokenStream) {
        assert_eq!(handled(of, item), expected.to_string());
    }

    fn assert_holds(item: TokenStream, part: TokenStream) {
        let (handled, part) = (handled(None, item), part.to_string());
        assert!(handled.contains(&part), "no\n{part}\nin\n{handled}");
    }

    #[test]
    fn a_sync_callback_answers_from_the_bytes() {
        assert_handled(
            None,
            quote! { fn add(a: i64, cx: &Context, b: i64) -> i64 {} },
            quote! {
                fn __daffi_decode<__A0: ::daffi::__private::Decode, __A1: ::daffi::__private::Decode>(
                    args: &[u8],
                ) -> ::core::result::Result<(__A0, __A1,), ::daffi::__private::Failure> {
                    ::daffi::__private::decode_args::<(__A0, __A1,)>(args, 2)
                }
                fn __daffi_invoke(_: &::daffi::__private::State, args: &[u8],) -> ::daffi::__private::Outcome {
                    let (arg_0, arg_1,) = __daffi_decode::<i64, i64>(args)?;
                    let value = add(arg_0, &::daffi::__private::context::<Context>(), arg_1);
                    ::daffi::__private::reply::<i64>(&value)
                }
                ::daffi::__private::Handler::Sync(__daffi_invoke)
            },
        );
    }

    #[test]
    fn an_async_method_runs_in_a_boxed_future() {
        assert_handled(
            Some(parse_quote!(Viewer)),
            quote! { async fn tidy(&self, cx: Context) {} },
            quote! {
                async fn __daffi_run(
                    state: ::daffi::__private::State,
                    args: ::daffi::__private::Payload,
                ) -> ::daffi::__private::Outcome {
                    let ::daffi::__private::NoArgs {} =
                        ::daffi::__private::decode_args::<::daffi::__private::NoArgs>(&args, 0)?;
                    <Viewer>::tidy(state.of::<Viewer>(), ::daffi::__private::context::<Context>()).await;
                    ::daffi::__private::reply::<()>(&())
                }
                fn __daffi_invoke(
                    state: ::daffi::__private::State,
                    args: ::daffi::__private::Payload,
                ) -> ::daffi::__private::BoxFuture<::daffi::__private::Outcome> {
                    ::std::boxed::Box::pin(__daffi_run(state, args))
                }
                ::daffi::__private::Handler::Async(__daffi_invoke)
            },
        );
    }

    #[test]
    fn a_whole_stream_is_passed_as_it_comes() {
        assert_handled(
            None,
            quote! { fn show(items: Incoming<Frame>) -> Summary {} },
            quote! {
                fn __daffi_invoke(
                    _: &::daffi::__private::State,
                    args: ::daffi::__private::Items,
                ) -> ::daffi::__private::Outcome {
                    let value = show(::daffi::__private::incoming::<Frame>(args));
                    ::daffi::__private::reply::<Summary>(&value)
                }
                ::daffi::__private::Handler::TakeSync(__daffi_invoke)
            },
        );
        assert_holds(
            quote! { async fn show(items: Incoming<Vec<u8>>) {} },
            quote! { show(::daffi::__private::incoming_bytes(args)).await; },
        );
        assert_holds(quote! { async fn show(items: Incoming<u8>) {} }, quote!(Handler::TakeAsync(__daffi_invoke)));
    }

    #[test]
    fn a_result_answers_with_either_side() {
        assert_holds(
            quote! { fn read() -> Result<Vec<u8>, ReadError> {} },
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
    fn results_are_taken_one_by_one() {
        for (item, answer) in [
            (
                quote! { fn f() -> impl Iterator<Item = Frame> {} },
                quote! {
                    let value = f(); ::daffi::__private::results(value, ::daffi::__private::encode_result::<Frame>)
                },
            ),
            (
                quote! { async fn f() -> impl Stream<Item = Result<Vec<u8>, E>> {} },
                quote! {
                    let value = f().await;
                    ::daffi::__private::results(value, ::daffi::__private::encode_fallible_bytes_result::<E>)
                },
            ),
            (
                quote! { fn f() -> Result<impl Iterator<Item = Result<u8, E>>, E> {} },
                quote! {
                    match f() {
                        ::core::result::Result::Ok(value) =>
                            ::daffi::__private::results(value, ::daffi::__private::encode_fallible_result::<u8, E>),
                        ::core::result::Result::Err(value) => ::daffi::__private::reply_error::<E>(&value),
                    }
                },
            ),
            (
                quote! { fn f() -> Result<impl Iterator<Item = Vec<u8>>, E> {} },
                quote! {
                    ::core::result::Result::Ok(value) =>
                        ::daffi::__private::results(value, ::daffi::__private::encode_bytes_result),
                },
            ),
        ] {
            assert_holds(item, answer);
        }
    }
}
