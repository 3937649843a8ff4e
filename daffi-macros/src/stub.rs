//! The stub that a fetcher becomes: a plain function that encodes its arguments at once and returns a lazy builder.
//!
//! Encoding at once is what lets a stub take borrowed arguments: the builder owns its bytes, so nothing has to outlive
//! the call expression.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::{FnArg, Pat};

use crate::declaration::Declaration;
use crate::encoding;
use crate::modifier::Modifier;
use crate::signature::{Checked, Output, Parameter};
use crate::types::is_byte_vec;

pub(crate) fn stub(modifier: Modifier, declaration: &Declaration, checked: &Checked) -> TokenStream {
    if modifier == Modifier::Stream {
        return stream_stub(declaration, checked);
    }
    let Declaration { attributes, visibility, signature, .. } = declaration;
    let ident = &signature.ident;
    let name = ident.unraw().to_string();
    let parameters = checked.parameters.iter().map(|Parameter { name, ty }| quote!(#name: #ty));
    let builder = builder(modifier, &checked.output);
    let stub = description(&name, "Call", declaration, checked);
    let (encoder, args) = encoding::encode(&checked.parameters);
    let decoders = match modifier {
        Modifier::OneWay => quote!(),
        _ => decoders(&checked.output),
    };
    let start = match modifier {
        Modifier::Background => format_ident!("background"),
        Modifier::OneWay => format_ident!("one_way"),
        Modifier::Broadcast => format_ident!("broadcast"),
        Modifier::Period => format_ident!("period"),
        Modifier::Foreground | Modifier::Stream => format_ident!("call"),
    };
    quote! {
        #(#attributes)*
        #visibility fn #ident(#(#parameters),*) -> #builder {
            #stub
            #encoder
            ::daffi::__private::#start(&STUB, #args #decoders)
        }
    }
}

fn stream_stub(declaration: &Declaration, checked: &Checked) -> TokenStream {
    let Declaration { attributes, visibility, signature, .. } = declaration;
    let ident = &signature.ident;
    let name = ident.unraw().to_string();
    let builder = builder(Modifier::Stream, &checked.output);
    let stub = description(&name, "Items", declaration, checked);
    let items = checked.parameters.iter().map(|parameter| &parameter.name);
    let types = checked.parameters.iter().map(|parameter| &parameter.ty);
    let encoders = checked.parameters.iter().map(|Parameter { name, ty }| {
        let encode = if is_byte_vec(ty) {
            quote!(::daffi::__private::encode_bytes_item)
        } else {
            quote!(::daffi::__private::encode_item::<#ty>)
        };
        quote!(#name, #encode)
    });
    let error = checked.output.error_type();
    quote! {
        #(#attributes)*
        #visibility fn #ident<__Source, __Kind>(#(#items: __Source)*) -> #builder
        where
            #(__Source: ::daffi::Source<#types, __Kind>)*
        {
            #stub
            ::daffi::__private::stream(
                &STUB, #(#encoders)*, ::daffi::__private::decode::<()>, ::daffi::__private::decode::<#error>
            )
        }
    }
}

fn description(name: &str, kind: &str, declaration: &Declaration, checked: &Checked) -> TokenStream {
    let fingerprint = checked.fingerprint(&declaration.signature, kind);
    quote! {
        static STUB: ::daffi::__private::Stub = ::daffi::__private::Stub {
            name: #name,
            signature: ::daffi::__private::Signature { #fingerprint },
            file: ::core::file!(),
            line: ::core::line!(),
            idempotent: false,
        };
    }
}

/// `, DECODE_T, DECODE_E`
fn decoders(output: &Output) -> TokenStream {
    let (value, error) = (output.value_type(), output.error_type());
    let decode = if output.value.as_ref().is_some_and(is_byte_vec) {
        quote!(::daffi::__private::decode_bytes)
    } else {
        quote!(::daffi::__private::decode::<#value>)
    };
    quote!(, #decode, ::daffi::__private::decode::<#error>)
}

/// The type that a stub returns.
fn builder(modifier: Modifier, output: &Output) -> TokenStream {
    let (value, error) = (output.value_type(), output.error_type());
    match modifier {
        // rustdoc shows what is written here, and most calls have no error of their own.
        Modifier::Foreground if output.error.is_none() => quote!(::daffi::Call<#value>),
        Modifier::Foreground => quote!(::daffi::Call<#value, #error>),
        Modifier::Background => quote!(::daffi::BackgroundCall<#value, #error>),
        Modifier::OneWay => quote!(::daffi::OneWayCall),
        Modifier::Broadcast => quote!(::daffi::BroadcastCall<#value, #error>),
        Modifier::Stream => quote!(::daffi::StreamCall<(), #error>),
        Modifier::Period => quote!(::daffi::PeriodCall<#value, #error>),
    }
}

/// What stands in for a stub that has mistakes, so that its uses do not fail as well.
pub(crate) fn placeholder(modifier: Modifier, declaration: &Declaration, checked: &Checked) -> TokenStream {
    let Declaration { attributes, visibility, signature, .. } = declaration;
    let ident = &signature.ident;
    let builder = builder(modifier, &checked.output);
    let typed = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(typed),
        FnArg::Receiver(_) => None,
    });
    if modifier == Modifier::Stream {
        // The call site passes a source, not an item.
        let sources = typed.enumerate().map(|(index, _)| {
            let name = format_ident!("__source_{index}");
            quote!(#name: impl ::core::marker::Sized)
        });
        return quote! {
            #(#attributes)* #[allow(unused)]
            #visibility fn #ident(#(#sources),*) -> #builder { ::core::unreachable!() }
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
        #visibility fn #ident #parameters (#(#inputs),*) -> #builder #clause { ::core::unreachable!() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetcher::expand;

    fn assert_expands(modifier: TokenStream, item: TokenStream, expected: TokenStream) {
        assert_eq!(expand(modifier, item).to_string(), expected.to_string());
    }

    #[test]
    fn a_call_is_encoded_at_once() {
        assert_expands(
            quote!(),
            quote! { /** Adds. */ pub async fn add(a: i64, mut b: &Number) -> Result<i64, MathError>; },
            quote! {
                /** Adds. */
                pub fn add(a: i64, b: &Number) -> ::daffi::Call<i64, MathError> {
                    fn __daffi_encode<
                        __A0: ::daffi::__private::Encode + ?::core::marker::Sized,
                        __A1: ::daffi::__private::Encode + ?::core::marker::Sized
                    >(arg_0: &__A0, arg_1: &__A1) -> ::daffi::__private::EncodedArgs {
                        ::daffi::__private::encode_args(&(arg_0, arg_1,))
                    }
                    ::daffi::__private::call(
                        "add",
                        __daffi_encode::<i64, Number>(&a, b),
                        ::daffi::__private::decode::<i64>,
                        ::daffi::__private::decode::<MathError>
                    )
                }
            },
        );
    }

    #[test]
    fn each_modifier_has_its_builder() {
        let no_args = quote!(::daffi::__private::encode_args(&::daffi::__private::NoArgs {}));
        let decoders = quote!(::daffi::__private::decode::<()>, ::daffi::__private::decode::<::daffi::Never>);
        for (modifier, builder, start) in [
            (quote!(BG), quote!(BackgroundCall), quote!(background)),
            (quote!(BROADCAST), quote!(BroadcastCall), quote!(broadcast)),
            (quote!(PERIOD), quote!(PeriodCall), quote!(period)),
        ] {
            let expected = quote! {
                fn tidy() -> ::daffi::#builder<(), ::daffi::Never> {
                    ::daffi::__private::#start("tidy", #no_args, #decoders)
                }
            };
            assert_expands(modifier, quote! { async fn tidy(); }, expected);
        }
        let expected = quote! {
            fn tidy() -> ::daffi::OneWayCall { ::daffi::__private::one_way("tidy", #no_args) }
        };
        assert_expands(quote!(BG(no_return)), quote! { fn tidy(); }, expected);
    }

    #[test]
    fn a_stream_takes_a_source_of_its_item() {
        assert_expands(
            quote!(STREAM),
            quote! { async fn show_stream(frame: Frame) -> Result<(), ShowError>; },
            quote! {
                fn show_stream<__Source, __Kind>(frame: __Source) -> ::daffi::StreamCall<ShowError>
                where
                    __Source: ::daffi::Source<Frame, __Kind>
                {
                    ::daffi::__private::stream(
                        "show_stream",
                        frame,
                        ::daffi::__private::encode_item::<Frame>,
                        ::daffi::__private::decode::<ShowError>
                    )
                }
            },
        );
        let bytes = expand(quote!(STREAM), quote! { fn f(item: Vec<u8>); }).to_string();
        assert!(bytes.contains("encode_bytes_item"), "{bytes}");
    }
}
