//! How the arguments of a callback come out of the message: owned, lent for the call, or borrowed from it.
//!
//! The types are checked by a generic inner function that promises `Decode` for each, so that one missing derive is one error,
//! on the type, in our words: a bound on the tuple would report it once more.

use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::Type;

use crate::invoke::local;
use crate::parameters::Parameter;
use crate::signature::tuple;
use crate::types::{Kind, Shape};

/// How the arguments come out of the message.
pub(crate) struct Decoding<'a> {
    /// The function that decodes and checks; nothing if there are no parameters.
    pub(crate) decoder: TokenStream,
    /// The checked types, as type arguments of `decoder`.
    types: Vec<&'a Type>,
    /// Takes the decoded tuple apart.
    pub(crate) pattern: TokenStream,
    /// What the user's function is called with.
    pub(crate) arguments: Vec<TokenStream>,
}

impl<'a> Decoding<'a> {
    pub(crate) fn new(parameters: &'a [Parameter]) -> Self {
        let mut types = Vec::new();
        let mut generics = Vec::new();
        let mut decoded = Vec::new();
        let mut names = Vec::new();
        let mut arguments = Vec::new();
        for (index, parameter) in parameters.iter().enumerate() {
            let name = local(&format!("arg_{index}"));
            let shape = Shape::of(&parameter.ty);
            let mut generic = |ty| {
                let generic = format_ident!("__A{index}");
                types.push(ty);
                generics.push(generic.clone());
                generic
            };
            let (from, argument) = match (shape.kind, shape.borrowed) {
                (Kind::Text, true) => (quote!(&str), quote!(#name)),
                (Kind::ByteSlice, true) => (quote!(&::daffi::__private::BytesRef), quote!(#name)),
                (Kind::ByteVec, true) => (quote!(::daffi::__private::ByteBuf), quote!(&#name.into_vec())),
                (Kind::ByteVec, false) => (quote!(::daffi::__private::ByteBuf), quote!(#name.into_vec())),
                (Kind::Slice(element), true) => {
                    let generic = generic(element);
                    (quote!(::std::vec::Vec<#generic>), quote!(&#name))
                }
                (Kind::Other(ty), true) => (generic(ty).into_token_stream(), quote!(&#name)),
                // A bare `str` or `[T]` is no argument type; the compiler says so at the user's function.
                (_, false) => (generic(&parameter.ty).into_token_stream(), quote!(#name)),
            };
            decoded.push(from);
            names.push(name);
            arguments.push(argument);
        }
        if parameters.is_empty() {
            return Self { decoder: quote!(), types, pattern: quote!(::daffi::__private::NoArgs {}), arguments };
        }
        let count = Literal::usize_unsuffixed(parameters.len());
        let decoded = tuple(decoded);
        let decoder = quote! {
            fn __daffi_decode<#(#generics: ::daffi::__private::Decode),*>(
                args: &[u8],
            ) -> ::core::result::Result<#decoded, ::daffi::__private::Failure> {
                ::daffi::__private::decode_args::<#decoded>(args, #count)
            }
        };
        Self { decoder, types, pattern: tuple(names), arguments }
    }

    pub(crate) fn call(&self, args: &TokenStream) -> TokenStream {
        let types = &self.types;
        if self.decoder.is_empty() {
            quote! { ::daffi::__private::decode_args::<::daffi::__private::NoArgs>(#args, 0) }
        } else {
            quote! { __daffi_decode::<#(#types),*>(#args) }
        }
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn arguments_are_owned_borrowed_or_bytes() {
        let types: [Type; 7] = [
            parse_quote!(&str),
            parse_quote!(&[u8]),
            parse_quote!(Vec<u8>),
            parse_quote!(&Vec<u8>),
            parse_quote!(&[Point]),
            parse_quote!(&Point),
            parse_quote!(Bytes),
        ];
        let parameters = types.map(|ty| Parameter { name: format_ident!("any"), ty });
        let decoding = Decoding::new(&parameters);
        let decoded = quote! {
            ::daffi::__private::decode_args::<(
                &str,
                &::daffi::__private::BytesRef,
                ::daffi::__private::ByteBuf,
                ::daffi::__private::ByteBuf,
                ::std::vec::Vec<__A4>,
                __A5,
                __A6,
            )>(args, 7)
        };
        assert!(decoding.decoder.to_string().contains(&decoded.to_string()), "{}", decoding.decoder);
        let call = decoding.call(&quote!(args));
        assert_eq!(call.to_string(), quote!(__daffi_decode::<Point, Point, Bytes>(args)).to_string());
        let arguments = tuple(decoding.arguments);
        let expected = quote!((arg_0, arg_1, arg_2.into_vec(), &arg_3.into_vec(), &arg_4, &arg_5, arg_6,));
        assert_eq!(arguments.to_string(), expected.to_string());
    }
}
