//! The part of the document that the program writes.

/// The line before it.
pub(super) const BEGIN: &str = "<!-- measured: begin; written by `daffi-peers report`, as is all until the end -->";

/// The line behind it.
pub(super) const END: &str = "<!-- measured: end -->";

/// The document has no place for figures, or more than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum MarkerError {
    #[error("it has no line `{0}`; put it where the figures are to go")]
    Missing(&'static str),
    #[error("it has the line `{0}` more than once; leave one")]
    Twice(&'static str),
    #[error("the marker of the end comes before that of the beginning; put it behind it")]
    Backwards,
}

/// The text with `measured` between the markers instead of what stands there.
pub(super) fn replace(text: &str, measured: &str) -> Result<String, MarkerError> {
    let (begin, end) = (only(text, BEGIN)?, only(text, END)?);
    let (Some(before), Some(behind)) = (text.get(..begin + BEGIN.len()), text.get(end..)) else {
        // Both are places that `only` found in this text.
        return Err(MarkerError::Backwards);
    };
    if end < begin {
        return Err(MarkerError::Backwards);
    }
    Ok(format!("{before}\n\n{}\n\n{behind}", measured.trim()))
}

/// Where the only line of this text begins.
fn only(text: &str, line: &'static str) -> Result<usize, MarkerError> {
    let mut at = 0;
    let mut found = Vec::new();
    for each in text.split_inclusive('\n') {
        if each.trim_end() == line {
            found.push(at);
        }
        at += each.len();
    }
    match found[..] {
        [at] => Ok(at),
        [] => Err(MarkerError::Missing(line)),
        [..] => Err(MarkerError::Twice(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_is_replaced_and_nothing_else() {
        let text = format!("# Title\n\n{BEGIN}\nold\n{END}\n\nMore, with ü.\n");
        let replaced = replace(&text, "new\n").unwrap();
        assert_eq!(replaced, format!("# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nMore, with ü.\n"));
        assert_eq!(replace(&replaced, "new").unwrap(), replaced, "twice is as once");
    }

    #[test]
    fn a_document_without_a_place_is_refused() {
        assert_eq!(replace("# Title\n", ""), Err(MarkerError::Missing(BEGIN)));
        assert_eq!(replace(&format!("{BEGIN}\n"), ""), Err(MarkerError::Missing(END)));
        assert_eq!(replace(&format!("text {BEGIN}\n{END}\n"), ""), Err(MarkerError::Missing(BEGIN)));
        assert_eq!(replace(&format!("{BEGIN}\n{BEGIN}\n{END}\n"), ""), Err(MarkerError::Twice(BEGIN)));
        assert_eq!(replace(&format!("{END}\n{BEGIN}\n"), ""), Err(MarkerError::Backwards));
        let error = replace("", "").unwrap_err().to_string();
        assert!(error.contains(BEGIN) && error.contains("put it"), "{error}");
    }
}
