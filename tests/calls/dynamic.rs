//! Calls by name, without a stub.

use std::collections::BTreeMap;

use daffi::{CallError, Dynamic, Incoming, callback, callbacks};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    common::{Controller, meet},
    in_a_plain_thread, pair,
    probe::{Probe, tell},
    served,
};

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Order {
    item: String,
    amount: u32,
}

#[callback]
fn price(order: Order, discounts: BTreeMap<String, f64>) -> Result<f64, String> {
    let discount = discounts.get(&order.item).copied().unwrap_or_default();
    if order.amount == 0 { Err("nothing was ordered".into()) } else { Ok(f64::from(order.amount) * (1.0 - discount)) }
}

#[callback]
async fn length(bytes: Vec<u8>) -> usize {
    bytes.len()
}

#[tokio::test]
async fn arguments_and_results_of_any_type() {
    let pair = pair(callbacks![served::add, price, length]).await;
    let caller = &pair.caller;
    let sum = caller.call("add").arg(1).arg(2).await.unwrap();
    assert_eq!((sum.decode::<i64>().unwrap(), sum.to_string().as_str()), (3, "3"));
    assert_eq!(caller.call("add").args([3, 4]).await.unwrap().decode::<u8>(), Ok(7));

    let order = Order { item: "pen".into(), amount: 4 };
    let price = caller.call("price").arg(&order).arg(BTreeMap::from([("pen", 0.25)])).await.unwrap();
    assert_eq!(price.decode::<f64>(), Ok(3.0));
    // As a tool does it, which has nothing but text.
    let arguments = json!([{"item": "pen", "amount": 4}, {"pen": 0.5}]);
    let price = caller.call("price").args(arguments.as_array().unwrap()).await.unwrap();
    assert_eq!(price.decode::<Value>(), Ok(json!(2.0)));

    let bytes = serde_bytes::Bytes::new(&[7; 300]);
    assert_eq!(caller.call("length").arg(bytes).await.unwrap().decode::<usize>(), Ok(300));
}

#[tokio::test]
async fn errors_are_those_of_any_call() {
    let pair = pair(callbacks![served::add, price]).await;
    let caller = &pair.caller;
    let none = BTreeMap::<String, f64>::new();
    let order = Order { item: "pen".into(), amount: 0 };
    let said = caller.call("price").arg(order).arg(none).await.unwrap_err();
    let CallError::App(error) = &said else { panic!("{said}") };
    assert_eq!(error.decode::<String>().as_deref(), Ok("nothing was ordered"));
    assert_eq!(said.to_string(), r#"the callback returned an error: "nothing was ordered""#);

    let missing = caller.call("subtract").await.unwrap_err();
    assert!(matches!(missing, CallError::NoCallback { .. }), "{missing}");
    let few = caller.call("add").arg(1).await.unwrap_err();
    let says =
        matches!(&few, CallError::BadArguments { message, .. } if message.contains("takes 2 arguments, 1 given"));
    assert!(says, "{few}");
    let odd = caller.call("add").arg(1).arg("two").await.unwrap_err();
    let says =
        matches!(&odd, CallError::BadArguments { message, .. } if message.contains("add(a: i64, b: i64) -> i64"));
    assert!(says, "{odd}");

    let wrong = caller.call("add").arg(1).arg(2).await.unwrap().decode::<String>().unwrap_err();
    assert!(wrong.to_string().starts_with("3 is not of the type that was asked for"), "{wrong}");
}

#[callback]
fn lines(key: u64) -> impl Iterator<Item = u64> {
    tell(key, "lines");
    std::iter::once(key)
}

#[callback]
async fn total(_items: Incoming<u64>) -> u64 {
    unreachable!("nobody sends a stream")
}

#[tokio::test]
async fn what_takes_or_returns_a_stream_is_refused_before_it_runs() {
    let mut probe = Probe::new();
    let pair = pair(callbacks![lines, total]).await;
    let call = |name| pair.caller.call(name).arg(probe.key);
    let replies = call("lines").broadcast().await.unwrap();
    let mut refused = vec![
        call("lines").await.unwrap_err(),
        call("lines").background().start().await.map(drop).unwrap_err(),
        call("total").await.unwrap_err(),
    ];
    refused.extend(replies.into_iter().map(|reply| reply.result.unwrap_err()));
    assert_eq!(refused.len(), 4);
    for error in refused {
        assert!(matches!(error, CallError::Mismatch { stub: None, .. }), "{error}");
        assert!(error.to_string().starts_with("a call by name does not fit `"), "{error}");
        assert!(error.to_string().contains(" a stream"), "{error}");
    }
    assert!(probe.told_already().is_empty(), "nothing ran");
}

#[tokio::test]
async fn in_the_background_to_all_to_one_and_from_a_plain_thread() {
    let controller = Controller::start().await;
    let a = controller.node("a", callbacks![served::a::who]).await;
    let b = controller.node("b", callbacks![served::b::who]).await;
    let caller = controller.node("caller", []).await;
    meet(&[&a, &b, &caller]).await;
    let text = |value: Dynamic| value.decode::<String>().unwrap();

    let task = caller.call("who").to("b").background().start().await.unwrap();
    assert_eq!(text(task.await.unwrap()), "b");
    let mut replies: Vec<_> = caller.call("who").broadcast().await.unwrap();
    replies.sort_by(|one, other| one.node.cmp(&other.node));
    let said: Vec<_> = replies.into_iter().map(|reply| (reply.node, text(reply.result.unwrap()))).collect();
    assert_eq!(said, [("a".into(), "a".into()), ("b".into(), "b".into())]);
    let waited = in_a_plain_thread(move || caller.call("who").to("a").wait()).await;
    assert_eq!(text(waited.unwrap()), "a");
}
