//! Whether a stub fits the callback that it calls. Both were written, and compiled, apart.

use std::marker::PhantomData;

use super::{callback::Signature, error::Never, stream::OnSlow};
use crate::wire::offer::{Contract, Kind, Offer, Parameter};

/// What a stub says of itself: `#[fetcher]` makes one for each.
#[derive(Debug)]
pub struct Stub {
    /// The name that it calls.
    pub name: &'static str,
    /// What it passes and expects.
    pub signature: Signature,
    /// The source file it stands in.
    pub file: &'static str,
    /// The line it stands on.
    pub line: u32,
    /// Running the callback twice does no harm.
    pub idempotent: bool,
    /// What happens to items that come faster than a receiver finishes them; of a stub that streams.
    pub on_slow: OnSlow,
}

/// What a callback returns, for the compiler alone: `#[fetcher(of = ..)]` compares that of the stub with that of the callback.
#[derive(Debug)]
pub struct Returns<T, E = Never>(PhantomData<fn() -> (T, E)>);

/// What a callback returns that gives a stream of results, for the compiler alone.
#[derive(Debug)]
pub struct ReturnsStream<T, E = Never>(PhantomData<fn() -> (T, E)>);

/// How well a stub fits a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// As far as can be told from their texts.
    Fits,
    /// The texts differ in this, which may be two spellings of one thing.
    Differs(&'static str),
    /// It cannot work, for this reason.
    Cannot(&'static str),
}

impl Stub {
    /// The stub as messages show it.
    pub(crate) fn describe(&self) -> String {
        format!("`{}` at {}:{}", self.signature.text, self.file, self.line)
    }

    /// Compares it with an offer. An offer without a contract, of a node that tells none, fits.
    pub(crate) fn fit(&self, offer: &Offer) -> Fit {
        match &offer.contract {
            Some(contract) => fit(&self.signature, contract),
            None => Fit::Fits,
        }
    }
}

/// An offer as messages show it.
pub(crate) fn describe(offer: &Offer, node: &str) -> String {
    format!("`{}` of node {node:?} at {}", offer.signature, offer.location)
}

/// Compares a call without a stub with an offer: of the callback it only has to know how it is called.
pub(crate) fn fit_without_stub(offer: &Offer) -> Fit {
    let misfit = offer.contract.as_ref().and_then(|contract| misfit(Kind::Call, contract.kind));
    misfit.map_or(Fit::Fits, Fit::Cannot)
}

fn fit(stub: &Signature, callback: &Contract) -> Fit {
    // What this version does not know it cannot judge.
    if stub.kind == Kind::Unknown || callback.kind == Kind::Unknown {
        return Fit::Fits;
    }
    if let Some(why) = misfit(stub.kind, callback.kind) {
        return Fit::Cannot(why);
    }
    if stub.parameters.len() != callback.parameters.len() {
        return Fit::Cannot("the numbers of arguments differ");
    }
    let pairs = stub.parameters.iter().zip(&callback.parameters);
    let differ = |what: fn(&(&str, &str), &Parameter) -> bool| pairs.clone().any(|(ours, theirs)| what(ours, theirs));
    if differ(|ours, theirs| ours.1 != theirs.ty) {
        return Fit::Differs("the types of the arguments");
    }
    if differ(|ours, theirs| ours.0 != theirs.name) {
        return Fit::Differs("the names of the arguments");
    }
    // A stub without a result may want none: for a stream, or for a call that nobody waits for. If it does wait, nothing but
    // nothing decodes as its result, and the call says so.
    if stub.result != "()" && stub.result != callback.result {
        return Fit::Differs("the types of the results");
    }
    Fit::Fits
}

/// Why a callback of the one kind cannot be called in the way of the other.
fn misfit(ours: Kind, theirs: Kind) -> Option<&'static str> {
    match (ours, theirs) {
        (_, Kind::Unknown) | (Kind::Items, Kind::Call | Kind::Incoming) => None,
        (ours, theirs) if ours == theirs => None,
        (_, Kind::Results) => Some("the callback returns a stream of results"),
        (_, Kind::Incoming) => Some("the callback takes a stream"),
        (Kind::Results, _) => Some("the callback returns one result, and no stream of them"),
        (_, _) => Some("the callback is called for each item, and has no result for the whole stream"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parameters = &'static [(&'static str, &'static str)];

    fn signature(kind: Kind, parameters: Parameters, result: &'static str) -> Signature {
        Signature { text: "", kind, parameters, result }
    }

    fn fits(stub: (Kind, Parameters, &'static str), callback: (Kind, Parameters, &'static str)) -> Fit {
        let contract = signature(callback.0, callback.1, callback.2).contract();
        fit(&signature(stub.0, stub.1, stub.2), &contract)
    }

    const A: Parameters = &[("a", "i64")];

    #[test]
    fn the_same_fits_and_texts_that_differ_are_told() {
        assert_eq!(fits((Kind::Call, A, "i64"), (Kind::Call, A, "i64")), Fit::Fits);
        for (stub, differs) in [
            ((Kind::Call, &[("a", "u64")][..], "i64"), "the types of the arguments"),
            ((Kind::Call, &[("b", "i64")][..], "i64"), "the names of the arguments"),
            ((Kind::Call, A, "u64"), "the types of the results"),
        ] {
            assert_eq!(fits(stub, (Kind::Call, A, "i64")), Fit::Differs(differs));
        }
    }

    #[test]
    fn numbers_of_arguments_and_kinds_have_to_agree() {
        let cannot = |stub, callback| assert!(matches!(fits(stub, callback), Fit::Cannot(_)), "{stub:?} {callback:?}");
        cannot((Kind::Call, &[], "()"), (Kind::Call, A, "()"));
        cannot((Kind::Call, A, "u8"), (Kind::Results, A, "u8"));
        cannot((Kind::Results, A, "u8"), (Kind::Call, A, "u8"));
        cannot((Kind::Call, A, "()"), (Kind::Incoming, A, "()"));
        cannot((Kind::Incoming, A, "u8"), (Kind::Call, A, "u8"));
        cannot((Kind::Items, A, "()"), (Kind::Results, A, "()"));
    }

    #[test]
    fn without_a_stub_only_the_kind_has_to_agree() {
        let fits = |kind| {
            let contract = Some(signature(kind, A, "u8").contract());
            fit_without_stub(&Offer { contract, ..Offer::default() })
        };
        assert_eq!((fits(Kind::Call), fits(Kind::Unknown)), (Fit::Fits, Fit::Fits));
        assert_eq!(fits(Kind::Results), Fit::Cannot("the callback returns a stream of results"));
        assert_eq!(fits(Kind::Incoming), Fit::Cannot("the callback takes a stream"));
        assert_eq!(fit_without_stub(&Offer::default()), Fit::Fits, "a node that tells no contract");
    }

    #[test]
    fn who_wants_no_result_does_not_mind_one() {
        assert_eq!(fits((Kind::Call, A, "()"), (Kind::Call, A, "u8")), Fit::Fits);
        assert_eq!(fits((Kind::Items, A, "()"), (Kind::Call, A, "u8")), Fit::Fits);
        assert_eq!(fits((Kind::Items, A, "()"), (Kind::Incoming, A, "Summary")), Fit::Fits);
    }
}
