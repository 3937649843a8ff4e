//! Which node may call, offer and stream which callback: what a config file says of it, as plain data.
//!
//! A rule allows; none forbids. Without any rule everything is allowed, and once there is one, only what some rule allows.

use std::{collections::HashSet, fmt};

use daffi_core::wire::{failure::Right, limits::MAX_NAME, name};
use regex::RegexSet;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor, value::SeqAccessDeserializer},
};

use crate::glob::expression;

/// How long a glob may be: it may list names in braces.
const MAX_GLOB: usize = 16 * MAX_NAME;

/// The rules of a controller.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Rules(Vec<Rule>);

/// What some nodes are allowed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The nodes, by their names.
    nodes: Globs,
    /// The callbacks that they may call.
    #[serde(default)]
    call: Globs,
    /// The callbacks that they may offer.
    #[serde(default)]
    offer: Globs,
    /// The callbacks that they may send streams to.
    #[serde(default)]
    stream: Globs,
}

/// Names, of which some may be globs: `*` stands for any characters, also none, `?` for one, `[ab]` or `[a-z]` for one of these, `[!ab]` for
/// one other than these, `{a,b}` for one of those. Letter case counts.
#[derive(Clone, Default)]
pub struct Globs {
    texts: Vec<String>,
    /// Those that are a name as they are, which may be many.
    names: HashSet<String>,
    globs: RegexSet,
}

/// Something is no glob, or matches no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{glob:?} is no pattern for names: {reason}")]
pub struct InvalidGlob {
    /// What was given.
    pub glob: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Rules {
    /// Whether there are none, and everything is allowed.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// These and others.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Whether a node may do this with a callback.
    pub fn allow(&self, node: &str, right: Right, callback: &str) -> bool {
        self.is_empty() || self.0.iter().any(|rule| rule.nodes.contain(node) && rule.allows(right, callback))
    }
}

impl FromIterator<Rule> for Rules {
    fn from_iter<T: IntoIterator<Item = Rule>>(rules: T) -> Self {
        Self(rules.into_iter().collect())
    }
}

impl Rule {
    /// A rule for these nodes, which allows nothing yet.
    pub fn of_nodes(nodes: Globs) -> Self {
        Self { nodes, ..Self::default() }
    }

    /// They may call these callbacks.
    #[must_use]
    pub fn call(mut self, callbacks: Globs) -> Self {
        self.call = callbacks;
        self
    }

    /// They may offer these callbacks.
    #[must_use]
    pub fn offer(mut self, callbacks: Globs) -> Self {
        self.offer = callbacks;
        self
    }

    /// They may send streams to these callbacks.
    #[must_use]
    pub fn stream(mut self, callbacks: Globs) -> Self {
        self.stream = callbacks;
        self
    }

    fn allows(&self, right: Right, callback: &str) -> bool {
        match right {
            Right::Call => self.call.contain(callback),
            Right::Offer => self.offer.contain(callback),
            Right::Stream => self.stream.contain(callback),
            // What this version does not know, no rule of it allows.
            _ => false,
        }
    }
}

impl Globs {
    /// Takes names and globs.
    ///
    /// # Errors
    ///
    /// [`InvalidGlob`], also for one that can match no name, which is a mistake: nobody would be told.
    pub fn new<T: Into<String>>(globs: impl IntoIterator<Item = T>) -> Result<Self, InvalidGlob> {
        let (mut texts, mut names, mut expressions) = (Vec::new(), HashSet::new(), Vec::new());
        for glob in globs {
            let glob = glob.into();
            let invalid = |reason: String| InvalidGlob { glob: glob.clone(), reason };
            check(&glob).map_err(invalid)?;
            if name::check(&glob).is_ok() {
                names.insert(glob.clone());
            } else {
                expressions.push(expression(&glob).map_err(invalid)?);
            }
            texts.push(glob);
        }
        // What is left to be wrong is that they are too many or too long.
        let globs = RegexSet::new(expressions)
            .map_err(|error| InvalidGlob { glob: texts.join(", "), reason: error.to_string() })?;
        Ok(Self { texts, names, globs })
    }

    fn contain(&self, name: &str) -> bool {
        self.names.contains(name) || self.globs.is_match(name)
    }
}

/// A name has letters and digits, `_`, `-` and `.`; what else stands in a glob has a meaning there.
fn check(glob: &str) -> Result<(), String> {
    if glob.is_empty() {
        return Err("it is empty; `*` stands for all names".into());
    }
    if glob.len() > MAX_GLOB {
        return Err(format!("it has more than {MAX_GLOB} bytes"));
    }
    match glob.chars().find(|c| !(c.is_alphanumeric() || "_-.*?[]{},!^".contains(*c))) {
        Some(other) => Err(format!("no name has {other:?} in it")),
        None => Ok(()),
    }
}

impl fmt::Debug for Globs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.texts).finish()
    }
}

impl<'de> Deserialize<'de> for Globs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;
        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Vec<String>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or glob, or a list of them")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<String>, E> {
                Ok(vec![text.to_owned()])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<String>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list))
            }
        }
        Self::new(deserializer.deserialize_any(OneOrSeveral)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn globs(list: &[&str]) -> Globs {
        Globs::new(list.iter().copied()).unwrap()
    }

    #[test]
    fn without_rules_all_is_allowed_and_with_one_only_what_it_says() {
        assert!(Rules::default().allow("any", Right::Call, "thing"));
        let rules: Rules = [Rule::of_nodes(globs(&["a*"])).call(globs(&["x.*", "y"]))].into_iter().collect();
        assert!(rules.allow("a1", Right::Call, "x.z") && rules.allow("a", Right::Call, "y"));
        assert!(!rules.allow("b", Right::Call, "y") && !rules.allow("a", Right::Call, "z"));
        assert!(!rules.allow("a", Right::Offer, "y") && !rules.allow("a", Right::Stream, "y"));
        assert!(!rules.allow("a", Right::Unknown, "y"));
    }

    #[test]
    fn any_rule_that_allows_is_enough() {
        let one = Rule::of_nodes(globs(&["a"])).offer(globs(&["x"]));
        let other = Rule::of_nodes(globs(&["*"])).offer(globs(&["y"]));
        let rules: Rules = [one, other].into_iter().collect();
        assert!(rules.allow("a", Right::Offer, "x") && rules.allow("a", Right::Offer, "y"));
        assert!(!rules.allow("b", Right::Offer, "x"));
    }

    #[test]
    fn globs_are_exact_but_for_their_signs() {
        for (glob, yes, no) in [
            ("worker", "worker", "worker1"),
            ("worker-?", "worker-1", "worker-"),
            ("work[12]", "work2", "work3"),
            ("{gpu,cpu}.*", "cpu.run", "tpu.run"),
            ("a.b", "a.b", "axb"),
            ("Big", "Big", "big"),
            ("*", "ü.x-1", ""),
            // Letters of any script are one letter each, and what may be left out may be left out.
            ("gr?n", "grün", "grüün"),
            ("gr[üu]n", "grün", "grn"),
            ("gr[!a]n", "grün", "gran"),
            ("[α-ω]1", "λ1", "λλ1"),
            ("worker{,-2}", "worker", "worker-"),
            ("{a,{b,c}?}", "cx", "ax"),
        ] {
            assert!(globs(&[glob]).contain(yes), "{glob} {yes}");
            assert!(no.is_empty() || !globs(&[glob]).contain(no), "{glob} {no}");
        }
    }

    #[test]
    fn what_can_match_no_name_is_a_mistake() {
        for wrong in ["", "a b", "a/b", "a\\*", "[a", "{a", "a\n"] {
            let error = Globs::new([wrong]).unwrap_err();
            assert_eq!(error.glob, wrong);
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_glob_or_an_error(text: String, name: String) {
            if let Ok(globs) = Globs::new([text]) {
                let _ = globs.contain(&name);
            }
        }
    }
}
