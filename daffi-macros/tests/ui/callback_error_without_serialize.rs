use daffi::callback;

enum MathError {
    DivisionByZero,
}

#[callback]
fn div(a: i64, b: i64) -> Result<i64, MathError> {
    a.checked_div(b).ok_or(MathError::DivisionByZero)
}

fn main() {}
