//! What both attributes ask of a signature, and what is left of it when it passes.
//!
//! The messages say what to do; where the two ends differ in that, they are told which end they speak to.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{ReturnType, Signature};

use crate::errors::Errors;
use crate::normal;
use crate::output::Output;
use crate::parameters::{Parameter, Parameters};
use crate::tidy::tidy;

/// What a declaration describes: what the messages advise depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// A function that is called.
    Callback,
    /// A method that is called.
    Method,
    /// A stub.
    Fetcher,
    /// A method of a client.
    Client,
}

impl Side {
    /// Whether it is the calling one.
    pub(crate) fn calls(self) -> bool {
        matches!(self, Self::Fetcher | Self::Client)
    }
}

/// How a callback is called, as `daffi_core` names it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Arguments, and one result.
    Call,
    /// Arguments, and a stream of results.
    Results,
    /// Once for each item of a stream.
    Items,
    /// Once for a whole stream.
    Incoming,
}

impl ToTokens for Kind {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let kind = format_ident!(
            "{}",
            match self {
                Self::Call => "Call",
                Self::Results => "Results",
                Self::Items => "Items",
                Self::Incoming => "Incoming",
            }
        );
        tokens.extend(quote!(::daffi::__private::Kind::#kind));
    }
}

/// The shared part of a declaration, as far as it could be understood.
pub(crate) struct Checked {
    pub(crate) parameters: Parameters,
    pub(crate) output: Output,
}

impl Checked {
    /// Collects every mistake into `errors`; what it returns is then good for a placeholder only.
    pub(crate) fn new(side: Side, signature: &Signature, errors: &mut Errors) -> Self {
        check_qualifiers(signature, errors);
        let parameters = Parameters::new(side, &signature.inputs, errors);
        let output = Output::new(&signature.output, errors);
        if parameters.incoming.is_some() && output.results.is_some() {
            let message = "a callback takes a stream or returns one: return one value for the whole stream";
            errors.push(&signature.output, message);
        } else if !side.calls() && parameters.borrows && output.results.is_some_and(|results| !results.captures) {
            let message = "the results are taken after the call has returned, so they borrow none of its arguments, nor `self`: \
                           say so by `use<>`, as in `impl Iterator<Item = T> + use<>`";
            errors.push(&signature.output, message);
        }
        Self { parameters, output }
    }

    /// The parameters that travel.
    pub(crate) fn travel(&self) -> &[Parameter] {
        &self.parameters.travel
    }

    /// How a callback of this signature is called.
    pub(crate) fn kind(&self) -> Kind {
        if self.parameters.incoming.is_some() {
            Kind::Incoming
        } else if self.output.results.is_some() {
            Kind::Results
        } else {
            Kind::Call
        }
    }

    /// What daffi is told of the signature.
    pub(crate) fn describe(&self, signature: &Signature, kind: Kind) -> TokenStream {
        let text = self.text(signature);
        let parameters = self.travel().iter().map(|Parameter { name, ty }| {
            let name = name.unraw().to_string();
            let ty = normal::text(self.parameters.incoming.as_ref().unwrap_or(ty));
            quote!((#name, #ty))
        });
        let result = self.output.text();
        quote! {
            ::daffi::__private::Signature {
                text: #text,
                kind: #kind,
                parameters: &[#(#parameters),*],
                result: #result,
            }
        }
    }

    /// The signature as people read it: `add(a: i64, b: i64) -> i64`.
    fn text(&self, signature: &Signature) -> String {
        let parameters: Vec<_> =
            self.travel().iter().map(|Parameter { name, ty }| format!("{}: {}", name.unraw(), tidy(ty))).collect();
        let output = match &signature.output {
            ReturnType::Default => String::new(),
            ReturnType::Type(_, ty) => format!(" -> {}", tidy(ty)),
        };
        format!("{}({}){output}", signature.ident.unraw(), parameters.join(", "))
    }
}

/// `file: .., line: ..,` of a declaration.
pub(crate) fn location(signature: &Signature) -> TokenStream {
    // With the span of the name the line is its own, and not that of the attribute, which may stand on a whole block.
    let line = quote_spanned!(signature.ident.span()=> ::core::line!());
    quote! { file: ::core::file!(), line: #line, }
}

fn check_qualifiers(signature: &Signature, errors: &mut Errors) {
    if let Some(token) = &signature.constness {
        errors.push(token, "a call crosses processes, so it cannot be `const`: remove `const`");
    }
    if !matches!(signature.safety, syn::Safety::Default) {
        errors.push(
            &signature.safety,
            "a remote caller cannot uphold a safety contract: remove `unsafe` and check the arguments instead",
        );
    }
    if let Some(abi) = &signature.abi {
        errors.push(abi, "a call travels as a message and has no ABI: remove the `extern`");
    }
    if let Some(variadic) = &signature.variadic {
        errors.push(variadic, "the number of arguments is fixed: take a `Vec` instead of `...`");
    }
    let generics = &signature.generics;
    if !generics.params.is_empty() {
        errors.push(
            generics,
            "the other process has to know the types, so there are no generic or lifetime parameters: write the types \
             out, and leave lifetimes to elision",
        );
    }
    if let Some(clause) = &generics.where_clause {
        errors.push(clause, "there are no generic parameters to constrain: remove the `where` clause");
    }
}

/// `(a, b)`, and `(a,)` for one.
pub(crate) fn tuple(elements: impl IntoIterator<Item = impl ToTokens>) -> TokenStream {
    let elements = elements.into_iter();
    quote! { ( #(#elements,)* ) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declaration::Declaration;

    fn check(side: Side, item: TokenStream) -> (Checked, Signature, Vec<String>) {
        let declaration = Declaration::parse("callback", item).unwrap();
        let mut errors = Errors::default();
        let checked = Checked::new(side, &declaration.signature, &mut errors);
        (checked, declaration.signature, errors.messages())
    }

    #[test]
    fn a_signature_is_described_without_what_does_not_travel() {
        let (checked, signature, errors) = check(
            Side::Callback,
            quote! {
                pub async fn r#type(mut a: &[Point], _: Context, r#in: Vec<u8>) -> Result<(), MathError> {}
            },
        );
        assert!(errors.is_empty(), "{errors:?}");
        let expected = quote! {
            ::daffi::__private::Signature {
                text: "type(a: &[Point], in: Vec<u8>) -> Result<(), MathError>",
                kind: ::daffi::__private::Kind::Call,
                parameters: &[("a", "Vec<Point>"), ("in", "Vec<u8>")],
                result: "Result<(), MathError>",
            }
        };
        assert_eq!(checked.describe(&signature, checked.kind()).to_string(), expected.to_string());
    }

    #[test]
    fn a_stream_is_described_by_its_items() {
        let (checked, signature, errors) =
            check(Side::Method, quote! { fn show(&self, items: Incoming<a::Frame>) -> Summary {} });
        assert!(errors.is_empty(), "{errors:?}");
        let expected = quote! {
            ::daffi::__private::Signature {
                text: "show(items: Incoming<a::Frame>) -> Summary",
                kind: ::daffi::__private::Kind::Incoming,
                parameters: &[("items", "Frame")],
                result: "Summary",
            }
        };
        assert_eq!(checked.describe(&signature, checked.kind()).to_string(), expected.to_string());
        let (.., errors) = check(Side::Callback, quote! { fn f(items: Incoming<u8>) -> impl Iterator<Item = u8> {} });
        assert!(errors.concat().contains("takes a stream or returns one"), "{errors:?}");
    }

    #[test]
    fn results_say_that_they_borrow_nothing() {
        for (item, passes) in [
            (quote! { fn f(a: u8) -> impl Iterator<Item = u8> {} }, true),
            (quote! { fn f(a: &str) -> impl Iterator<Item = u8> {} }, false),
            (quote! { fn f(&self) -> impl Iterator<Item = u8> {} }, false),
            (quote! { fn f(cx: &Context) -> Result<impl Iterator<Item = u8>, E> {} }, false),
            (quote! { fn f(a: Cow<'_, str>) -> impl Iterator<Item = u8> {} }, false),
            (quote! { fn f(&self, a: &str) -> impl Iterator<Item = u8> + use<> {} }, true),
        ] {
            let errors = check(Side::Method, item.clone()).2;
            assert_eq!(errors.is_empty(), passes, "{item}: {errors:?}");
        }
        let (.., errors) = check(Side::Fetcher, quote! { fn f(a: &str) -> impl Iterator<Item = u8>; });
        assert!(errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let (.., errors) = check(
            Side::Callback,
            quote! {
                const unsafe extern "C" fn f<T>(&self, (a, b): (u8, u8), #[cfg(unix)] c: &mut T, d: impl Copy) -> &str
                where
                    T: Copy,
                {}
            },
        );
        assert_eq!(errors.len(), 11, "{errors:#?}");
    }
}
