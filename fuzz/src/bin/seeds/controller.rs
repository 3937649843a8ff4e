//! Scripts for the controller's target, in the bytes from which `arbitrary` makes them: bytes that come by chance hardly ever have both a
//! rule or limit and work that meets it. One that means something else one day does no harm.

/// Steps, and what the two nodes may do, in the order of `controller/script.rs`.
const WORK: u8 = 0;
const PASS: u8 = 3;
const RULES: u8 = 4;
const STEPS: u64 = 5;
const WORKS: u64 = 8;

/// Anything of any node; and what a and b need to get through to each other, or not.
const ALL: [Option<u8>; 3] = [Some(0); 3];
const NOTHING: [Option<u8>; 3] = [None; 3];

pub(super) fn controller() -> Vec<Vec<u8>> {
    let all = rules(&[(0, ALL)]);
    let offers_only = rules(&[(0, [None, Some(0), None])]);
    let offers_nothing = rules(&[(0, [Some(0), None, Some(0)])]);
    // a may call what begins with another letter than d, and stream to take and sum; b may offer.
    let some = rules(&[(1, [Some(4), Some(0), Some(2)]), (2, [None, Some(0), None])]);
    let change = |rules: &[u8]| [variant(RULES, STEPS), rules.to_vec()].concat();
    let pass = [vec![1], variant(PASS, STEPS), vec![3, 0]].concat();
    let mut seeds = Vec::new();
    for limits in [free(), tight()] {
        for held in [&rules(&[]), &all, &offers_only, &offers_nothing, &some, &rules(&[(5, NOTHING)])] {
            seeds.push([limits.clone(), held.clone(), works(), works()].concat());
        }
        for meanwhile in [&offers_only, &offers_nothing, &some] {
            let changes = [vec![1], change(meanwhile), works(), pass.clone(), vec![1], change(&rules(&[]))].concat();
            seeds.push([limits.clone(), rules(&[]), works(), pass.clone(), changes, works()].concat());
        }
    }
    seeds
}

/// No limit is set.
fn free() -> Vec<u8> {
    vec![0; 10]
}

/// One stream and two calls at a time, messages of 8 KiB, and 1 MiB a second.
fn tight() -> Vec<u8> {
    vec![0, 0, 1, 0, 1, 1, 1, 7, 1, 0, 1, 0, 0, 1, 1]
}

/// Each for nodes of `terms.rs`, with what they may call, offer and stream.
fn rules(rules: &[(u8, [Option<u8>; 3])]) -> Vec<u8> {
    let rule = |(nodes, rights): &(u8, [Option<u8>; 3])| {
        let rights = rights.iter().flat_map(|right| right.map_or(vec![0], |which| vec![1, which]));
        [1, *nodes].into_iter().chain(rights).collect::<Vec<_>>()
    };
    rules.iter().flat_map(rule).chain([0]).collect()
}

/// One of each kind.
fn works() -> Vec<u8> {
    let numbers: [&[u8]; WORKS as usize] =
        [&[1, 7, 0, 0, 0], &[9, 0, 0, 0], &[2], &[20], &[0xe8, 3], &[200], &[100, 0], &[50]];
    let work = |(kind, numbers): (u8, &&[u8])| {
        [vec![1], variant(WORK, STEPS), variant(kind, WORKS), numbers.to_vec()].concat()
    };
    (0..).zip(&numbers).flat_map(work).collect()
}

/// Which of so many an enum is.
fn variant(which: u8, of: u64) -> Vec<u8> {
    let least = (u64::from(which) << 32).div_ceil(of);
    (least as u32).to_le_bytes().to_vec()
}
