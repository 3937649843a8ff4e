#![no_main]
//! Globs for names: what matches is what a matcher says that takes the glob letter by letter.
//!
//! The first line is the glob, the second a name.

use std::collections::BTreeSet;

use daffi_controller::{Globs, Rule, Rules};
use daffi_core::wire::{failure::Right, name};
use daffi_fuzz::within;
use libfuzzer_sys::fuzz_target;

/// What a glob may take of memory for each of its bytes: a regular expression, and the tables that make it fast.
const TIMES: usize = 4 << 10;

fuzz_target!(|text: &str| {
    let (glob, name) = text.split_once('\n').unwrap_or((text, "a"));
    let made = within(glob.len() + 64, TIMES, || Globs::new([glob]));
    let tokens = parse(glob);
    assert_eq!(made.is_ok(), tokens.is_some(), "{glob:?}: {made:?}");
    let (Ok(globs), Some(tokens)) = (made, tokens) else { return };
    if name::check(name).is_ok() {
        let matches = allow(globs.clone(), name);
        assert_eq!(matches, tokens.match_whole(name), "{glob:?} and {name:?}");
        let both = Globs::new([glob, "other"]).expect("each of them is one");
        assert_eq!(allow(both, name), matches || name == "other", "{glob:?} beside another, and {name:?}");
    }
    // A name stands for itself.
    if name::check(glob).is_ok() {
        assert!(allow(globs, glob));
    }
});

fn allow(globs: Globs, name: &str) -> bool {
    let all = Globs::new(["*"]).expect("it is one");
    let rules: Rules =
        [Rule::of_nodes(all.clone()).call(globs.clone()), Rule::of_nodes(globs).offer(all)].into_iter().collect();
    let (called, offered) = (rules.allow("node", Right::Call, name), rules.allow(name, Right::Offer, "callback"));
    assert_eq!(called, offered, "a node and a callback match alike");
    called
}

/// What a glob is made of.
enum Token {
    Literal(char),
    /// One of these ranges, or none of them.
    One(Vec<(char, char)>, bool),
    Any,
    Several,
    Alternatives(Vec<Tokens>),
}

#[derive(Default)]
struct Tokens(Vec<Token>);

impl Tokens {
    fn match_whole(&self, name: &str) -> bool {
        let name: Vec<_> = name.chars().collect();
        self.after(&name, BTreeSet::from([0])).contains(&name.len())
    }

    /// Where in a name these can end that begin at one of those places.
    fn after(&self, name: &[char], places: BTreeSet<usize>) -> BTreeSet<usize> {
        self.0.iter().fold(places, |places, token| {
            let one = |fits: &dyn Fn(char) -> bool| {
                places.iter().filter(|at| name.get(**at).is_some_and(|c| fits(*c))).map(|at| at + 1).collect()
            };
            match token {
                Token::Literal(literal) => one(&|c| c == *literal),
                Token::One(ranges, negated) => {
                    one(&|c| ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)) != *negated)
                }
                Token::Any => one(&|_| true),
                Token::Several => places.first().map_or_else(BTreeSet::new, |first| (*first..=name.len()).collect()),
                Token::Alternatives(branches) => {
                    branches.iter().flat_map(|branch| branch.after(name, places.clone())).collect()
                }
            }
        })
    }
}

fn parse(glob: &str) -> Option<Tokens> {
    if glob.is_empty()
        || glob.len() > 2_048
        || glob.contains(|c: char| !c.is_alphanumeric() && !"_-.*?[]{},!^".contains(c))
    {
        return None;
    }
    let mut rest: Vec<_> = glob.chars().rev().collect();
    // The branches of each pair of braces that is open, and what is around all of them.
    let mut open = vec![vec![Tokens::default()]];
    while let Some(c) = rest.pop() {
        let is_inside = open.len() > 1;
        let token = match c {
            '*' => Token::Several,
            '?' => Token::Any,
            '[' => class(&mut rest)?,
            '{' => {
                open.push(vec![Tokens::default()]);
                continue;
            }
            ',' if is_inside => {
                open.last_mut()?.push(Tokens::default());
                continue;
            }
            '}' if is_inside => Token::Alternatives(open.pop()?),
            '}' => return None,
            c => Token::Literal(c),
        };
        open.last_mut()?.last_mut()?.0.push(token);
    }
    if open.len() == 1 { open.pop()?.pop() } else { None }
}

/// What follows a bracket. A bracket that closes is itself one if it comes first, and so is a dash that comes first or last.
fn class(rest: &mut Vec<char>) -> Option<Token> {
    let negated = rest.pop_if(|c| matches!(c, '!' | '^')).is_some();
    let mut ranges = Vec::new();
    loop {
        let first = rest.pop()?;
        if first == ']' && !ranges.is_empty() {
            return Some(Token::One(ranges, negated));
        }
        let is_range = rest.last() == Some(&'-') && rest.len() > 1 && rest[rest.len() - 2] != ']';
        let last = if is_range {
            rest.pop();
            rest.pop()?
        } else {
            first
        };
        if last < first {
            return None;
        }
        ranges.push((first, last));
    }
}
