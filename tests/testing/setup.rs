//! Where a network runs, and what its nodes are.

use daffi::{callbacks, testing::Network};

use crate::{client, ms, remote, server};

#[tokio::test(start_paused = true)]
async fn nodes_join_with_what_they_are_given() {
    let net = Network::new();
    let a = net.node("a").callbacks(callbacks![crate::double]).join().await.unwrap();
    let b = client(&net, &["a"]).await;
    assert_eq!((a.name(), b.name()), ("a", "client"));
    assert_eq!(remote::double(4).on(&b).await, Ok(8));
    assert!(remote::never().on(&b).await.is_err(), "it is not offered");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_told_nothing_offers_all_callbacks_of_the_program() {
    let net = Network::new();
    let _a = net.node("a").join().await.unwrap();
    let b = client(&net, &["a"]).await;
    assert_eq!(remote::double_sync(4).on(&b).await, Ok(8));
}

#[tokio::test(start_paused = true)]
async fn networks_know_nothing_of_each_other() {
    let (first, second) = (Network::new(), Network::new());
    let (_a, _other_a) = (server(&first, "a").await, server(&second, "a").await);
    let (b, other_b) = (client(&first, &["a"]).await, client(&second, &["a"]).await);
    second.links().partition();
    assert_eq!(remote::double(1).on(&b).await, Ok(2));
    assert!(remote::double(1).on(&other_b).timeout(ms(100)).await.is_err());
}

#[tokio::test]
async fn without_a_paused_clock_it_works_in_real_time() {
    let net = Network::new();
    let _a = server(&net, "a").await;
    let b = client(&net, &["a"]).await;
    net.links().delay(ms(5));
    let (system, start) = (std::time::Instant::now(), net.now());
    assert_eq!(remote::double_sync(1).on(&b).await, Ok(2));
    assert!(system.elapsed() >= ms(20));
    assert!(net.now().duration_since(start).unwrap() >= ms(20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_runs_on_several_threads_too() {
    let net = Network::new();
    let _a = server(&net, "a").await;
    let b = client(&net, &["a"]).await;
    net.links().loss(0.2);
    let report = remote::take_sync(0..10_000).on(&b).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
}

#[test]
fn a_network_without_a_runtime_says_what_to_do() {
    let refused = std::panic::catch_unwind(Network::new);
    let message = *refused.unwrap_err().downcast::<&str>().unwrap();
    assert!(message.contains("make it within one"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn the_controller_ends_with_the_last_handle_of_its_network() {
    let net = Network::new();
    let again = net.clone();
    let a = net.node("a").callbacks([]).reconnect(false).join().await.unwrap();
    drop(net);
    again.advance(ms(10_000)).await;
    assert_eq!(a.nodes().len(), 1, "it still has its controller");
    drop(again);
    a.join().await.unwrap();
}
