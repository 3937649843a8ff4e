//! Items with which a receiver can begin, and others that mean something only after those.

use std::sync::mpsc;

use daffi::{CallError, callback, callbacks, fallible, fetcher, starting};
use tokio::sync::Semaphore;

use crate::{
    Journal, assert_accounted,
    common::{Controller, meet, soon},
};

mod send {
    use super::*;

    #[fetcher(STREAM, on_slow = KeepLatest)]
    pub(super) async fn picture(n: u64);
    #[fetcher(STREAM, on_slow = DropOldest(30))]
    pub(super) async fn broken(n: u64);
}

/// How many pictures there are from one that is whole to the next.
const GROUP: u64 = 10;

fn is_whole(n: &u64) -> bool {
    n.is_multiple_of(GROUP)
}

static TOOK: Journal = Journal::new();
static LET: Semaphore = Semaphore::const_new(0);

#[callback]
async fn picture(n: u64) {
    TOOK.note(n);
    LET.acquire().await.unwrap().forget();
}

#[tokio::test]
async fn after_a_drop_a_receiver_goes_on_with_one_that_it_can_begin_with() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let receiver = controller.node("receiver", callbacks![picture]).await;
    meet(&[&sender, &receiver]).await;

    let (items, source) = mpsc::channel();
    let call = tokio::spawn(send::picture(starting(source, is_whole)).on(&sender).into_future());
    // Now and then the receiver finishes some, while the source goes on.
    for n in 0..2_000 {
        items.send(n).unwrap();
        if n % 7 == 0 {
            LET.add_permits(1);
            tokio::task::yield_now().await;
        }
    }
    drop(items);
    LET.add_permits(2_000);
    let report = soon(call).await.unwrap().unwrap();
    let took = TOOK.all();
    let (_, dropped) = assert_accounted(&report, "receiver", &took);
    assert!(dropped > 0, "{took:?}");
    assert!(is_whole(&took[0]));
    for pair in took.windows(2) {
        assert!(pair[1] == pair[0] + 1 || is_whole(&pair[1]), "{took:?}");
    }
}

mod breaks {
    use super::*;

    pub(super) static TOOK: Journal = Journal::new();

    #[callback]
    pub(super) fn broken(n: u64) {
        TOOK.note(n);
    }
}

#[tokio::test]
async fn a_source_that_fails_may_say_so_too() {
    let controller = Controller::start().await;
    let sender = controller.node("sender", []).await;
    let receiver = controller.node("receiver", callbacks![breaks::broken]).await;
    meet(&[&sender, &receiver]).await;
    let items = (0..25).map(|n| if n < 20 { Ok(n) } else { Err("no film") });
    let sent = soon(send::broken(starting(fallible(items), is_whole)).on(&sender).into_future()).await;
    assert!(matches!(sent, Err(CallError::SourceFailed { sent: 20, .. })), "{sent:?}");
    assert!(breaks::TOOK.all().into_iter().eq(0..20));
}
