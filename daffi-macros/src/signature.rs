//! What both attributes ask of a signature, and what is left of it when it passes.
//!
//! The messages say what to do; where the two ends differ in that, they are told which end they speak to.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{FnArg, Pat, ReturnType, Signature, Type};

use crate::errors::Errors;
use crate::tidy::tidy;
use crate::types::{Contents, Returned, is_unit, peel, returned};

/// More would not decode: serde reads tuples of up to sixteen.
const MAX_PARAMETERS: usize = 16;

/// Which end of a call a declaration describes: what the messages advise depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Callback,
    Fetcher,
}

/// One parameter that passed the checks.
pub(crate) struct Parameter {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
}

/// What comes back, with the types as they were written.
#[derive(Default)]
pub(crate) struct Output {
    /// `None` for a function that returns nothing, or `()`.
    pub(crate) value: Option<Type>,
    /// The `E` of a `Result<T, E>`.
    pub(crate) error: Option<Type>,
}

impl Output {
    fn new(value: &Type, error: Option<&Type>) -> Self {
        Self { value: (!is_unit(value)).then(|| value.clone()), error: error.cloned() }
    }

    /// `T`
    pub(crate) fn value_type(&self) -> TokenStream {
        self.value.as_ref().map_or_else(|| quote!(()), ToTokens::to_token_stream)
    }

    /// `E`, or the type that has no value.
    pub(crate) fn error_type(&self) -> TokenStream {
        self.error.as_ref().map_or_else(|| quote!(::daffi::Never), ToTokens::to_token_stream)
    }
}

/// The shared part of a declaration, as far as it could be understood.
pub(crate) struct Checked {
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) output: Output,
}

impl Checked {
    /// Collects every mistake into `errors`; what it returns is then good for a placeholder only.
    pub(crate) fn new(side: Side, signature: &Signature, errors: &mut Errors) -> Self {
        check_qualifiers(signature, errors);
        let parameters = signature.inputs.iter().filter_map(|input| parameter(side, input, errors)).collect();
        if signature.inputs.len() > MAX_PARAMETERS {
            let message = format!("at most {MAX_PARAMETERS} parameters can travel: group some of them in a struct");
            errors.push(&signature.inputs, message);
        }
        Self { parameters, output: output(&signature.output, errors) }
    }

    /// The fields of a `Signature`.
    pub(crate) fn fingerprint(&self, signature: &Signature, kind: &str) -> TokenStream {
        let text = self.describe(signature);
        let kind = quote::format_ident!("{kind}");
        let parameters = self.parameters.iter().map(|Parameter { name, ty }| {
            let (name, ty) = (name.unraw().to_string(), tidy(ty));
            quote!((#name, #ty))
        });
        let result = match &signature.output {
            ReturnType::Default => "()".to_owned(),
            ReturnType::Type(_, ty) => tidy(ty),
        };
        quote! {
            text: #text,
            kind: ::daffi::__private::Kind::#kind,
            parameters: &[#(#parameters),*],
            result: #result,
        }
    }

    /// The signature as people read it: `add(a: i64, b: i64) -> i64`.
    pub(crate) fn describe(&self, signature: &Signature) -> String {
        let parameters: Vec<_> =
            self.parameters.iter().map(|Parameter { name, ty }| format!("{}: {}", name.unraw(), tidy(ty))).collect();
        let output = match &signature.output {
            ReturnType::Default => String::new(),
            ReturnType::Type(_, ty) => format!(" -> {}", tidy(ty)),
        };
        format!("{}({}){output}", signature.ident.unraw(), parameters.join(", "))
    }
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

fn parameter(side: Side, input: &FnArg, errors: &mut Errors) -> Option<Parameter> {
    let typed = match input {
        FnArg::Receiver(receiver) => {
            errors.push(
                receiver,
                "only a free function can be called from elsewhere: remove `self`, and declare the function outside of \
                 the impl block or trait",
            );
            return None;
        }
        FnArg::Typed(typed) => typed,
    };
    for attribute in &typed.attrs {
        if attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr") {
            errors.push(attribute, "both ends need the same parameters in every build: put `cfg` on the function");
        }
    }
    check_parameter_type(side, &typed.ty, errors);
    match &*typed.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {
            Some(Parameter { name: pat.ident.clone(), ty: (*typed.ty).clone() })
        }
        pattern => {
            let advice = match side {
                Side::Callback => "take it under a name and destructure it in the body",
                Side::Fetcher => "give it a name",
            };
            errors.push(pattern, format!("parameter names are part of the signature: {advice}"));
            None
        }
    }
}

fn check_parameter_type(side: Side, ty: &Type, errors: &mut Errors) {
    let contents = Contents::of(ty);
    if contents.mutable_reference {
        let message = "a change behind `&mut` would not travel back: take the value and return the changed one";
        errors.push(ty, message);
    } else if contents.impl_trait {
        errors.push(ty, "the other process has to know the type: write it out instead of `impl Trait`");
    } else if side == Side::Callback {
        check_borrowed_from_message(ty, contents, errors);
    }
}

/// A callback's argument may be a reference to what the message holds, and no more than that.
fn check_borrowed_from_message(ty: &Type, contents: Contents, errors: &mut Errors) {
    let behind = match peel(ty) {
        Type::Reference(reference) => {
            if let Some(lifetime) = &reference.lifetime {
                let message = "an argument lives as long as the call: remove the lifetime, or take an owned value";
                errors.push(lifetime, message);
                return;
            }
            Contents::of(&reference.elem)
        }
        _ => contents,
    };
    if behind.reference {
        errors.push(
            ty,
            "only a whole argument can be borrowed from the message, as in `&str`, `&[u8]` or `&T`: use owned types \
             inside it, such as `String` or `Vec<T>`",
        );
    }
}

fn output(declared: &ReturnType, errors: &mut Errors) -> Output {
    let ReturnType::Type(_, ty) = declared else {
        return Output::default();
    };
    let contents = Contents::of(ty);
    if contents.reference || contents.lifetime {
        errors.push(ty, "a reference cannot leave its process: return an owned value, such as `String` or `Vec<T>`");
        return Output::default();
    }
    if contents.impl_trait {
        errors.push(ty, "the other process has to know the type: write it out instead of `impl Trait`");
        return Output::default();
    }
    if matches!(**ty, Type::Never(_)) {
        errors.push(ty, "a call has to end: return a value, or nothing");
        return Output::default();
    }
    match returned(ty) {
        Returned::Plain(value) => Output::new(value, None),
        Returned::Fallible(value, error) => Output::new(value, Some(error)),
        Returned::Alias(value) => {
            let written = value.map_or_else(|| "T".to_owned(), tidy);
            let message = format!(
                "the caller has to know the error type: write the error type out, as in `Result<{written}, E>`"
            );
            errors.push(ty, message);
            value.map_or_else(Output::default, |value| Output::new(value, None))
        }
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
            quote! { pub async fn r#type(mut a: &[Point], r#in: Vec<u8>) -> Result<(), MathError> {} },
        );
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(checked.describe(&signature), "type(a: &[Point], in: Vec<u8>) -> Result<(), MathError>");
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

    #[test]
    fn only_a_callback_minds_references_inside_an_argument() {
        let item = quote! { fn f(a: &[&str], b: &'static str) {} };
        assert_eq!(check(Side::Callback, item.clone()).2.len(), 2);
        assert_eq!(check(Side::Fetcher, item).2.len(), 0);
    }

    #[test]
    fn sixteen_parameters_are_the_limit() {
        let names: Vec<_> = (0..17).map(|index| quote::format_ident!("a{index}")).collect();
        let most = &names[..16];
        assert_eq!(check(Side::Fetcher, quote! { fn f(#(#most: u8),*); }).2.len(), 0);
        assert_eq!(check(Side::Fetcher, quote! { fn f(#(#names: u8),*); }).2.len(), 1);
    }
}
