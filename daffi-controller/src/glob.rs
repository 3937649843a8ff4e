//! What a glob for names means, as a regular expression: letter by letter, whatever script they are of, and not byte by byte, as crates for
//! globs of file names take them.

use std::{iter::Peekable, str::Chars};

/// How deep braces may stand in braces.
const MAX_DEPTH: usize = 16;

/// The regular expression for a glob in which stand letters, digits, `_`, `-`, `.`, and the signs of globs.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn expression(glob: &str) -> Result<String, String> {
    let (mut expression, mut depth, mut rest) = ("^(?:".to_owned(), 0_usize, glob.chars().peekable());
    while let Some(c) = rest.next() {
        match c {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            '[' => class(&mut rest, &mut expression)?,
            '{' if depth == MAX_DEPTH => return Err(format!("braces stand more than {MAX_DEPTH} deep in braces")),
            '{' => {
                depth += 1;
                expression.push_str("(?:");
            }
            ',' if depth > 0 => expression.push('|'),
            '}' => {
                depth = depth.checked_sub(1).ok_or("a brace is closed that was not opened")?;
                expression.push(')');
            }
            c => literal(c, &mut expression),
        }
    }
    if depth > 0 {
        return Err("a brace is not closed".into());
    }
    expression.push_str(")$");
    Ok(expression)
}

/// What follows a bracket. One that closes stands for itself if it comes first, and so does a dash that comes first or last.
fn class(rest: &mut Peekable<Chars<'_>>, expression: &mut String) -> Result<(), String> {
    let unclosed = || "a bracket is not closed".to_owned();
    expression.push('[');
    if rest.next_if(|c| matches!(c, '!' | '^')).is_some() {
        expression.push('^');
    }
    let mut first = Some(rest.next().ok_or_else(unclosed)?);
    while let Some(from) = first {
        literal(from, expression);
        let mut next = rest.next().ok_or_else(unclosed)?;
        if next == '-' && rest.peek().is_some_and(|c| *c != ']') {
            let to = rest.next().ok_or_else(unclosed)?;
            if to < from {
                return Err(format!("no letter is between {from:?} and {to:?}"));
            }
            expression.push('-');
            literal(to, expression);
            next = rest.next().ok_or_else(unclosed)?;
        }
        first = Some(next).filter(|c| *c != ']');
    }
    expression.push(']');
    Ok(())
}

fn literal(c: char, expression: &mut String) {
    // In this form no character has a meaning of its own.
    expression.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sign_has_its_expression() {
        for (glob, expected) in [
            ("*?", "^(?:.*.)$"),
            ("{?,*,}", "^(?:(?:.|.*|))$"),
            (",", r"^(?:\x{2c})$"),
            ("[a-c-]", r"^(?:[\x{61}-\x{63}\x{2d}])$"),
            ("[!]-]", r"^(?:[^\x{5d}\x{2d}])$"),
            ("[^ü]", r"^(?:[^\x{fc}])$"),
        ] {
            assert_eq!(expression(glob).unwrap(), expected, "{glob}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (glob, words) in [
            ("[a", "bracket is not closed"),
            ("[", "bracket is not closed"),
            ("[a-", "bracket is not closed"),
            ("[]", "bracket is not closed"),
            ("[z-a]", "between 'z' and 'a'"),
            ("{a,{b}", "brace is not closed"),
            ("a}", "not opened"),
            (&"{".repeat(17), "more than 16 deep"),
        ] {
            let error = expression(glob).unwrap_err();
            assert!(error.contains(words), "{glob}: {error}");
        }
    }
}
