//! Where a network runs, and what its nodes are.

use daffi::{CallError, JoinError, callbacks, limits, testing::Network};

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

#[tokio::test(start_paused = true)]
async fn the_controller_goes_by_its_config() {
    let rules = "[[rule]]\nnodes = \"a\"\noffer = \"*\"\n[[rule]]\nnodes = \"client\"\ncall = \"double\"\n";
    let net = Network::new().config(&format!("{rules}[limits]\nnodes = 2\n"));
    let _a = server(&net, "a").await;
    let b = client(&net, &["a"]).await;
    assert_eq!(remote::double(4).on(&b).await, Ok(8));
    assert!(matches!(remote::double_sync(4).on(&b).await, Err(CallError::NotAllowed { .. })));
    let one_more = net.node("c").callbacks([]).connect_timeout(ms(100)).join().await.unwrap_err();
    assert!(matches!(one_more, JoinError::Limit { .. }), "{one_more:?}");

    net.reload_controller("[[rule]]\nnodes = \"*\"\noffer = \"*\"\ncall = \"double_sync\"\n");
    assert_eq!(remote::double_sync(4).on(&b).await, Ok(8));
    assert!(matches!(remote::double(4).on(&b).await, Err(CallError::NotAllowed { .. })));
    // They hold at a controller that is started again, too.
    net.restart_controller();
    net.advance(limits::SILENCE + ms(2_000)).await;
    b.wait_process("a").await.unwrap();
    assert!(matches!(remote::double(4).on(&b).await, Err(CallError::NotAllowed { .. })));
    // Without rules everything is allowed.
    net.reload_controller("");
    assert_eq!(remote::double(4).on(&b).await, Ok(8));
}

#[tokio::test(start_paused = true)]
#[should_panic = "config:2: "]
async fn a_config_that_cannot_be_understood_says_where() {
    drop(Network::new().config("[limits]\nnode = 2\n"));
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
