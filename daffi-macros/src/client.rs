//! `#[fetcher]` on a trait: the trait becomes a client, a type with a method for each stub, and with the node, the receiver and the
//! name of the value that all of them mean.

use proc_macro2::{Group, Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{Generics, ItemTrait, TraitItem, TraitItemFn, Visibility};

use crate::contract::{of_function, of_method};
use crate::declaration::{Declaration, is_ours, take_ours};
use crate::errors::Errors;
use crate::fetcher;
use crate::fetcher_options::{ClientOptions, FetcherOptions};
use crate::name;
use crate::signature::{Checked, Side};
use crate::stub::Stub;

/// What every client has.
const OWN: [&str; 4] = ["new", "on", "to", "under"];

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = ClientOptions::parse(arguments, &mut errors);
    let listed: ItemTrait = match syn::parse2(item.clone()) {
        Ok(listed) => listed,
        Err(error) => {
            errors.add(error);
            let errors = errors.into_items();
            return quote! { #errors #item };
        }
    };
    check_header(&listed, &mut errors);
    let methods: Vec<_> = listed.items.iter().filter_map(|item| Method::new(item, &options, &mut errors)).collect();
    let stubs = methods.iter().map(|method| method.stub(&options, &listed.vis));
    if !errors.is_empty() {
        let errors = errors.into_items();
        let client = client(&listed, stubs.map(|stub| stub.placeholder()));
        return quote! { #errors #client };
    }
    client(&listed, stubs.map(|stub| stub.tokens()))
}

/// A stub of the client.
struct Method {
    declaration: Declaration,
    checked: Checked,
    options: FetcherOptions,
    /// On the wire.
    name: String,
}

impl Method {
    fn new(item: &TraitItem, client: &ClientOptions, errors: &mut Errors) -> Option<Self> {
        let TraitItem::Fn(function) = item else {
            let message = match item {
                TraitItem::Const(_) => "a constant does not travel: declare it outside of the trait",
                TraitItem::Type(_) => {
                    "the other process has to know the types: write them out instead of an associated type"
                }
                _ => "the trait lists stubs, each of the form `async fn add(a: i64) -> i64;`: write them out",
            };
            errors.push(item, message);
            return None;
        };
        let mut declaration = declaration(function);
        for attribute in declaration.attributes.iter().filter(|attribute| is_ours(attribute, "callback")) {
            errors.push(
                attribute,
                "a callback is offered where its body is: put `#[callback]` on an impl block, and here nothing",
            );
        }
        declaration.attributes.retain(|attribute| !is_ours(attribute, "callback"));
        let arguments = take_ours(&mut declaration.attributes, "fetcher", errors).unwrap_or_default();
        let options = FetcherOptions::parse(arguments, errors);
        let checked = fetcher::check(Side::Client, &options, &declaration, errors);
        let ident = &declaration.signature.ident;
        if let Some(body) = &declaration.body {
            errors.push(body, "a stub has no body, it calls another process: end the line with `;`");
        }
        let own = OWN.iter().any(|own| ident == own);
        if own {
            let message = format!(
                "`{ident}` is a method of the client's own: give this one another name, and put \
                 `#[fetcher(name = \"{ident}\")]` on it"
            );
            errors.push(ident, message);
        }
        let prefix = client.prefix.as_ref().map(syn::LitStr::value);
        let name = name::on_the_wire(ident, options.name.as_ref(), prefix.as_deref(), errors);
        (!own).then_some(Self { declaration, checked, options, name })
    }

    fn stub<'a>(&'a self, client: &ClientOptions, visibility: &'a Visibility) -> Stub<'a> {
        let ident = &self.declaration.signature.ident;
        let own = name::own(ident, self.options.name.as_ref());
        let of_function = self.options.of.clone().map(|of| (of, of_function(ident)));
        let of_method = client.of.clone().map(|of| (of, of_method(&own, ident)));
        Stub {
            declaration: &self.declaration,
            checked: &self.checked,
            modifier: self.options.modifier(),
            name: &self.name,
            idempotent: self.options.idempotent.is_some(),
            on_slow: self.options.on_slow(),
            of: of_function.or(of_method),
            client: Some(visibility),
        }
    }
}

fn declaration(function: &TraitItemFn) -> Declaration {
    let body = function.default.as_ref().map(|body| {
        let mut group =
            Group::new(proc_macro2::Delimiter::Brace, body.stmts.iter().map(ToTokens::to_token_stream).collect());
        group.set_span(body.brace_token.span.join());
        group
    });
    Declaration {
        attributes: function.attrs.clone(),
        visibility: Visibility::Inherited,
        signature: function.sig.clone(),
        body,
    }
}

fn check_header(listed: &ItemTrait, errors: &mut Errors) {
    if let Some(token) = &listed.unsafety {
        errors.push(token, "a client has nothing that could be unsafe: remove `unsafe`");
    }
    let Generics { params, where_clause, .. } = &listed.generics;
    if !params.is_empty() {
        let message = "the other process has to know the types, so a client has no parameters: write the types out";
        errors.push(params, message);
    }
    if let Some(clause) = where_clause {
        errors.push(clause, "a client has nothing to constrain: remove the `where` clause");
    }
    if !listed.supertraits.is_empty() {
        let message =
            "the trait becomes a type, which implements `Debug`, `Clone` and `Default`: remove the supertraits";
        errors.push(&listed.supertraits, message);
    }
}

fn client(listed: &ItemTrait, methods: impl Iterator<Item = TokenStream>) -> TokenStream {
    let ItemTrait { attrs, vis, ident, .. } = listed;
    let own = own(ident, vis);
    quote! {
        #(#attrs)*
        #[derive(::core::fmt::Debug, ::core::clone::Clone, ::core::default::Default)]
        #vis struct #ident {
            __target: ::daffi::__private::Target,
        }

        #[allow(dead_code)]
        impl #ident {
            #own
            #(#methods)*
        }
    }
}

fn own(ident: &Ident, vis: &Visibility) -> TokenStream {
    let new = format!(
        "A client whose calls go to the next node in turn that offers the callback. `{ident}::default()` is the same."
    );
    quote! {
        #[doc = #new]
        #[must_use]
        #vis fn new() -> Self {
            <Self as ::core::default::Default>::default()
        }

        /// Calls through this node instead of the process's first, or of the one whose callback is running.
        #[must_use]
        #vis fn on(self, node: impl ::core::convert::AsRef<::daffi::Node>) -> Self {
            Self { __target: self.__target.on(node) }
        }

        /// Calls the node of this name. Broadcasts and streams go to every node all the same.
        #[must_use]
        #vis fn to(self, name: impl ::core::convert::Into<::std::string::String>) -> Self {
            Self { __target: self.__target.to(name) }
        }

        /// Calls the value that was served under this name: `name.method` on the wire.
        #[must_use]
        #vis fn under(self, name: impl ::core::convert::Into<::std::string::String>) -> Self {
            Self { __target: self.__target.under(name) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_holds(expansion: &str, tokens: TokenStream) {
        let tokens = tokens.to_string();
        assert!(expansion.contains(&tokens), "no\n{tokens}\nin\n{expansion}");
    }

    #[test]
    fn a_trait_becomes_a_type_with_a_method_for_each_stub() {
        let expansion = expand(
            quote!(name = "counters", of = that::Counter),
            quote! {
                /** Counts. */
                pub trait Counter {
                    /** Adds. */
                    #[must_use]
                    async fn bump(by: i64) -> i64;
                    #[fetcher(STREAM, name = "bump", of = that::bump)]
                    async fn bump_all(by: i64);
                    #[fetcher(BG, idempotent, name = "x-y")]
                    fn later();
                }
            },
        );
        let expansion = expansion.to_string();
        assert!(!expansion.contains("compile_error"), "{expansion}");
        assert_holds(
            &expansion,
            quote! {
                /** Counts. */
                #[derive(::core::fmt::Debug, ::core::clone::Clone, ::core::default::Default)]
                pub struct Counter { __target: ::daffi::__private::Target, }
                #[allow(dead_code)]
                impl Counter
            },
        );
        assert_holds(&expansion, quote! { /** Adds. */ #[must_use] pub fn bump(&self, by: i64) -> ::daffi::Call<i64> });
        assert_holds(&expansion, quote! { name: "counters.bump", });
        assert_holds(&expansion, quote! { <that::Counter>::__daffi_signature_bump((__daffi_value::<i64>(),).0) });
        assert_holds(
            &expansion,
            quote! {
                pub fn bump_all<__Source, __Kind>(&self, by: __Source) -> ::daffi::StreamCall<(), ::daffi::Never>
                where
                    __Source: ::daffi::Source<i64, __Kind>
            },
        );
        assert_holds(&expansion, quote! { <that::bump>::__daffi_signature((__daffi_value::<i64>(),).0); });
        assert_holds(&expansion, quote! { <that::Counter>::__daffi_signature_x_u2d_y() });
        assert_holds(&expansion, quote! { idempotent: true, });
        assert_holds(
            &expansion,
            quote! {
                ::daffi::__private::aim(::daffi::__private::background(
                    &__STUB,
                    ::daffi::__private::encode_args(&::daffi::__private::NoArgs {}),
                    ::daffi::__private::decode::<()>,
                    ::daffi::__private::decode::<::daffi::Never>
                ), &self.__target)
            },
        );
    }

    #[test]
    fn what_a_client_cannot_have_is_refused() {
        for (item, says) in [
            (quote! { trait C<T> { fn f(); } }, "a client has no parameters"),
            (quote! { trait C: Send { fn f(); } }, "remove the supertraits"),
            (quote! { unsafe trait C { fn f(); } }, "remove `unsafe`"),
            (quote! { trait C where u8: Copy { fn f(); } }, "remove the `where` clause"),
            (quote! { trait C { type T; } }, "instead of an associated type"),
            (quote! { trait C { const N: u8; } }, "outside of the trait"),
            (quote! { trait C { stubs!(); } }, "write them out"),
            (quote! { trait C { fn f() {} } }, "end the line with `;`"),
            (quote! { trait C { fn f(&self); } }, "list only what travels"),
            (quote! { trait C { fn f<T>(); } }, "no generic or lifetime parameters"),
            (quote! { trait C { fn new(); } }, "the client's own"),
            (quote! { trait C { #[callback] fn f(); } }, "where its body is"),
            (quote! { trait C { #[fetcher(STREM)] fn f(a: u8); } }, "did you mean `STREAM`?"),
        ] {
            let expansion = expand(quote!(), item).to_string();
            assert_eq!(expansion.matches("compile_error").count(), 1, "{expansion}");
            assert!(expansion.contains(says), "{expansion}");
            assert!(expansion.contains("struct C"), "{expansion}");
        }
    }
}
