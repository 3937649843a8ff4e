#![no_main]
//! The normal form of types that contracts are compared by. `daffi-macros` exports only macros, so its files are taken in.

use daffi_core::wire::offer::Contract;
use daffi_fuzz::check_message;
use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unreachable_pub)]
#[path = "../../daffi-macros/src/normal.rs"]
mod normal;
#[allow(dead_code, unreachable_pub)]
#[path = "../../daffi-macros/src/tidy.rs"]
mod tidy;
#[allow(dead_code, unreachable_pub)]
#[path = "../../daffi-macros/src/types.rs"]
mod types;

fuzz_target!(|data: &[u8]| {
    check_message::<Contract>(data);
    let Ok(text) = str::from_utf8(data) else { return };
    // The parser is the compiler's business; what it takes for a type is ours.
    if text.len() > 512 || depth(text) > 32 {
        return;
    }
    let Ok(ty) = syn::parse_str::<syn::Type>(text) else { return };
    let normal = normal::text(&ty);
    let borrowed = syn::parse_str::<syn::Type>(&format!("&'a ({text})")).map(|ty| normal::text(&ty));
    if let Ok(borrowed) = borrowed
        && is_sized(&ty)
    {
        assert_eq!(borrowed, normal, "what travels does not depend on who owns it");
    }
    if let Ok(again) = syn::parse_str(&normal) {
        assert_eq!(normal::text(&again), normal, "a normal form is its own");
    }
});

/// Whether there are values of it: a slice is always borrowed, and then it travels as what owns it.
fn is_sized(ty: &syn::Type) -> bool {
    match types::peel(ty) {
        syn::Type::Slice(_) => false,
        syn::Type::Path(path) => !path.path.is_ident("str"),
        _ => true,
    }
}

fn depth(text: &str) -> usize {
    text.bytes().filter(|byte| b"([{<&*".contains(byte)).count()
}
