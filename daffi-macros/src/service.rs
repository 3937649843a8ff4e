//! `#[callback]` on an impl block: the block as it was, and beside it the list of those methods that others may call, which
//! makes its type one that can be served.

use std::collections::HashMap;

use proc_macro2::{Group, TokenStream};
use quote::quote;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Generics, ImplItem, ItemImpl, Signature, Type};

use crate::block::{is_function, named, split, unmarked};
use crate::callback;
use crate::callback_options::{CallbackOptions, prefix};
use crate::contract;
use crate::declaration::{Declaration, is_ours, take_ours};
use crate::errors::Errors;
use crate::name;
use crate::signature::{Checked, Side};
use crate::types::Contents;

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let prefix = prefix(arguments, &mut errors);
    let (header, body) = match split(item.clone()) {
        Ok(parts) => parts,
        Err(error) => {
            errors.add(error);
            let errors = errors.into_items();
            return quote! { #errors #item };
        }
    };
    let unmarked = unmarked(&item);
    let servable = check_header(&header, &mut errors);
    let methods = match Method::parse_all(body, &header.self_ty, prefix.map(|prefix| prefix.value()), &mut errors) {
        Ok(methods) => methods,
        Err(error) => {
            errors.add(error);
            Vec::new()
        }
    };
    let of = &header.self_ty;
    if !errors.is_empty() {
        let errors = errors.into_items();
        // Whoever serves the value need not hear that it has no callbacks.
        let placeholder = servable.then(|| service(of, &[]));
        return quote! { #errors #unmarked #placeholder };
    }
    let service = service(of, &methods);
    let contracts = contracts(of, &methods);
    quote! { #unmarked #contracts #service }
}

/// A method that others may call.
struct Method {
    /// Those that decide whether it exists.
    cfgs: Vec<Attribute>,
    signature: Signature,
    checked: Checked,
    options: CallbackOptions,
    /// On the wire.
    name: String,
}

impl Method {
    /// Reads the methods under the attribute, which are all that matters here.
    fn parse_all(body: Group, of: &Type, prefix: Option<String>, errors: &mut Errors) -> syn::Result<Vec<Self>> {
        let mut methods = Vec::new();
        let parser = |input: ParseStream<'_>| {
            input.call(Attribute::parse_inner)?;
            while !input.is_empty() {
                methods.extend(Self::parse(input, of, prefix.as_deref(), errors)?);
            }
            Ok(())
        };
        parser.parse2(body.stream())?;
        if methods.is_empty() && errors.is_empty() {
            errors.push(of, "none of its methods is a callback: put `#[callback]` on those that others may call");
        }
        check_names(&methods, errors);
        Ok(methods)
    }

    fn parse(
        input: ParseStream<'_>,
        of: &Type,
        prefix: Option<&str>,
        errors: &mut Errors,
    ) -> syn::Result<Option<Self>> {
        if !is_function(input)? {
            let attributes = input.fork().call(Attribute::parse_outer)?;
            if let Some(ours) = attributes.iter().find(|attribute| is_ours(attribute, "callback")) {
                errors.push(ours, "only a function can be called: put `#[callback]` on the methods of the block");
            }
            input.parse::<ImplItem>()?;
            return Ok(None);
        }
        let mut declaration: Declaration = input.parse()?;
        let Some(arguments) = take_ours(&mut declaration.attributes, "callback", errors) else {
            return Ok(None);
        };
        let options = CallbackOptions::parse(arguments, errors);
        declaration.signature = named(&declaration.signature, of);
        let checked = callback::check(Side::Method, &options, &declaration, errors);
        let name = name::on_the_wire(&declaration.signature.ident, options.name.as_ref(), prefix, errors);
        let mut cfgs = declaration.attributes;
        cfgs.retain(|attribute| attribute.path().is_ident("cfg"));
        Ok(Some(Self { cfgs, signature: declaration.signature, checked, options, name }))
    }

    /// The name without what the block puts before it.
    fn own_name(&self) -> String {
        name::own(&self.signature.ident, self.options.name.as_ref())
    }
}

/// Whether the type can be served at all.
fn check_header(header: &ItemImpl, errors: &mut Errors) -> bool {
    if let Some((of, _)) = &header.trait_ {
        let message = "a trait's methods are called through the trait: put `#[callback]` on an `impl Type { .. }`, and call \
                       the trait's methods there";
        errors.push(of, message);
        return false;
    }
    let Generics { params, where_clause, .. } = &header.generics;
    if !params.is_empty() {
        let message = "the other process has to know the types, so the block has no parameters: write it for one type, as in \
                       `impl Store<u32>`";
        errors.push(params, message);
    } else if let Some(clause) = where_clause {
        errors.push(clause, "there are no generic parameters to constrain: remove the `where` clause");
    } else if Contents::of(&header.self_ty).lifetime {
        errors.push(
            &header.self_ty,
            "a value that is served outlives every call, so it borrows nothing: let it own its data",
        );
        return false;
    }
    params.is_empty() && where_clause.is_none()
}

fn check_names(methods: &[Method], errors: &mut Errors) {
    let mut by_name: HashMap<&str, &Method> = HashMap::new();
    for method in methods {
        let Some(first) = by_name.insert(&method.name, method) else { continue };
        // Of two with `cfg` there may be one at a time.
        if first.cfgs.is_empty() || method.cfgs.is_empty() {
            let name = &method.name;
            let message = format!("another method has the name `{name}` on the wire: give one of them `name = \"..\"`");
            errors.push(&method.signature.ident, message);
            errors.push(&first.signature.ident, format!("the other method with the name `{name}` on the wire"));
        }
    }
}

fn service(of: &Type, methods: &[Method]) -> TokenStream {
    let callbacks = methods.iter().map(|method| {
        let Method { cfgs, signature, checked, options, name } = method;
        let description = callback::description(signature, Some(of), checked, name, options);
        quote! { #(#cfgs)* #description }
    });
    quote! {
        #[allow(deprecated)]
        impl ::daffi::Service for #of {
            const CALLBACKS: &'static [::daffi::__private::Callback] = &[#(#callbacks),*];
        }
    }
}

fn contracts(of: &Type, methods: &[Method]) -> TokenStream {
    let allowances = contract::allowances();
    let contracts = methods.iter().map(|method| {
        let cfgs = &method.cfgs;
        let name = contract::of_method(&method.own_name(), &method.signature.ident);
        let contract = contract::signature(&name, &method.checked);
        quote! { #(#cfgs)* #contract }
    });
    quote! {
        #allowances
        impl #of { #(#contracts)* }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(arguments: TokenStream, item: TokenStream) -> String {
        let expansion = expand(arguments, item).to_string();
        assert!(expansion.contains("compile_error"), "{expansion}");
        assert!(!expansion.contains("__daffi_invoke"), "{expansion}");
        expansion
    }

    #[test]
    fn a_block_becomes_itself_and_a_service() {
        let expansion = expand(
            quote!(name = "counters"),
            quote! {
                impl Counter {
                    const MOST: u8 = { 3 };
                    #[inline]
                    #[daffi::callback(name = "state", limit = 2)]
                    #[cfg(unix)]
                    pub async fn state_now(&self, other: Self) -> Vec<Self> { todo!() }
                    fn hidden(&mut self) {}
                    some::items! {}
                }
            },
        );
        let functions = quote! {
            fn __daffi_decode<__A0: ::daffi::__private::Decode>(
                args: &[u8],
            ) -> ::core::result::Result<(__A0,), ::daffi::__private::Failure> {
                ::daffi::__private::decode_args::<(__A0,)>(args, 1)
            }
            async fn __daffi_run(
                state: ::daffi::__private::State,
                args: ::daffi::__private::Payload,
            ) -> ::daffi::__private::Outcome {
                let (arg_0,) = __daffi_decode::<Counter>(&args)?;
                let value = <Counter>::state_now(state.of::<Counter>(), arg_0).await;
                ::daffi::__private::reply::<Vec<Counter> >(&value)
            }
            fn __daffi_invoke(
                state: ::daffi::__private::State,
                args: ::daffi::__private::Payload,
            ) -> ::daffi::__private::BoxFuture<::daffi::__private::Outcome> {
                ::std::boxed::Box::pin(__daffi_run(state, args))
            }
        };
        let expected = quote! {
            impl Counter {
                const MOST: u8 = { 3 };
                #[inline]
                #[cfg(unix)]
                pub async fn state_now(&self, other: Self) -> Vec<Self> { todo!() }
                fn hidden(&mut self) {}
                some::items! {}
            }

            #[allow(dead_code, deprecated, private_interfaces, unused_variables, unreachable_pub, clippy::all)]
            impl Counter {
                #[cfg(unix)]
                #[doc(hidden)]
                pub fn __daffi_signature_state(other: Counter)
                    -> ::daffi::__private::Returns<Vec<Counter>, ::daffi::Never>
                {
                    ::core::unreachable!()
                }
            }

            #[allow(deprecated)]
            impl ::daffi::Service for Counter {
                const CALLBACKS: &'static [::daffi::__private::Callback] = &[#[cfg(unix)] {
                    #functions
                    ::daffi::__private::Callback {
                        name: "counters.state",
                        signature: ::daffi::__private::Signature {
                            text: "state_now(other: Counter) -> Vec<Counter>",
                            kind: ::daffi::__private::Kind::Call,
                            parameters: &[("other", "Counter")],
                            result: "Vec<Counter>",
                        },
                        file: ::core::file!(),
                        line: ::core::line!(),
                        options: ::daffi::__private::CallbackOptions {
                            inline: false,
                            no_cancel: false,
                            limit: ::core::option::Option::Some((2u32, 2u32)),
                            lossless: false
                        },
                        handler: ::daffi::__private::Handler::Async(__daffi_invoke),
                    }
                }];
            }
        };
        assert_eq!(expansion.to_string(), expected.to_string());
    }

    #[test]
    fn a_method_without_receiver_is_called_on_the_type() {
        let expansion =
            expand(quote!(), quote! { impl a::Store<u8> { #[callback] fn size() -> u64 { 0 } } }).to_string();
        assert!(expansion.contains("< a :: Store < u8 > > :: size ()"), "{expansion}");
    }

    #[test]
    fn blocks_that_cannot_be_served_are_refused() {
        for (item, says) in [
            (quote! { impl<T> Store<T> { #[callback] fn f(&self) {} } }, "write it for one type"),
            (quote! { impl Store where u8: Copy { #[callback] fn f(&self) {} } }, "remove the `where` clause"),
            (quote! { impl Store<'_> { #[callback] fn f(&self) {} } }, "let it own its data"),
            (quote! { unsafe impl Send for Store {} }, "a trait's methods"),
            (quote! { impl Store { fn f(&self) {} } }, "none of its methods"),
            (quote! { impl Store { #[callback] const A: u8 = 1; } }, "only a function can be called"),
            (quote! { impl Store { #[callback] fn f(&mut self) {} } }, "take `&self`"),
            (
                quote! { impl Store { #[callback(name = "a")] fn f(&self) {} #[callback] fn a(&self) {} } },
                "`a` on the wire",
            ),
            (quote! { impl Store { #[callback] fn f(&self, a: &mut Self) {} } }, "would not travel back"),
        ] {
            let expansion = refused(quote!(), item);
            assert!(expansion.contains(says), "{expansion}");
            assert!(!expansion.contains("# [callback"), "{expansion}");
        }
        assert!(
            refused(quote!(inline), quote! { impl Store { #[callback] fn f(&self) {} } }).contains("to one method")
        );
    }

    #[test]
    fn a_type_with_mistakes_can_still_be_served() {
        let expansion = refused(quote!(), quote! { impl Store { #[callback] fn f(self) {} } });
        let placeholder = quote! { impl ::daffi::Service for Store };
        assert!(expansion.contains(&placeholder.to_string()), "{expansion}");
        let expansion = refused(quote!(), quote! { impl Store { #[callback] syntax error } });
        assert!(expansion.contains(&placeholder.to_string()), "{expansion}");
    }
}
