//! Numbers as people read them.

/// With three digits that mean something, and commas: 1.23, 45.6, 7,890, 12.3 million.
pub(super) fn shown(value: f64) -> String {
    if value.abs() >= 1e6 {
        return format!("{} million", shown(value / 1e6));
    }
    let places = match value.abs() {
        0.0 => 0,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.places$}");
    let (whole, fraction) = text.split_once('.').map_or((&text[..], None), |(whole, fraction)| (whole, Some(fraction)));
    let whole = with_commas(whole);
    fraction.map_or_else(|| whole.clone(), |fraction| format!("{whole}.{fraction}"))
}

/// These digits, with a comma after every thousand.
pub(super) fn with_commas(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        let left = digits.len() - index;
        if index > 0 && left.is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let expected = [
            (0.0, "0"),
            (0.456, "0.46"),
            (45.61, "45.6"),
            (789.0, "789"),
            (7_890.4, "7,890"),
            (123_456.0, "123,456"),
            (3_804_000.0, "3.80 million"),
            (13_404_027.0, "13.4 million"),
        ];
        for (value, text) in expected {
            assert_eq!(shown(value), text);
        }
    }
}
