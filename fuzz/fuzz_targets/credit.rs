#![no_main]
//! Credit and pace: who keeps to the rules is never held up for ever and never exceeds, and who does not does no harm.

use std::time::Duration;

use arbitrary::Arbitrary;
use daffi_core::wire::{
    credit::{Allowance, Credit, Window},
    pace::{MOST, Pace},
};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    window: (u16, u32),
    steps: Vec<Step>,
    pace: Vec<Paced>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Send {
        items: u16,
        bytes: u32,
    },
    /// The receiver is through with the next batch.
    Finish,
    /// One of the grants on their way arrives, not always the oldest.
    Deliver {
        which: u8,
        again: bool,
    },
}

#[derive(Debug, Arbitrary)]
enum Paced {
    Send { items: u64, passed: u32 },
    Finish { total: u64, held_micros: Option<u64>, passed: u32 },
}

fuzz_target!(|input: Input| {
    let size = Credit { items: u64::from(input.window.0) + 1, bytes: u64::from(input.window.1) + 1 };
    check_credit(size, input.steps);
    check_pace(input.pace);
});

fn check_credit(size: Credit, steps: Vec<Step>) {
    let (mut window, mut allowance) = (Window::new(size), Allowance::default());
    let mut grants = vec![window.granted()];
    let (mut unfinished, mut finished) = (std::collections::VecDeque::new(), Credit::default());
    let mut finish = |unfinished: &mut std::collections::VecDeque<Credit>, window: &mut Window| {
        finished = finished.plus(unfinished.pop_front()?);
        window.finish(finished)
    };
    for step in steps {
        match step {
            Step::Send { items, bytes } if allowance.may_send() => {
                let batch = Credit { items: u64::from(items), bytes: u64::from(bytes) };
                allowance.spend(batch);
                window.receive(batch).expect("a sender below its limit is within what was granted");
                unfinished.push_back(batch);
            }
            Step::Send { .. } => {}
            Step::Finish => grants.extend(finish(&mut unfinished, &mut window)),
            Step::Deliver { which, again } => {
                if !grants.is_empty() {
                    let which = usize::from(which) % grants.len();
                    allowance.raise(if again { grants[which] } else { grants.remove(which) });
                }
            }
        }
    }
    while !unfinished.is_empty() {
        grants.extend(finish(&mut unfinished, &mut window));
    }
    for grant in grants {
        allowance.raise(grant);
    }
    assert!(allowance.may_send(), "all is finished and all grants are there");
}

fn check_pace(steps: Vec<Paced>) {
    let (mut pace, mut now, mut on_the_way) = (Pace::default(), Duration::ZERO, 0);
    for step in steps {
        match step {
            Paced::Send { items, passed } => {
                now += Duration::from_micros(u64::from(passed));
                let items = items.min(pace.room());
                if items > 0 {
                    pace.send(items, now);
                    on_the_way += items;
                }
            }
            // What a peer says may be anything.
            Paced::Finish { total, held_micros, passed } => {
                now += Duration::from_micros(u64::from(passed));
                pace.finish(total, held_micros.map(Duration::from_micros), now);
            }
        }
        assert!(pace.room() <= MOST);
    }
    pace.finish(on_the_way, None, now);
    assert!(pace.room() > 0, "nothing is on its way, and nothing may be sent");
}
