//! The callbacks, in a module that both programs compile, as they would a crate that both depend on.

use daffi::callback;

/// The temperatures of the next days. On the wire it has a name of its own, which does not change when the function's does.
#[callback(name = "weather.forecast")]
pub(crate) fn forecast(city: &str, days: u32) -> Vec<i32> {
    println!("{days} days of {city}");
    (0..days.cast_signed()).map(|day| 15 + day).collect()
}
