//! `#[callback]` on an impl block: the block as it was, and beside it the list of those methods that others may call, which
//! makes its type one that can be served.

use std::collections::HashMap;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Generics, ImplItem, ItemImpl, Path, Signature, Token, Type, Visibility};

use crate::callback;
use crate::callback_options::{CallbackOptions, prefix};
use crate::contract;
use crate::declaration::{Declaration, is_ours, keyword, take_ours};
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

/// The block's header as an empty block, and its body.
fn split(item: TokenStream) -> syn::Result<(ItemImpl, Group)> {
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    let Some(TokenTree::Group(body)) = tokens.pop() else {
        return Err(syn::Error::new_spanned(TokenStream::from_iter(tokens), "expected an impl block"));
    };
    tokens.push(Group::new(Delimiter::Brace, TokenStream::new()).into());
    Ok((syn::parse2(TokenStream::from_iter(tokens))?, body))
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
        let name = contract::of_method(&method.own_name(), method.signature.ident.span());
        let contract = contract::signature(&name, &method.checked);
        quote! { #(#cfgs)* #contract }
    });
    quote! {
        #allowances
        impl #of { #(#contracts)* }
    }
}

fn is_function(input: ParseStream<'_>) -> syn::Result<bool> {
    let ahead = input.fork();
    ahead.call(Attribute::parse_outer)?;
    ahead.parse::<Visibility>()?;
    let invocation = ahead.fork();
    let is_macro = invocation.call(Path::parse_mod_style).is_ok() && invocation.peek(Token![!]);
    Ok(!is_macro && keyword(&ahead).is_none())
}

/// The item without the attributes on its methods, which would expand on their own.
fn unmarked(item: &TokenStream) -> TokenStream {
    let mut tokens: Vec<TokenTree> = item.clone().into_iter().collect();
    if let Some(TokenTree::Group(body)) = tokens.last_mut() {
        let mut kept: Vec<TokenTree> = Vec::new();
        for token in body.stream() {
            if let TokenTree::Group(attribute) = &token
                && attribute.delimiter() == Delimiter::Bracket
                && matches!(kept.last(), Some(TokenTree::Punct(hash)) if hash.as_char() == '#')
                && names_ours(attribute.stream())
            {
                kept.pop();
                continue;
            }
            kept.push(token);
        }
        let mut unmarked = Group::new(Delimiter::Brace, TokenStream::from_iter(kept));
        unmarked.set_span(body.span());
        *body = unmarked;
    }
    TokenStream::from_iter(tokens)
}

/// Whether these are the insides of `#[callback]`, by whatever path.
fn names_ours(attribute: TokenStream) -> bool {
    let parser = |input: ParseStream<'_>| {
        let path = input.call(Path::parse_mod_style)?;
        input.parse::<TokenStream>()?;
        Ok(path.segments.last().is_some_and(|segment| segment.ident == "callback"))
    };
    parser.parse2(attribute).unwrap_or(false)
}

/// The signature with the type in place of `Self`, which means nothing beside the block.
fn named(signature: &Signature, of: &Type) -> Signature {
    let named = name_self(signature.to_token_stream(), &of.to_token_stream());
    // What it does not parse with, `Self::Item` of a tuple for one, stays as it was.
    syn::parse2(named).unwrap_or_else(|_| signature.clone())
}

fn name_self(tokens: TokenStream, of: &TokenStream) -> TokenStream {
    let name = |token| match token {
        TokenTree::Ident(ident) if ident == "Self" => of
            .clone()
            .into_iter()
            .map(|mut token| {
                token.set_span(ident.span());
                token
            })
            .collect(),
        TokenTree::Group(group) => {
            let mut named = Group::new(group.delimiter(), name_self(group.stream(), of));
            named.set_span(group.span());
            TokenTree::Group(named).into()
        }
        other => TokenStream::from(other),
    };
    tokens.into_iter().map(name).collect()
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
                            limit: ::core::option::Option::Some((2u32, 2u32))
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
