//! Programs that are of use by themselves.

#[cfg(unix)]
use rustix::process::Signal;

#[cfg(unix)]
use crate::programs::Program;
use crate::programs::{System, run};

/// What a command printed; it has ended well.
#[cfg(unix)]
async fn prints(system: &System, command: &[&str]) -> Vec<String> {
    system.start("call", command).ends_well().await
}

/// What a command complained about; it has failed, and printed nothing else.
#[cfg(unix)]
async fn fails(program: Program) -> String {
    let (status, said, errors) = program.ends().await;
    assert!(status.code() == Some(1) && said.is_empty(), "{status}: {errors}{said:?}");
    errors.trim_end().to_owned()
}

#[cfg(unix)]
#[test]
fn anything_can_be_called_by_name() {
    run(async {
        let system = System::new();
        let mut shop = system.start("shop_service", &[]);
        shop.says("the shop is open").await;

        let listed = prints(&system, &["--list"]).await;
        assert!(listed.len() == 6 && listed[0] == "shop", "{listed:?}");
        let buy = "  buy: buy(article: &str, count: u32) -> Result<Receipt, ShopError> at examples/shop/service.rs:";
        assert!(listed[1].starts_with(buy), "{listed:?}");

        let bought = prints(&system, &["buy", "apple", "3"]).await;
        assert_eq!(bought, [r#"{"article":"apple","cents":150,"count":3,"number":1}"#]);
        assert_eq!(prints(&system, &["--to", "shop", "give_back", "1"]).await, ["null"]);
        assert_eq!(prints(&system, &["--broadcast", "set_price", "apple", "60"]).await, ["shop: 50"]);

        for (command, complaint) in [
            (&["buy", "melon", "5"][..], r#"call: it says no: {"TooFew":{"article":"melon","left":2}}"#),
            (&["buy", "apple"], "the callback takes 2 arguments, 1 given; the callback is `buy(article: &str,"),
            (&["buy", "apple", "-3"], "invalid value: integer `-3`, expected u32"),
            (&["sell"], r#"call: no other node offers "sell"; known callbacks: buy, "#),
            (&["--to", "market", "list"], r#"call: there is no node "market"; present: shop, "#),
            (&["--timeout", "50ms", "take_stock"], "call: no answer within "),
        ] {
            let complained = fails(system.start("call", command)).await;
            assert!(complained.contains(complaint), "{complained}");
        }
        let (status, said, _) = system.start("call", &["--broadcast", "set_price", "pear", "60"]).ends().await;
        assert_eq!(status.code(), Some(1));
        assert_eq!(said, [r#"shop: the callback returned an error: {"NoArticle": {"article": "pear"}}"#]);
        shop.signal(Signal::INT);
        shop.ends().await;
    });
}

#[test]
fn a_rehearsal_is_the_same_each_time() {
    run(async {
        let system = System::new();
        let rehearse = async |seed| system.start_anywhere("rehearsal", &["--seed", seed]).ends_well().await;
        let told = rehearse("1").await;
        assert_eq!(told.len(), 11, "{told:?}");
        let (times, said): (Vec<_>, Vec<_>) = told.iter().map(|line| line.trim().split_once(' ').unwrap()).unzip();
        let times: Vec<u64> = times.iter().map(|time| time.parse().unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
        // Two links there, two back, and nothing is faster.
        let silence = daffi::limits::SILENCE.as_millis() as u64;
        assert!(times[1] >= 80 && (silence..silence + 1_000).contains(&(times[6] - times[5])), "{times:?}");
        assert_eq!(said[1..5], ["east greets Anna", "west greets Boris", "east greets Clara", "west greets Dario"]);
        assert_eq!(
            said[5..7],
            ["east is cut off", "node \"east\" was lost during the call; its callback may have run"]
        );
        let rest = ["west greets Emma", "east is back on the net", "east has joined again", "east greets Fritz"];
        assert_eq!(said[7..], rest);

        assert_eq!(rehearse("1").await, told);
        assert_ne!(rehearse("2").await, told);
    });
}
