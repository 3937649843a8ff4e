//! Normal forms of types: what both ends of a call would write if both wrote the same.
//!
//! A callback takes `&[u8]` where its stub passes a `Vec<u8>`, and one imports what the other names by its path. [`owned`] is
//! the type of the value that travels; [`text`] is what is compared, between processes, of a type.

use quote::quote;
use syn::{GenericArgument, PathArguments, ReturnType, Type, TypeParamBound, parse_quote};

use crate::tidy::tidy;
use crate::types::peel;

/// The type of the value behind all references, at any depth: `&[&str]` is a `Vec<String>`.
pub(crate) fn owned(ty: &Type) -> Type {
    let mut ty = ty.clone();
    each(&mut ty, &own);
    ty
}

/// The owned type without paths and lifetimes: `&std::path::PathBuf` is `PathBuf`.
pub(crate) fn text(ty: &Type) -> String {
    let mut ty = owned(ty);
    each(&mut ty, &shorten);
    tidy(ty)
}

fn own(ty: &mut Type) {
    while let Type::Reference(reference) = peel(ty) {
        *ty = match peel(&reference.elem) {
            Type::Slice(slice) => {
                let element = &slice.elem;
                parse_quote!(::std::vec::Vec<#element>)
            }
            Type::Path(path) if path.path.is_ident("str") => parse_quote!(::std::string::String),
            other => other.clone(),
        };
    }
}

fn shorten(ty: &mut Type) {
    let Type::Path(path) = ty else { return };
    if path.qself.is_some() {
        return;
    }
    let Some(mut last) = path.path.segments.pop() else { return };
    if let PathArguments::AngleBracketed(arguments) = &mut last.arguments {
        arguments.colon2_token = None;
        let kept = arguments.args.iter().filter(|argument| !matches!(argument, GenericArgument::Lifetime(_)));
        arguments.args = kept.cloned().collect();
        if arguments.args.is_empty() {
            last.arguments = PathArguments::None;
        }
    }
    path.path = last.into();
}

/// Changes a type, and then each type inside what is left.
fn each(ty: &mut Type, change: &impl Fn(&mut Type)) {
    if matches!(ty, Type::Paren(_) | Type::Group(_)) {
        *ty = peel(ty).clone();
    }
    change(ty);
    match ty {
        Type::Path(path) => {
            for segment in &mut path.path.segments {
                each_argument(&mut segment.arguments, change);
            }
        }
        Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(|ty| each(ty, change)),
        Type::Array(array) => each(&mut array.elem, change),
        Type::Slice(slice) => each(&mut slice.elem, change),
        Type::TraitObject(object) => {
            for bound in &mut object.bounds {
                if let TypeParamBound::Trait(bound) = bound {
                    bound.path.segments.iter_mut().for_each(|segment| each_argument(&mut segment.arguments, change));
                }
            }
        }
        _ => {}
    }
}

fn each_argument(arguments: &mut PathArguments, change: &impl Fn(&mut Type)) {
    match arguments {
        PathArguments::None => {}
        PathArguments::AngleBracketed(arguments) => {
            for argument in &mut arguments.args {
                match argument {
                    GenericArgument::Type(ty) => each(ty, change),
                    GenericArgument::AssocType(assoc) => each(&mut assoc.ty, change),
                    _ => {}
                }
            }
        }
        PathArguments::Parenthesized(arguments) => {
            arguments.inputs.iter_mut().for_each(|input| each(&mut input.ty, change));
            if let ReturnType::Type(_, ty) = &mut arguments.output {
                each(ty, change);
            }
        }
    }
}

/// The text of what is returned: `T` or `Result<T, E>`.
pub(crate) fn result_text(value: Option<&Type>, error: Option<&Type>) -> String {
    let value = value.map_or_else(|| tidy(quote!(())), text);
    match error {
        None => value,
        Some(error) => format!("Result<{value}, {}>", text(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_arrive_at_one_text() {
        for (written, normal) in [
            ("&str", "String"),
            ("String", "String"),
            ("std::string::String", "String"),
            ("&[u8]", "Vec<u8>"),
            ("&'static [&str]", "Vec<String>"),
            ("std::vec::Vec<shop::Item>", "Vec<Item>"),
            ("&(Config)", "Config"),
            ("Option<(&str, a::B)>", "Option<(String, B)>"),
            ("std::borrow::Cow<'static, str>", "Cow<str>"),
            ("Frame<'_>", "Frame"),
            ("[a::B; 4]", "[B; 4]"),
            ("Vec::<u8>", "Vec<u8>"),
            ("Box<[u8]>", "Box<[u8]>"),
            ("<A as Trait>::Out", "<A as Trait>::Out"),
            ("()", "()"),
        ] {
            assert_eq!(text(&syn::parse_str(written).unwrap()), normal, "{written}");
        }
    }

    #[test]
    fn what_travels_is_a_type_that_compiles() {
        for (written, travels) in [
            ("&std::path::PathBuf", "std::path::PathBuf"),
            ("&[&str]", "::std::vec::Vec<::std::string::String>"),
            ("Option<&[u8]>", "Option<::std::vec::Vec<u8>>"),
        ] {
            let travels: Type = syn::parse_str(travels).unwrap();
            assert_eq!(tidy(owned(&syn::parse_str(written).unwrap())), tidy(travels));
        }
    }

    #[test]
    fn results_have_a_text_too() {
        let (value, error) = (parse_quote!(a::Sum), parse_quote!(b::Error));
        assert_eq!(result_text(None, None), "()");
        assert_eq!(result_text(Some(&value), Some(&error)), "Result<Sum, Error>");
    }
}
