//! Limits in the config file, and streams that come from one controller to another with lower ones.

use std::time::Duration;

use daffi::{CallError, Global, JoinError, Limits, StartError, callback, callbacks, fetcher};
use serde_bytes::ByteBuf;
use tokio::sync::Semaphore;

use crate::{
    common::{Controller, meet, soon},
    limits,
};

#[tokio::test]
async fn the_file_says_them_from_the_start_on() {
    let controller = Controller::configured("[limits]\nnodes = 1\nitem_size = \"1 KiB\"\n").await;
    let first = controller.node("first", []).await;
    let is_refused = |started: Result<Global, StartError>| matches!(started, Err(StartError::Join(JoinError::Limit { reason })) if reason.contains("1 nodes have joined"));
    assert!(is_refused(controller.builder("second").start().await));
    controller.reconfigure("[limits]\nnodes = 2\n").unwrap();
    assert!(is_refused(controller.builder("second").start().await), "a reload does not change them");
    let mistake = controller.reconfigure("[limits]\n\nnodes = 0\n").unwrap_err().to_string();
    assert!(mistake.contains("daffi.toml:3: ") && mistake.contains("`nodes`"), "{mistake}");
    first.stop().await;
    controller.node("second", []).await.stop().await;
}

static TAKEN: Semaphore = Semaphore::const_new(0);

#[callback]
async fn keep(item: ByteBuf) {
    drop(item);
    TAKEN.add_permits(1);
}

mod ask {
    use super::{ByteBuf, fetcher};

    #[fetcher(STREAM)]
    pub(crate) async fn keep(item: ByteBuf);
}

#[tokio::test]
async fn a_stream_ends_at_a_controller_that_takes_smaller_items_only() {
    let state = tempfile::tempdir().unwrap();
    let controller = |port: u16, limits: Limits| {
        let builder = Global::builder().init_node(false).init_controller(true).host("127.0.0.1").port(port);
        builder.state_dir(state.path()).limits(limits).start()
    };
    let first = controller(0, Limits::default()).await.unwrap();
    let port = first.controller_address().unwrap().port();
    let node = |name: &str| Global::builder().process_name(name).host("127.0.0.1").port(port).state_dir(state.path());
    let receiver = node("receiver").callbacks(callbacks![keep]).start().await.unwrap();
    let sender = node("sender").callbacks([]).start().await.unwrap();
    meet(&[&receiver, &sender]).await;

    let (items, source) = tokio::sync::mpsc::unbounded_channel::<ByteBuf>();
    let source =
        futures_util::stream::unfold(source, |mut items| async move { items.recv().await.map(|item| (item, items)) });
    let mut stream = Box::pin(ask::keep(source).on(&sender).into_future());
    items.send(vec![7; 1 << 20].into()).unwrap();
    soon(async {
        tokio::select! {
            taken = TAKEN.acquire() => taken.unwrap().forget(),
            ended = &mut stream => panic!("the stream ended: {ended:?}"),
        }
    })
    .await;

    first.stop_within(Duration::ZERO).await;
    let second = controller(port, limits(|limits| limits.item_size = 1_000)).await.unwrap();
    items.send(vec![7; 1 << 20].into()).unwrap();
    let ended = soon(stream).await;
    assert!(matches!(ended, Err(CallError::ControllerLost)), "{ended:?}");
    // Its connection stands.
    meet(&[&receiver, &sender]).await;
    assert!(soon(ask::keep([vec![7; 900].into()]).on(&sender).into_future()).await.unwrap().is_complete());
    second.stop().await;
}
