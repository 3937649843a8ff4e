//! What a type is, as far as its spelling tells: bytes, text, a reference, a `Result`.
//!
//! A macro sees tokens and no types, so an alias of `Vec<u8>` travels as an ordinary sequence (slow, and right), and an
//! alias of `Result` is refused where it can be recognised. Everything here looks at the last path segment, so
//! `std::vec::Vec<u8>` is found too.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{GenericArgument, Path, PathArguments, PathSegment, Type, TypeImplTrait, TypeParamBound};

/// How a parameter is spelled: `T` or `&T`, and what `T` is.
pub(crate) struct Shape<'a> {
    pub(crate) borrowed: bool,
    pub(crate) kind: Kind<'a>,
}

/// The type behind at most one reference.
#[derive(Clone, Copy)]
pub(crate) enum Kind<'a> {
    /// `str`
    Text,
    /// `[u8]`
    ByteSlice,
    /// `Vec<u8>`
    ByteVec,
    /// `[T]`, with its `T`
    Slice(&'a Type),
    Other(&'a Type),
}

impl<'a> Shape<'a> {
    pub(crate) fn of(ty: &'a Type) -> Self {
        match peel(ty) {
            Type::Reference(reference) => Self { borrowed: true, kind: Kind::of(&reference.elem) },
            owned => Self { borrowed: false, kind: Kind::of(owned) },
        }
    }
}

impl<'a> Kind<'a> {
    fn of(ty: &'a Type) -> Self {
        match peel(ty) {
            Type::Slice(slice) if is_named(&slice.elem, "u8") => Self::ByteSlice,
            Type::Slice(slice) => Self::Slice(&slice.elem),
            other if is_named(other, "str") => Self::Text,
            other if is_byte_vec(other) => Self::ByteVec,
            other => Self::Other(other),
        }
    }
}

/// What a declared return type says about errors.
pub(crate) enum Returned<'a> {
    Plain(&'a Type),
    /// `Result<T, E>`
    Fallible(&'a Type, &'a Type),
    /// `io::Result<T>`, `fmt::Result`: the error type hides behind an alias.
    Alias(Option<&'a Type>),
}

pub(crate) fn returned(ty: &Type) -> Returned<'_> {
    let Some(segment) = last_segment(ty).filter(|segment| segment.ident == "Result") else {
        return Returned::Plain(ty);
    };
    match type_arguments(segment).as_slice() {
        [] => Returned::Alias(None),
        [value] => Returned::Alias(Some(value)),
        [value, error] => Returned::Fallible(value, error),
        _ => Returned::Plain(ty),
    }
}

/// What an `impl Stream<Item = T>` or `impl Iterator<Item = T>` says of its items.
pub(crate) enum Items<'a> {
    Of(&'a Type),
    /// The trait stands without them.
    Unnamed(&'a Path),
    /// It is neither.
    None,
}

impl<'a> Items<'a> {
    pub(crate) fn of(ty: &'a TypeImplTrait) -> Self {
        for bound in &ty.bounds {
            let TypeParamBound::Trait(bound) = bound else { continue };
            let Some(segment) = bound.path.segments.last() else { continue };
            if segment.ident != "Stream" && segment.ident != "Iterator" {
                continue;
            }
            let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
                return Self::Unnamed(&bound.path);
            };
            let item = arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::AssocType(assoc) if assoc.ident == "Item" => Some(&assoc.ty),
                _ => None,
            });
            return item.map_or(Self::Unnamed(&bound.path), Self::Of);
        }
        Self::None
    }
}

/// A parameter that is the context of the call: `Context` or `&Context`, by whatever path.
pub(crate) fn is_context(ty: &Type) -> bool {
    let behind = match peel(ty) {
        Type::Reference(reference) => &reference.elem,
        other => other,
    };
    last_segment(behind).is_some_and(|segment| segment.ident == "Context" && segment.arguments.is_none())
}

/// A parameter that is the stream itself: `Incoming<T>`, by whatever path, owned or not, with its `T` if there is one.
pub(crate) fn incoming(ty: &Type) -> Option<Option<&Type>> {
    let behind = match peel(ty) {
        Type::Reference(reference) => &reference.elem,
        other => other,
    };
    let segment = last_segment(behind).filter(|segment| segment.ident == "Incoming")?;
    Some(match type_arguments(segment).as_slice() {
        [item] => Some(item),
        _ => None,
    })
}

/// `Vec<u8>`, by whatever path.
pub(crate) fn is_byte_vec(ty: &Type) -> bool {
    last_segment(ty).is_some_and(|segment| {
        segment.ident == "Vec" && matches!(type_arguments(segment).as_slice(), [element] if is_named(element, "u8"))
    })
}

/// `()`
pub(crate) fn is_unit(ty: &Type) -> bool {
    matches!(peel(ty), Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// Looks through parentheses and the invisible groups that `macro_rules!` puts around a `$ty`.
pub(crate) fn peel(ty: &Type) -> &Type {
    match ty {
        Type::Paren(paren) => peel(&paren.elem),
        Type::Group(group) => peel(&group.elem),
        other => other,
    }
}

/// What stands in a type that cannot travel, or not from here.
#[derive(Default, Clone, Copy)]
pub(crate) struct Contents {
    pub(crate) reference: bool,
    pub(crate) mutable_reference: bool,
    pub(crate) impl_trait: bool,
    /// A lifetime other than `'static`.
    pub(crate) lifetime: bool,
}

impl Contents {
    pub(crate) fn of(ty: &Type) -> Self {
        Self::of_tokens(ty)
    }

    pub(crate) fn of_tokens(tokens: impl ToTokens) -> Self {
        let mut found = Self::default();
        found.scan(tokens.to_token_stream());
        found
    }

    fn scan(&mut self, tokens: TokenStream) {
        // `&` may be followed by a lifetime before its `mut`; a raw pointer's `mut` follows a `*`.
        let mut after_ampersand = false;
        let mut after_quote = false;
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.scan(group.stream()),
                TokenTree::Punct(punct) if punct.as_char() == '&' => {
                    self.reference = true;
                    after_ampersand = true;
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == '\'' => {
                    after_quote = true;
                    continue;
                }
                TokenTree::Ident(ident) if after_quote => {
                    self.lifetime |= ident != "static";
                    after_quote = false;
                    continue;
                }
                TokenTree::Ident(ident) => {
                    self.mutable_reference |= after_ampersand && ident == "mut";
                    self.impl_trait |= ident == "impl";
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            after_ampersand = false;
        }
    }
}

fn is_named(ty: &Type, name: &str) -> bool {
    matches!(peel(ty), Type::Path(path) if path.path.is_ident(name))
}

fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match peel(ty) {
        Type::Path(path) if path.qself.is_none() => path.path.segments.last(),
        _ => None,
    }
}

fn type_arguments(segment: &PathSegment) -> Vec<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return Vec::new();
    };
    arguments
        .args
        .iter()
        .filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;
    use crate::tidy::tidy;

    fn kind(ty: Type) -> String {
        let shape = Shape::of(&ty);
        let kind = match shape.kind {
            Kind::Text => "text".to_owned(),
            Kind::ByteSlice => "byte slice".to_owned(),
            Kind::ByteVec => "byte vec".to_owned(),
            Kind::Slice(element) => format!("slice of {}", tidy(element)),
            Kind::Other(other) => tidy(other),
        };
        if shape.borrowed { format!("&{kind}") } else { kind }
    }

    #[test]
    fn shapes_are_told_by_their_spelling() {
        assert_eq!(kind(parse_quote!(&str)), "&text");
        assert_eq!(kind(parse_quote!(&'static [u8])), "&byte slice");
        assert_eq!(kind(parse_quote!(std::vec::Vec<u8>)), "byte vec");
        assert_eq!(kind(parse_quote!(&(Vec<u8>))), "&byte vec");
        assert_eq!(kind(parse_quote!(&[Point])), "&slice of Point");
        assert_eq!(kind(parse_quote!(&Config)), "&Config");
        assert_eq!(kind(parse_quote!(Vec<u16>)), "Vec<u16>");
        assert_eq!(kind(parse_quote!(Bytes)), "Bytes");
    }

    #[test]
    fn result_is_told_by_its_last_segment_and_its_arguments() {
        let fallible: Type = parse_quote!(std::result::Result<i64, Error>);
        assert!(matches!(returned(&fallible), Returned::Fallible(..)));
        let alias: Type = parse_quote!(io::Result<u64>);
        assert!(matches!(returned(&alias), Returned::Alias(Some(_))));
        let bare: Type = parse_quote!(fmt::Result);
        assert!(matches!(returned(&bare), Returned::Alias(None)));
        let plain: Type = parse_quote!(Option<Result<i64, Error>>);
        assert!(matches!(returned(&plain), Returned::Plain(_)));
    }

    #[test]
    fn context_and_stream_are_told_by_their_last_segment() {
        for (ty, is) in [
            (parse_quote!(Context), true),
            (parse_quote!(&daffi::Context), true),
            (parse_quote!(Context<u8>), false),
            (parse_quote!(Option<Context>), false),
        ] {
            assert_eq!(is_context(&ty), is, "{}", tidy(ty));
        }
        let item = |ty: Type| incoming(&ty).map(|item| item.map(tidy));
        assert_eq!(item(parse_quote!(daffi::Incoming<Frame>)), Some(Some("Frame".into())));
        assert_eq!(item(parse_quote!(&Incoming)), Some(None));
        assert_eq!(item(parse_quote!(Vec<Incoming<Frame>>)), None);
    }

    #[test]
    fn what_cannot_travel_is_found_at_any_depth() {
        assert!(Contents::of(&parse_quote!(Vec<&'a mut T>)).mutable_reference);
        assert!(!Contents::of(&parse_quote!(Vec<*mut T>)).mutable_reference);
        assert!(Contents::of(&parse_quote!((i32, Option<&str>))).reference);
        assert!(Contents::of(&parse_quote!(Box<impl Iterator<Item = u8>>)).impl_trait);
        assert!(Contents::of(&parse_quote!(Cow<'_, str>)).lifetime);
        assert!(!Contents::of(&parse_quote!(Cow<'static, str>)).lifetime);
        assert!(!Contents::of(&parse_quote!(Vec<i64>)).reference);
    }
}
