//! Names of nodes and callbacks: what may stand in them.

use super::limits::MAX_NAME;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// The name is empty.
    #[error("a name needs at least one character")]
    Empty,
    /// The name is too long.
    #[error("a name has at most {MAX_NAME} bytes, this one has {0}")]
    TooLong(usize),
    /// The name has a character that names do not have.
    #[error(
        "a name consists of letters, digits, `_`, `-` and `.`, and begins with a letter, a digit or `_`; {0:?} is none of these"
    )]
    Character(char),
}

/// Checks the name of a node or callback: 1 to 128 bytes of letters and digits (of any script), `_`, `-` and `.`, the first of
/// them a letter, a digit or `_`.
///
/// Separators, blanks and control characters stay out, so that a name can stand in logs, file names and patterns as it is.
///
/// # Errors
///
/// [`InvalidName`] says what is wrong with it.
pub fn check(name: &str) -> Result<(), InvalidName> {
    if name.len() > MAX_NAME {
        return Err(InvalidName::TooLong(name.len()));
    }
    let mut characters = name.chars();
    match characters.next() {
        None => return Err(InvalidName::Empty),
        Some(first) if !(first.is_alphanumeric() || first == '_') => return Err(InvalidName::Character(first)),
        Some(_) => {}
    }
    match characters.find(|c| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))) {
        Some(other) => Err(InvalidName::Character(other)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in ["process1", "gpu-1", "a.b", "_x", "überprüfung", "7"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn separators_and_control_characters_do_not() {
        assert_eq!(check(""), Err(InvalidName::Empty));
        assert_eq!(check(&"x".repeat(129)), Err(InvalidName::TooLong(129)));
        for (name, bad) in
            [("a b", ' '), ("a/b", '/'), ("a\nb", '\n'), ("-a", '-'), ("a|b", '|'), ("a\u{7f}", '\u{7f}')]
        {
            assert_eq!(check(name), Err(InvalidName::Character(bad)), "{name:?}");
        }
    }
}
