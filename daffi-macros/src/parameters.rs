//! What a declaration says of its arguments: those that travel, the context that does not, or a whole stream.

use proc_macro2::Ident;
use syn::punctuated::Punctuated;
use syn::{FnArg, Pat, PatType, Receiver, ReceiverKind, Token, Type};

use crate::errors::Errors;
use crate::signature::Side;
use crate::tidy::tidy;
use crate::types::{Contents, incoming, is_context, peel};

/// More would not decode: serde reads tuples of up to sixteen.
const MAX_PARAMETERS: usize = 16;

/// One parameter that travels.
pub(crate) struct Parameter {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
}

/// What the function is passed in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Argument {
    /// The next of the parameters.
    Parameter,
    /// The context of the call.
    Context,
    /// The same, lent.
    ContextRef,
}

/// The parameters of a declaration, as far as they could be understood.
#[derive(Default)]
pub(crate) struct Parameters {
    /// Those that travel.
    pub(crate) travel: Vec<Parameter>,
    /// All, in the order of the declaration.
    pub(crate) order: Vec<Argument>,
    /// It is called on a value.
    pub(crate) receiver: bool,
    /// The type of the context, if it takes that: without the `&` if it is lent.
    pub(crate) context: Option<Type>,
    /// What it is passed ends with the call.
    pub(crate) borrows: bool,
    /// The items of the stream that is the one parameter.
    pub(crate) incoming: Option<Type>,
}

impl Parameters {
    pub(crate) fn new(side: Side, inputs: &Punctuated<FnArg, Token![,]>, errors: &mut Errors) -> Self {
        let mut parameters = Self::default();
        for input in inputs {
            match input {
                FnArg::Receiver(receiver) => {
                    check_receiver(side, receiver, errors);
                    (parameters.receiver, parameters.borrows) = (true, true);
                }
                FnArg::Typed(typed) => parameters.take(side, typed, errors),
            }
        }
        parameters.check_incoming(inputs, errors);
        if parameters.order.iter().filter(|argument| **argument == Argument::Parameter).count() > MAX_PARAMETERS {
            let message = format!("at most {MAX_PARAMETERS} parameters can travel: group some of them in a struct");
            errors.push(inputs, message);
        }
        parameters
    }

    fn take(&mut self, side: Side, typed: &PatType, errors: &mut Errors) {
        for attribute in &typed.attrs {
            if attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr") {
                errors.push(attribute, "both ends need the same parameters in every build: put `cfg` on the function");
            }
        }
        let contents = Contents::of(&typed.ty);
        self.borrows |= contents.reference || contents.lifetime;
        if is_context(&typed.ty) {
            return self.take_context(side, typed, errors);
        }
        self.order.push(Argument::Parameter);
        match incoming(&typed.ty) {
            Some(item) => self.take_incoming(side, &typed.ty, item, errors),
            None => check_type(side, &typed.ty, errors),
        }
        match &*typed.pat {
            Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {
                self.travel.push(Parameter { name: pat.ident.clone(), ty: (*typed.ty).clone() });
            }
            pattern => {
                let advice =
                    if side.calls() { "give it a name" } else { "take it under a name and destructure it in the body" };
                errors.push(pattern, format!("parameter names are part of the signature: {advice}"));
            }
        }
    }

    fn take_context(&mut self, side: Side, typed: &PatType, errors: &mut Errors) {
        let (argument, ty) = match peel(&typed.ty) {
            Type::Reference(reference) => {
                if reference.mutability.is_some() {
                    errors.push(&typed.ty, "the context only tells: take `Context` or `&Context`");
                }
                (Argument::ContextRef, &*reference.elem)
            }
            other => (Argument::Context, other),
        };
        self.context = Some(ty.clone());
        if side.calls() {
            let message = "the context does not travel: remove the parameter. A type of your own that is called `Context` needs \
                           another name here";
            errors.push(typed, message);
        } else if self.order.iter().any(|argument| *argument != Argument::Parameter) {
            errors.push(typed, "a call has one context: remove this parameter");
        }
        self.order.push(argument);
    }

    fn take_incoming(&mut self, side: Side, ty: &Type, item: Option<&Type>, errors: &mut Errors) {
        let Some(item) = item else {
            let message = "the other process has to know the type of the items: write `Incoming<T>`";
            return errors.push(ty, message);
        };
        let written = tidy(item);
        if side.calls() {
            let message = format!(
                "the caller gives a stream item by item: write `#[fetcher(STREAM)]`, and the item's type `{written}` here"
            );
            errors.push(ty, message);
        } else if matches!(peel(ty), Type::Reference(_)) {
            errors.push(ty, format!("the stream is the callback's own: take `Incoming<{written}>`"));
        } else if Contents::of(item).reference {
            errors.push(
                item,
                "an item is owned, since it outlives its message: use `String`, `Vec<T>` or another owned type",
            );
        }
        self.incoming = Some(item.clone());
    }

    fn check_incoming(&self, inputs: &Punctuated<FnArg, Token![,]>, errors: &mut Errors) {
        let travelling = self.order.iter().filter(|argument| **argument == Argument::Parameter).count();
        let streams = inputs.iter().filter_map(|input| match input {
            FnArg::Typed(typed) if incoming(&typed.ty).is_some() => Some(typed),
            _ => None,
        });
        for stream in streams {
            if travelling > 1 {
                let message = "a stream comes without further arguments: take it alone (and the context, if you like), and put \
                               what else it needs into its items";
                errors.push(stream, message);
            }
        }
    }
}

fn check_receiver(side: Side, receiver: &Receiver, errors: &mut Errors) {
    let message = match (side, &receiver.kind) {
        (Side::Method, ReceiverKind::Reference(_, None, None)) => return,
        (Side::Method, _) => {
            "several calls run at a time: take `&self`, and keep what changes in a `Mutex`, say, or in atomics"
        }
        (Side::Callback, _) => {
            "a method is called on a value, which the impl block tells: put `#[callback]` on the impl block too"
        }
        (Side::Fetcher, _) => "a stub has no value: remove `self`, or list the methods in a trait under `#[fetcher]`",
        (Side::Client, _) => "list only what travels: remove `self` in whatever form, the client has its own",
    };
    errors.push(receiver, message);
}

fn check_type(side: Side, ty: &Type, errors: &mut Errors) {
    let contents = Contents::of(ty);
    if contents.mutable_reference {
        let message = "a change behind `&mut` would not travel back: take the value and return the changed one";
        errors.push(ty, message);
    } else if contents.impl_trait {
        errors.push(ty, "the other process has to know the type: write it out instead of `impl Trait`");
    } else if !side.calls() {
        check_borrowed_from_message(ty, contents, errors);
    }
}

/// A callback's argument may be a reference to what the message holds, and no more than that.
fn check_borrowed_from_message(ty: &Type, contents: Contents, errors: &mut Errors) {
    let behind = match peel(ty) {
        Type::Reference(reference) => {
            if let Some(lifetime) = &reference.lifetime {
                let message = "an argument lives as long as the call: remove the lifetime, or take an owned value";
                errors.push(lifetime, message);
                return;
            }
            Contents::of(&reference.elem)
        }
        _ => contents,
    };
    if behind.reference {
        errors.push(
            ty,
            "only a whole argument can be borrowed from the message, as in `&str`, `&[u8]` or `&T`: use owned types \
             inside it, such as `String` or `Vec<T>`",
        );
    }
}

#[cfg(test)]
mod tests {
    use quote::{format_ident, quote};
    use syn::parse_quote;

    use super::*;

    fn read(side: Side, inputs: Punctuated<FnArg, Token![,]>) -> (Parameters, Vec<String>) {
        let mut errors = Errors::default();
        let parameters = Parameters::new(side, &inputs, &mut errors);
        (parameters, errors.messages())
    }

    fn refused(side: Side, inputs: Punctuated<FnArg, Token![,]>) -> String {
        let (_, errors) = read(side, inputs);
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors.concat()
    }

    #[test]
    fn the_context_stands_anywhere_and_does_not_travel() {
        let (parameters, errors) = read(Side::Callback, parse_quote!(a: i64, _: &daffi::Context, b: i64));
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(parameters.travel.len(), 2);
        assert_eq!(parameters.order, [Argument::Parameter, Argument::ContextRef, Argument::Parameter]);
        let message = refused(Side::Callback, parse_quote!(a: Context, b: &Context));
        assert!(message.contains("a call has one context"), "{message}");
        let message = refused(Side::Callback, parse_quote!(cx: &mut Context));
        assert!(message.contains("take `Context` or `&Context`"), "{message}");
        let message = refused(Side::Fetcher, parse_quote!(cx: Context));
        assert!(message.contains("the context does not travel"), "{message}");
    }

    #[test]
    fn a_stream_comes_alone() {
        let (parameters, errors) = read(Side::Method, parse_quote!(&self, cx: Context, mut items: Incoming<Frame>));
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!((tidy(parameters.incoming), parameters.receiver), ("Frame".into(), true));
        for (inputs, says) in [
            (parse_quote!(items: Incoming), "write `Incoming<T>`"),
            (parse_quote!(items: &Incoming<u8>), "take `Incoming<u8>`"),
            (parse_quote!(items: &mut Incoming<u8>), "take `Incoming<u8>`"),
            (parse_quote!(items: Incoming<&str>), "an item is owned"),
            (parse_quote!(items: Incoming<u8>, gain: f32), "take it alone"),
        ] {
            let message = refused(Side::Callback, inputs);
            assert!(message.contains(says), "{message}");
        }
        let message = refused(Side::Fetcher, parse_quote!(items: Incoming<Frame>));
        assert!(message.contains("the item's type `Frame`"), "{message}");
    }

    #[test]
    fn a_method_takes_its_value_by_reference() {
        assert!(read(Side::Method, parse_quote!(&self)).1.is_empty());
        for inputs in [
            parse_quote!(&mut self),
            parse_quote!(self),
            parse_quote!(mut self),
            parse_quote!(&'static self),
            parse_quote!(self: Arc<Self>),
        ] {
            let message = refused(Side::Method, inputs);
            assert!(message.contains("take `&self`"), "{message}");
        }
        for (side, says) in [
            (Side::Callback, "put `#[callback]` on the impl block too"),
            (Side::Fetcher, "list the methods in a trait"),
            (Side::Client, "list only what travels"),
        ] {
            let message = refused(side, parse_quote!(&self));
            assert!(message.contains(says), "{message}");
        }
    }

    #[test]
    fn only_a_callback_minds_references_inside_an_argument() {
        let inputs: Punctuated<FnArg, Token![,]> = parse_quote!(a: &[&str], b: &'static str);
        assert_eq!(read(Side::Callback, inputs.clone()).1.len(), 2);
        assert_eq!(read(Side::Fetcher, inputs).1.len(), 0);
    }

    #[test]
    fn sixteen_parameters_are_the_limit() {
        let names: Vec<_> = (0..17).map(|index| format_ident!("a{index}")).collect();
        let most = &names[..16];
        assert_eq!(read(Side::Callback, parse_quote!(cx: Context, #(#most: u8),*)).1.len(), 0);
        let message = refused(
            Side::Fetcher,
            syn::parse::Parser::parse2(Punctuated::parse_terminated, quote!(#(#names: u8),*)).unwrap(),
        );
        assert!(message.contains("at most 16"), "{message}");
    }
}
