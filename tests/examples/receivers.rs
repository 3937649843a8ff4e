//! Which receiver a call goes to, and what becomes of it when the receiver is to end.

use rustix::process::Signal;

use crate::programs::{System, run};

#[test]
fn a_receiver_is_chosen_and_its_queue_is_short() {
    run(async {
        let system = System::new();
        let mut workers = Vec::new();
        for name in ["alpha", "beta"] {
            workers.push((name, system.start("balance_worker", &["--name", name])));
        }
        let said = system.start("balance_caller", &[]).ends_well().await;
        assert_eq!(said.len(), 11, "{said:?}");
        let [first, second] = [0, 1].map(|turn| said[0].rsplit([' ', ',']).filter(|name| !name.is_empty()).nth(turn));
        assert_ne!(first, second, "{said:?}");
        assert_eq!(said[1], "by name:    beta");
        for (line, customer) in said[2..5].iter().zip(["anna", "boris", "clara"]) {
            let bakery = line.rsplit(' ').next().unwrap();
            assert_eq!(*line, format!("for {customer:7} {bakery}, and again {bakery}"));
        }
        assert_eq!(said[5], "least busy: beta, beta");
        let full =
            "node \"alpha\" runs the callback 1 times at once and lets 1 wait, and both are reached: try again later";
        assert_eq!(said[6..8], [format!("refused:    {full}"), format!("try 2 of bake, since {full}")]);
        assert_eq!(said[8..], ["baked loaf 1", "baked loaf 2", "baked loaf 3"]);

        for (name, worker) in workers {
            let mut baked = worker.ends_well().await;
            assert_eq!(baked.remove(0), format!("{name} opens"));
            // Two came at once, and either may have been the first.
            baked.sort();
            let loaves: &[_] = if name == "alpha" { &[1, 2, 3] } else { &[] };
            assert_eq!(baked, loaves.iter().map(|loaf| format!("loaf {loaf} is in the oven")).collect::<Vec<_>>());
        }
    });
}

#[test]
fn a_process_that_is_to_end_finishes_what_runs() {
    for (signal, named) in [(Signal::TERM, "a signal to terminate"), (Signal::INT, "Ctrl-C")] {
        run(async {
            let system = System::new();
            let mut caller = system.start("drain_caller", &[]);
            let mut worker = system.start("drain_worker", &[]);
            worker.says("the copyist looks for work").await;
            caller.says("the letter is not wanted any more").await;
            caller.says("nobody waits for the contract").await;
            caller.says("the book is being copied: press Ctrl-C at the copyist").await;
            let mut copied = [worker.line().await, worker.line().await];
            copied.sort();
            let expected = [
                "the copy of the contract is complete, with pages: 3",
                "the copy of the letter was stopped, with pages: 1",
            ];
            assert_eq!(copied, expected);

            worker.signal(signal);
            worker.says(&format!("stopping, because of {named}")).await;
            let said = caller.ends_well().await;
            assert_eq!(said, [r#"nothing new: node "copyist" is stopping"#, "the book is copied, pages: 3"]);
            assert_eq!(worker.ends_well().await, ["the copy of the book is complete, with pages: 3", "stopped"]);
        });
    }
}
