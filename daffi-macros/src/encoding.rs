//! How the arguments of a stub get into the message.
//!
//! They are checked and encoded by a generic inner function that promises `Encode` for each type, so that one missing derive is
//! one error, on the type, in our words: a bound on the tuple would report it once more. Lifetimes in the types stay
//! elided, which a `where` clause would not allow.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::Type;

use crate::parameters::Parameter;
use crate::signature::tuple;
use crate::types::{Kind, Shape};

/// The function that checks and encodes the arguments, and the call of it.
pub(crate) fn encode(parameters: &[Parameter]) -> (TokenStream, TokenStream) {
    if parameters.is_empty() {
        let args = quote!(::daffi::__private::encode_args(&::daffi::__private::NoArgs {}));
        return (quote!(), args);
    }
    let mut bounds = Vec::new();
    let mut types: Vec<&Type> = Vec::new();
    let mut names: Vec<Ident> = Vec::new();
    let mut taken = Vec::new();
    let mut passed = Vec::new();
    for (index, Parameter { name, ty }) in parameters.iter().enumerate() {
        let shape = Shape::of(ty);
        let mut generic = |ty, bound: TokenStream| {
            let generic = format_ident!("__A{index}");
            types.push(ty);
            bounds.push(quote!(#generic: #bound));
            generic
        };
        let encode = quote!(::daffi::__private::Encode);
        // What is behind a reference need not have a size, `&Path` for one.
        let encode_unsized = quote!(#encode + ?::core::marker::Sized);
        let value = if shape.borrowed { quote!(#name) } else { quote!(&#name) };
        let (of, value) = match shape.kind {
            Kind::Text if shape.borrowed => (quote!(str), value),
            Kind::ByteSlice if shape.borrowed => bytes(&value),
            Kind::ByteVec => bytes(&value),
            Kind::Slice(element) if shape.borrowed => {
                let generic = generic(element, encode);
                (quote!([#generic]), value)
            }
            Kind::Other(ty) => (generic(ty, encode_unsized).into_token_stream(), value),
            // A bare `str` or `[T]` is no argument type; the compiler says so at the stub.
            Kind::Text | Kind::ByteSlice | Kind::Slice(_) => (generic(ty, encode_unsized).into_token_stream(), value),
        };
        let name = format_ident!("arg_{index}");
        taken.push(quote!(#name: &#of));
        names.push(name);
        passed.push(value);
    }
    let values = tuple(&names);
    let encoder = quote! {
        fn __daffi_encode<#(#bounds),*>(#(#taken),*) -> ::daffi::__private::EncodedArgs {
            ::daffi::__private::encode_args(&#values)
        }
    };
    (encoder, quote!(__daffi_encode::<#(#types),*>(#(#passed),*)))
}

fn bytes(value: &TokenStream) -> (TokenStream, TokenStream) {
    (quote!(::daffi::__private::BytesRef), quote!(::daffi::__private::BytesRef::new(#value)))
}

#[cfg(test)]
mod tests {
    use crate::fetcher::expand;

    use super::*;

    #[test]
    fn bytes_and_text_go_as_they_are() {
        let expansion =
            expand(quote!(), quote! { fn f(a: &str, b: &[u8], c: Vec<u8>, d: &[&str]) -> Vec<u8>; }).to_string();
        for part in [
            quote!((arg_0: &str, arg_1: &::daffi::__private::BytesRef, arg_2: &::daffi::__private::BytesRef, arg_3: &[__A3])),
            quote!(<&str>(a, ::daffi::__private::BytesRef::new(b), ::daffi::__private::BytesRef::new(&c), d)),
            quote!(::daffi::__private::decode_bytes, ::daffi::__private::decode::<::daffi::Never>),
            quote!(-> ::daffi::Call<Vec<u8> >),
        ] {
            assert!(expansion.contains(&part.to_string()), "no\n{part}\nin\n{expansion}");
        }
    }
}
