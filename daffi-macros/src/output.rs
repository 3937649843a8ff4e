//! What a declaration says of its results: one value, or a stream of them, each with or without an error.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{ReturnType, Type, TypeImplTrait, TypeParamBound};

use crate::errors::Errors;
use crate::normal::result_text;
use crate::tidy::tidy;
use crate::types::{Contents, Items, Returned, is_byte_vec, is_unit, peel, returned};

const NO_REFERENCE: &str = "a reference cannot leave its process: return an owned value, such as `String` or `Vec<T>`";

const NO_IMPL: &str = "the other process has to know the type: write it out instead of `impl Trait`; only a stream of results is \
                       spelled so, as `impl Stream<Item = T>` or `impl Iterator<Item = T>`";

/// What comes back, with the types as they were written.
#[derive(Default)]
pub(crate) struct Output {
    /// The value, or that of each item; `None` for a function that returns nothing, or `()`.
    pub(crate) value: Option<Type>,
    /// The `E` of a `Result<T, E>`.
    pub(crate) error: Option<Type>,
    /// It is a stream of results.
    pub(crate) results: Option<Results>,
}

/// What is said of a stream of results: where its error may come up, and what it borrows.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Results {
    /// In its place, as a `Result<impl Stream<..>, E>`.
    pub(crate) opening: bool,
    /// As an item of it, as an `impl Stream<Item = Result<T, E>>`.
    pub(crate) items: bool,
    /// It says what it borrows, by `use<..>`.
    pub(crate) captures: bool,
}

impl Output {
    /// Reads a return type.
    pub(crate) fn new(declared: &ReturnType, errors: &mut Errors) -> Self {
        let ReturnType::Type(_, ty) = declared else {
            return Self::default();
        };
        match returned(ty) {
            Returned::Plain(stream) if let Type::ImplTrait(stream) = peel(stream) => stream_of(stream, None, errors),
            Returned::Fallible(stream, error) if let Type::ImplTrait(stream) = peel(stream) => {
                stream_of(stream, Some(error), errors)
            }
            _ => one(ty, errors),
        }
    }

    /// `T`
    pub(crate) fn value_type(&self) -> TokenStream {
        self.value.as_ref().map_or_else(|| quote!(()), ToTokens::to_token_stream)
    }

    /// `E`, or the type that has no value.
    pub(crate) fn error_type(&self) -> TokenStream {
        self.error.as_ref().map_or_else(|| quote!(::daffi::Never), ToTokens::to_token_stream)
    }

    /// Whether the values travel as bytes.
    pub(crate) fn is_bytes(&self) -> bool {
        self.value.as_ref().is_some_and(is_byte_vec)
    }

    /// The type of the result, or of one of its items, in normal form.
    pub(crate) fn text(&self) -> String {
        result_text(self.value.as_ref(), self.error.as_ref())
    }
}

fn one(ty: &Type, errors: &mut Errors) -> Output {
    if !can_travel(ty, errors) {
        return Output::default();
    }
    let Some((value, error)) = split(ty, errors) else {
        return Output::default();
    };
    Output { value, error, results: None }
}

fn stream_of(stream: &TypeImplTrait, opening: Option<&Type>, errors: &mut Errors) -> Output {
    let mut output = Output { error: opening.cloned(), results: Some(Results::default()), ..Output::default() };
    if let Some(error) = opening {
        can_travel(error, errors);
    }
    let item = match Items::of(stream) {
        Items::Of(item) => item,
        Items::Unnamed(path) => {
            let message = format!("the other process has to know the items: write `{}<Item = T>`", tidy(path));
            errors.push(path, message);
            return output;
        }
        Items::None => {
            errors.push(stream, NO_IMPL);
            return output;
        }
    };
    for bound in &stream.bounds {
        if Contents::of_tokens(bound).lifetime && !Contents::of(item).lifetime {
            let message =
                "results are taken after the call has returned, so they borrow nothing of it: remove the lifetime";
            errors.push(bound, message);
        }
    }
    if !can_travel(item, errors) {
        return output;
    }
    let Some((value, error)) = split(item, errors) else {
        return output;
    };
    output.value = value;
    let captures = stream.bounds.iter().any(|bound| matches!(bound, TypeParamBound::PreciseCapture(_)));
    output.results = Some(Results { opening: opening.is_some(), items: error.is_some(), captures });
    if let (Some(opening), Some(item)) = (opening, &error)
        && tidy(opening) != tidy(item)
    {
        let message = format!(
            "a stream of results has one type of error, for its beginning and its items: this is `{}`, and that of the \
             beginning `{}`",
            tidy(item),
            tidy(opening)
        );
        errors.push(item, message);
    }
    output.error = opening.cloned().or(error);
    output
}

/// `T` and `E`; nothing if the error type hides behind an alias.
fn split(ty: &Type, errors: &mut Errors) -> Option<(Option<Type>, Option<Type>)> {
    let value = |value: &Type| (!is_unit(value)).then(|| value.clone());
    match returned(ty) {
        Returned::Plain(plain) => Some((value(plain), None)),
        Returned::Fallible(ok, error) => Some((value(ok), Some(error.clone()))),
        Returned::Alias(ok) => {
            let written = ok.map_or_else(|| "T".to_owned(), tidy);
            let message = format!(
                "the caller has to know the error type: write the error type out, as in `Result<{written}, E>`"
            );
            errors.push(ty, message);
            ok.map(|ok| (value(ok), None))
        }
    }
}

fn can_travel(ty: &Type, errors: &mut Errors) -> bool {
    let contents = Contents::of(ty);
    if contents.reference || contents.lifetime {
        errors.push(ty, NO_REFERENCE);
    } else if contents.impl_trait {
        errors.push(ty, NO_IMPL);
    } else if matches!(peel(ty), Type::Never(_)) {
        errors.push(ty, "a call has to end: return a value, or nothing");
    } else {
        return true;
    }
    false
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn read(declared: ReturnType) -> (Output, Vec<String>) {
        let mut errors = Errors::default();
        let output = Output::new(&declared, &mut errors);
        (output, errors.messages())
    }

    #[test]
    fn a_stream_of_results_is_told_from_one() {
        let neither = Results::default();
        let (items, opening) = (Results { items: true, ..neither }, Results { opening: true, ..neither });
        for (declared, results, text) in [
            (parse_quote!(-> u8), None, "u8"),
            (parse_quote!(-> Result<(), E>), None, "Result<(), E>"),
            (parse_quote!(-> impl Iterator<Item = a::Frame>), Some(neither), "Frame"),
            (
                parse_quote!(-> impl futures::Stream<Item = ()> + Send + 'static + use<>),
                Some(Results { captures: true, ..neither }),
                "()",
            ),
            (parse_quote!(-> impl Send + Stream<Item = Result<u8, E>>), Some(items), "Result<u8, E>"),
            (parse_quote!(-> Result<impl Iterator<Item = u8>, E>), Some(opening), "Result<u8, E>"),
            (
                parse_quote!(-> Result<impl Iterator<Item = Result<u8, a::E>>, a::E>),
                Some(Results { opening: true, items: true, captures: false }),
                "Result<u8, E>",
            ),
        ] {
            let (output, errors) = read(declared);
            assert!(errors.is_empty(), "{errors:?}");
            assert_eq!((output.results, output.text().as_str()), (results, text));
        }
    }

    #[test]
    fn what_cannot_come_back_is_refused() {
        for (declared, says) in [
            (parse_quote!(-> &str), "a reference cannot leave"),
            (parse_quote!(-> !), "a call has to end"),
            (parse_quote!(-> impl ToString), "write it out instead of `impl Trait`"),
            (parse_quote!(-> Vec<impl Iterator<Item = u8>>), "write it out instead of `impl Trait`"),
            (parse_quote!(-> Result<u8, impl Error>), "write it out instead of `impl Trait`"),
            (parse_quote!(-> impl Iterator), "write `Iterator<Item = T>`"),
            (parse_quote!(-> impl Iterator<Item = &str>), "a reference cannot leave"),
            (parse_quote!(-> impl Iterator<Item = impl Send>), "write it out instead of `impl Trait`"),
            (parse_quote!(-> impl Iterator<Item = u8> + '_), "remove the lifetime"),
            (parse_quote!(-> impl Iterator<Item = io::Result<u8>>), "`Result<u8, E>`"),
            (parse_quote!(-> io::Result<impl Iterator<Item = u8>>), "instead of `impl Trait`"),
            (
                parse_quote!(-> Result<impl Iterator<Item = Result<u8, A>>, B>),
                "this is `A`, and that of the beginning `B`",
            ),
            (parse_quote!(-> Result<impl Iterator<Item = u8>, &str>), "a reference cannot leave"),
        ] {
            let (_, errors) = read(declared);
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(errors[0].contains(says), "{errors:?}");
        }
    }
}
