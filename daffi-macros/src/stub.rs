//! The stub that a fetcher becomes: a plain function that encodes its arguments at once and returns a lazy builder.
//!
//! Encoding at once is what lets a stub take borrowed arguments: the builder owns its bytes, so nothing has to outlive
//! the call expression.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::{FnArg, Pat, Type, Visibility};

use crate::contract;
use crate::declaration::Declaration;
use crate::encoding;
use crate::fetcher_options::OnSlow;
use crate::modifier::Modifier;
use crate::output::Output;
use crate::parameters::Parameter;
use crate::signature::{Checked, Kind, location};
use crate::types::is_byte_vec;

/// All that is known of a stub.
pub(crate) struct Stub<'a> {
    pub(crate) declaration: &'a Declaration,
    pub(crate) checked: &'a Checked,
    pub(crate) modifier: Modifier,
    /// On the wire.
    pub(crate) name: &'a str,
    pub(crate) idempotent: bool,
    pub(crate) on_slow: OnSlow,
    /// The type and the name of the signature that it is checked against.
    pub(crate) of: Option<(Type, Ident)>,
    /// The visibility of the client, if it is a method of one.
    pub(crate) client: Option<&'a Visibility>,
}

impl Stub<'_> {
    pub(crate) fn tokens(&self) -> TokenStream {
        let Declaration { attributes, signature, .. } = self.declaration;
        let (visibility, ident) = (self.visibility(), &signature.ident);
        let builder = self.builder();
        let described = self.described();
        let check = self.of.as_ref().map(|of| contract::check(of, self.modifier, signature, self.checked));
        let receiver = self.client.map(|_| quote!(&self,));
        let (generics, parameters, clause, call) =
            if self.modifier == Modifier::Stream { self.stream() } else { self.call() };
        let call = match self.client {
            Some(_) => quote!(::daffi::__private::aim(#call, &self.__target)),
            None => call,
        };
        quote! {
            #(#attributes)*
            #visibility fn #ident #generics (#receiver #parameters) -> #builder #clause {
                #described
                #check
                #call
            }
        }
    }

    /// What stands in for a stub that has mistakes, so that its uses do not fail as well.
    pub(crate) fn placeholder(&self) -> TokenStream {
        let Declaration { attributes, signature, .. } = self.declaration;
        let (visibility, ident) = (self.visibility(), &signature.ident);
        let builder = self.builder();
        let receiver = self.client.map(|_| quote!(&self,));
        let typed = signature.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(typed) => Some(typed),
            FnArg::Receiver(_) => None,
        });
        if self.modifier == Modifier::Stream {
            // The call site passes a source, not an item.
            let sources = typed.enumerate().map(|(index, _)| {
                let name = format_ident!("__source_{index}");
                quote!(#name: impl ::core::marker::Sized)
            });
            return quote! {
                #(#attributes)* #[allow(unused)]
                #visibility fn #ident(#receiver #(#sources),*) -> #builder { ::core::unreachable!() }
            };
        }
        let inputs = typed.map(|typed| {
            let ty = &typed.ty;
            let pattern = match &*typed.pat {
                Pat::Ident(pat) => pat.ident.to_token_stream(),
                _ => quote!(_),
            };
            quote!(#pattern: #ty)
        });
        let (parameters, _, clause) = signature.generics.split_for_impl();
        quote! {
            #(#attributes)* #[allow(unused)]
            #visibility fn #ident #parameters (#receiver #(#inputs),*) -> #builder #clause { ::core::unreachable!() }
        }
    }

    fn visibility(&self) -> &Visibility {
        self.client.unwrap_or(&self.declaration.visibility)
    }

    /// What it says of itself, to be compared with the callback.
    fn described(&self) -> TokenStream {
        let (name, idempotent, on_slow) = (self.name, self.idempotent, self.on_slow);
        let signature = &self.declaration.signature;
        let kind = match self.modifier {
            Modifier::Stream if self.checked.output.value.is_some() => Kind::Incoming,
            Modifier::Stream => Kind::Items,
            _ => self.checked.kind(),
        };
        let described = self.checked.describe(signature, kind);
        let location = location(signature);
        quote! {
            static __STUB: ::daffi::__private::Stub = ::daffi::__private::Stub {
                name: #name,
                signature: #described,
                #location
                idempotent: #idempotent,
                on_slow: #on_slow,
            };
        }
    }

    /// The generics, the parameters, the `where` clause and the call.
    fn call(&self) -> (TokenStream, TokenStream, TokenStream, TokenStream) {
        let output = &self.checked.output;
        let parameters = self.checked.travel().iter().map(|Parameter { name, ty }| quote!(#name: #ty));
        let (encoder, args) = encoding::encode(self.checked.travel());
        let decoders = match self.modifier {
            Modifier::OneWay => quote!(),
            _ => decoders(output),
        };
        let start = match self.modifier {
            Modifier::Foreground if output.results.is_some() => format_ident!("results_call"),
            Modifier::Background => format_ident!("background"),
            Modifier::OneWay => format_ident!("one_way"),
            Modifier::Broadcast => format_ident!("broadcast"),
            Modifier::Period => format_ident!("period"),
            Modifier::Foreground | Modifier::Stream => format_ident!("call"),
        };
        let call = quote!(::daffi::__private::#start(&__STUB, #args #decoders));
        // The inner function is an item, which may stand in the middle of an expression's block, and nowhere else.
        let call = if encoder.is_empty() { call } else { quote!({ #encoder #call }) };
        (quote!(), quote!(#(#parameters),*), quote!(), call)
    }

    fn stream(&self) -> (TokenStream, TokenStream, TokenStream, TokenStream) {
        let parameters = self.checked.travel();
        let items = parameters.iter().map(|parameter| &parameter.name);
        let types = parameters.iter().map(|parameter| &parameter.ty);
        let encoders = parameters.iter().map(|Parameter { name, ty }| {
            let encode = if is_byte_vec(ty) {
                quote!(::daffi::__private::encode_bytes_item)
            } else {
                quote!(::daffi::__private::encode_item::<#ty>)
            };
            quote!(#name, #encode)
        });
        let decoders = decoders(&self.checked.output);
        (
            quote!(<__Source, __Kind>),
            quote!(#(#items: __Source)*),
            quote!(where #(__Source: ::daffi::Source<#types, __Kind>)*),
            quote!(::daffi::__private::stream(&__STUB, #(#encoders)* #decoders)),
        )
    }

    /// The type that it returns.
    fn builder(&self) -> TokenStream {
        let output = &self.checked.output;
        let (value, error) = (output.value_type(), output.error_type());
        match self.modifier {
            Modifier::Foreground if output.results.is_some() => quote!(::daffi::ResultsCall<#value, #error>),
            // rustdoc shows what is written here, and most calls have no error of their own.
            Modifier::Foreground if output.error.is_none() => quote!(::daffi::Call<#value>),
            Modifier::Foreground => quote!(::daffi::Call<#value, #error>),
            Modifier::Background => quote!(::daffi::BackgroundCall<#value, #error>),
            Modifier::OneWay => quote!(::daffi::OneWayCall),
            Modifier::Broadcast => quote!(::daffi::BroadcastCall<#value, #error>),
            Modifier::Stream => quote!(::daffi::StreamCall<#value, #error>),
            Modifier::Period => quote!(::daffi::PeriodCall<#value, #error>),
        }
    }
}

/// `, DECODE_T, DECODE_E`
fn decoders(output: &Output) -> TokenStream {
    let (value, error) = (output.value_type(), output.error_type());
    let decode = if output.is_bytes() {
        quote!(::daffi::__private::decode_bytes)
    } else {
        quote!(::daffi::__private::decode::<#value>)
    };
    quote!(, #decode, ::daffi::__private::decode::<#error>)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetcher::expand;

    fn assert_expands(modifier: TokenStream, item: TokenStream, expected: TokenStream) {
        assert_eq!(expand(modifier, item).to_string(), expected.to_string());
    }

    fn described(name: &str, text: &str, kind: Kind, parameters: TokenStream, result: &str) -> TokenStream {
        quote! {
            static __STUB: ::daffi::__private::Stub = ::daffi::__private::Stub {
                name: #name,
                signature: ::daffi::__private::Signature {
                    text: #text,
                    kind: #kind,
                    parameters: &[#parameters],
                    result: #result,
                },
                file: ::core::file!(),
                line: ::core::line!(),
                idempotent: false,
                on_slow: ::daffi::OnSlow::Block,
            };
        }
    }

    #[test]
    fn a_call_is_encoded_at_once() {
        let described = described(
            "plus",
            "add(a: i64, b: &Number) -> Result<i64, MathError>",
            Kind::Call,
            quote!(("a", "i64"), ("b", "Number")),
            "Result<i64, MathError>",
        );
        assert_expands(
            quote!(name = "plus"),
            quote! { /** Adds. */ pub async fn add(a: i64, mut b: &Number) -> Result<i64, MathError>; },
            quote! {
                /** Adds. */
                pub fn add(a: i64, b: &Number) -> ::daffi::Call<i64, MathError> {
                    #described
                    {
                        fn __daffi_encode<
                            __A0: ::daffi::__private::Encode + ?::core::marker::Sized,
                            __A1: ::daffi::__private::Encode + ?::core::marker::Sized
                        >(arg_0: &__A0, arg_1: &__A1) -> ::daffi::__private::EncodedArgs {
                            ::daffi::__private::encode_args(&(arg_0, arg_1,))
                        }
                        ::daffi::__private::call(
                            &__STUB,
                            __daffi_encode::<i64, Number>(&a, b),
                            ::daffi::__private::decode::<i64>,
                            ::daffi::__private::decode::<MathError>
                        )
                    }
                }
            },
        );
    }

    #[test]
    fn each_modifier_has_its_builder() {
        let no_args = quote!(::daffi::__private::encode_args(&::daffi::__private::NoArgs {}));
        let decoders = quote!(::daffi::__private::decode::<()>, ::daffi::__private::decode::<::daffi::Never>);
        let stub = described("tidy", "tidy()", Kind::Call, quote!(), "()");
        for (modifier, builder, start) in [
            (quote!(BG), quote!(BackgroundCall), quote!(background)),
            (quote!(BROADCAST), quote!(BroadcastCall), quote!(broadcast)),
            (quote!(PERIOD), quote!(PeriodCall), quote!(period)),
        ] {
            let expected = quote! {
                fn tidy() -> ::daffi::#builder<(), ::daffi::Never> {
                    #stub
                    ::daffi::__private::#start(&__STUB, #no_args, #decoders)
                }
            };
            assert_expands(modifier, quote! { async fn tidy(); }, expected);
        }
        let expected = quote! {
            fn tidy() -> ::daffi::OneWayCall { #stub ::daffi::__private::one_way(&__STUB, #no_args) }
        };
        assert_expands(quote!(BG(no_return)), quote! { fn tidy(); }, expected);
    }

    #[test]
    fn a_stream_takes_a_source_of_its_item() {
        let stub = described(
            "show_stream",
            "show_stream(frame: Frame) -> Result<(), ShowError>",
            Kind::Items,
            quote!(("frame", "Frame")),
            "Result<(), ShowError>",
        );
        assert_expands(
            quote!(STREAM),
            quote! { async fn show_stream(frame: Frame) -> Result<(), ShowError>; },
            quote! {
                fn show_stream<__Source, __Kind>(frame: __Source) -> ::daffi::StreamCall<(), ShowError>
                where
                    __Source: ::daffi::Source<Frame, __Kind>
                {
                    #stub
                    ::daffi::__private::stream(
                        &__STUB,
                        frame,
                        ::daffi::__private::encode_item::<Frame>,
                        ::daffi::__private::decode::<()>,
                        ::daffi::__private::decode::<ShowError>
                    )
                }
            },
        );
        let bytes = expand(quote!(STREAM), quote! { fn f(item: Vec<u8>) -> Vec<u8>; }).to_string();
        assert!(bytes.contains("encode_bytes_item") && bytes.contains("decode_bytes"), "{bytes}");
        assert!(bytes.contains(&quote!(kind: ::daffi::__private::Kind::Incoming).to_string()), "{bytes}");
    }

    #[test]
    fn a_stream_of_results_has_a_call_of_its_own() {
        for item in [
            quote! { fn f() -> impl Stream<Item = Result<u8, E>> + Send; },
            quote! { fn f() -> Result<impl Iterator<Item = u8>, E>; },
        ] {
            let expansion = expand(quote!(FG), item).to_string();
            for part in [
                quote!(fn f() -> ::daffi::ResultsCall<u8, E>),
                quote!(::daffi::__private::results_call(&__STUB,)),
                quote!(kind: ::daffi::__private::Kind::Results, parameters: &[], result: "Result<u8, E>"),
                quote!(::daffi::__private::decode::<u8>, ::daffi::__private::decode::<E>),
            ] {
                let part = part.to_string();
                let part = part.trim_end_matches(&[' ', ')'][..]);
                assert!(expansion.contains(part), "no\n{part}\nin\n{expansion}");
            }
        }
    }

    #[test]
    fn a_checked_stub_calls_the_callbacks_signature_and_never_runs_it() {
        let expansion = expand(quote!(of = that::shrink), quote! { fn f(a: &str, b: u8) -> u64; }).to_string();
        let check = quote! {
            #[allow(warnings, clippy::all)]
            fn __daffi_check() {
                fn __daffi_value<T>() -> T { ::core::unreachable!() }
                let _: ::daffi::__private::Returns<u64, ::daffi::Never> = (<that::shrink>::__daffi_signature(
                    (__daffi_value::<::std::string::String>(),).0,
                    (__daffi_value::<u8>(),).0
                ),).0;
            }
        };
        assert!(expansion.contains(&check.to_string()), "{expansion}");
        for modifier in [quote!(STREAM), quote!(BG(no_return))] {
            let expansion = expand(quote!(#modifier, of = that::shrink), quote! { fn f(a: u8); }).to_string();
            assert!(expansion.contains("__daffi_check") && !expansion.contains("let _ :"), "{expansion}");
        }
    }
}
