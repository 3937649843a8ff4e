//! Names on the wire, checked where they are written: what daffi would refuse at the start of the program is refused by the
//! compiler.

use proc_macro2::Ident;
use quote::ToTokens;
use syn::LitStr;
use syn::ext::IdentExt;

use crate::errors::Errors;

/// As in `daffi_core::wire::limits::MAX_NAME`.
const MAX_NAME: usize = 128;

/// The name of a function on the wire: the one given, or its own, after the `prefix` of the block that it stands in.
pub(crate) fn on_the_wire(ident: &Ident, given: Option<&LitStr>, prefix: Option<&str>, errors: &mut Errors) -> String {
    let own = own(ident, given);
    let place = given.map_or_else(|| ident.to_token_stream(), ToTokens::to_token_stream);
    check(&place, &own, errors);
    let Some(prefix) = prefix else {
        return own;
    };
    let name = format!("{prefix}.{own}");
    if own.len() <= MAX_NAME {
        check_length(place, &name, errors);
    }
    name
}

/// The same without a prefix, and unchecked.
pub(crate) fn own(ident: &Ident, given: Option<&LitStr>) -> String {
    given.map_or_else(|| ident.unraw().to_string(), LitStr::value)
}

/// Says at `place` what is wrong with a name, if anything is: the rule of `daffi_core::wire::name`.
pub(crate) fn check(place: impl ToTokens, name: &str, errors: &mut Errors) {
    let mut characters = name.chars();
    let first = characters.next().filter(|first| !(first.is_alphanumeric() || *first == '_'));
    let bad = first.or_else(|| characters.find(|c| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))));
    if name.is_empty() {
        errors.push(place, "a name on the wire needs at least one character");
    } else if let Some(bad) = bad {
        let message = format!(
            "a name on the wire consists of letters, digits, `_`, `-` and `.`, and begins with a letter, a digit or `_`; \
             {bad:?} is none of these"
        );
        errors.push(place, message);
    } else {
        check_length(place, name, errors);
    }
}

fn check_length(place: impl ToTokens, name: &str, errors: &mut Errors) {
    if name.len() > MAX_NAME {
        let message = format!(
            "a name on the wire has at most {MAX_NAME} bytes, and `{name}` has {}: give a shorter one with `name = \"..\"`",
            name.len()
        );
        errors.push(place, message);
    }
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;
    use quote::format_ident;

    use super::*;

    fn name(ident: &str, given: Option<&str>, prefix: Option<&str>) -> (String, Vec<String>) {
        let mut errors = Errors::default();
        let given = given.map(|given| LitStr::new(given, Span::call_site()));
        let name = on_the_wire(&format_ident!("{ident}"), given.as_ref(), prefix, &mut errors);
        (name, errors.messages())
    }

    #[test]
    fn a_name_is_given_or_the_functions_own() {
        for (ident, given, prefix, expected) in [
            ("add", None, None, "add"),
            ("r#type", None, None, "type"),
            ("add", Some("math.add-2"), None, "math.add-2"),
            ("add", None, Some("math"), "math.add"),
            ("add", Some("plus"), Some("math"), "math.plus"),
        ] {
            assert_eq!(name(ident, given, prefix), (expected.to_owned(), Vec::new()));
        }
    }

    #[test]
    fn what_the_wire_refuses_is_refused_here() {
        let long = "x".repeat(125);
        for (given, prefix, says) in [
            ("", None, "at least one character"),
            ("a b", None, "' ' is none of these"),
            ("-a", None, "'-' is none of these"),
            ("a/b", None, "'/' is none of these"),
            (long.as_str(), Some("math"), "has 130: give a shorter one"),
        ] {
            let (_, errors) = name("add", Some(given), prefix);
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(errors[0].contains(says), "{errors:?}");
        }
    }
}
