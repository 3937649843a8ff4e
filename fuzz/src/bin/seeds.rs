//! Writes what the fuzzer begins with: what real encoders make, a folder for each target. `fuzz/run` calls it.

// What the compiler put into the code for libFuzzer is to be found here too.
use libfuzzer_sys as _;

#[path = "seeds/controller.rs"]
mod controller;
#[path = "seeds/text.rs"]
mod text;
#[cfg(feature = "video")]
#[path = "seeds/video.rs"]
mod video;

use std::{collections::BTreeMap, convert::Infallible, env, fs, path::PathBuf, process::ExitCode, time::Duration};

use daffi_core::{
    node::stub,
    wire::{
        batch::{Batch, Builder},
        control::{Member, Offered, Terms, ToController, ToNode},
        credit::Credit,
        failure::Failure,
        frame::{Ask, Frame as CallFrame, Head, Status},
        item_stream::{
            Answer, Awaited, Mark, Newcomers, ReceiverEnd, Resumed, Standing, StreamEnd, StreamOffer, StreamRequest,
        },
        offer::{Contract, Kind, Offer, Parameter},
        position::Position,
        preamble,
        trace::TraceContext,
        varint,
    },
};
use serde::Serialize;

fn main() -> ExitCode {
    let Some(corpus) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("seeds: say which folder to write to, such as `fuzz/corpus`");
        return ExitCode::from(2);
    };
    for (target, seeds) in all() {
        let folder = corpus.join(target);
        let written = fs::create_dir_all(&folder).and_then(|()| {
            seeds
                .iter()
                .enumerate()
                .try_for_each(|(number, seed)| fs::write(folder.join(format!("seed-{number}")), seed))
        });
        if let Err(error) = written {
            eprintln!("seeds: could not write to {}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn all() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    vec![
        ("numbers", numbers()),
        ("texts", vec![TRACE.into(), b"process1".to_vec(), "überprüfung.a-b_c".into()]),
        ("secrets", text::secrets()),
        ("certificates", text::certificates()),
        ("config", text::config()),
        ("globs", text::globs()),
        ("control", control()),
        ("controller", controller::controller()),
        ("streams", streams()),
        ("lane", lane()),
        ("batches", batches()),
        ("arguments", arguments()),
        ("contracts", contracts()),
        #[cfg(feature = "video")]
        ("video", video::video()),
        #[cfg(feature = "video")]
        ("jpeg", video::jpegs().iter().map(|jpeg| [&[16, 0, 8, 0], jpeg.data().as_ref()].concat()).collect()),
    ]
}

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The body of a message: the targets put the length in front.
fn body(message: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec_named(message).expect("it can be encoded")
}

fn numbers() -> Vec<Vec<u8>> {
    let integers = [0, 63, 64, 16_383, 16_384, 1 << 29, 1 << 30, varint::MAX].into_iter().map(|integer| {
        let mut out = Vec::new();
        varint::put(integer, &mut out);
        out
    });
    integers.chain([preamble::encode(preamble::VERSION).to_vec()]).collect()
}

fn offer() -> Offer {
    Offer {
        name: "add".into(),
        signature: "add(a: i64) -> i64".into(),
        location: "main.rs:3".into(),
        contract: Some(Contract {
            kind: Kind::Call,
            parameters: vec![Parameter { name: "a".into(), ty: "i64".into() }],
            result: "i64".into(),
        }),
        lossless: true,
    }
}

fn control() -> Vec<Vec<u8>> {
    let member = Member { id: 7, name: "gpu".into(), offers: vec![Offered { id: 3, offer: offer() }] };
    vec![
        body(&ToController::Hello { name: "gpu".into(), offers: vec![offer()], software: "daffi".into(), instance: 5 }),
        body(&ToController::Offer { offers: vec![offer(), Offer::default()] }),
        body(&ToController::Leave),
        body(&ToController::Alive),
        body(&ToNode::Welcome { node: 7, members: vec![member.clone()], terms: Terms::default() }),
        body(&ToNode::Joined { member }),
        body(&ToNode::Offered { node: 7, offers: vec![Offered { id: 3, offer: offer() }] }),
        body(&ToNode::Left { node: 7, reason: "it left".into() }),
        body(&ToNode::Probe),
        body(&ToNode::Draining),
    ]
}

fn streams() -> Vec<Vec<u8>> {
    let trace: Option<TraceContext> = TRACE.parse().ok();
    let failure = Some(Failure::App { error: vec![1, 2, 3] });
    let answers = [
        Answer::Grant(Credit { items: 32 << 10, bytes: 4 << 20 }),
        Answer::Pace { grant: Credit { items: 1, bytes: 70_000 }, held_micros: 900 },
        Answer::Dropped { receiver: 3, items: 9 },
        Answer::Rewind(Position { item: 3, bytes: 1 << 20 }),
        Answer::Standing(Standing {
            first: Some(0),
            position: Position::before(3),
            missed: 1,
            received: Credit { items: 2, bytes: 90 },
            granted: Credit { items: 32 << 10, bytes: 4 << 20 },
        }),
        Answer::Ended(ReceiverEnd {
            receiver: 1,
            delivered: 7,
            first: 0,
            dropped: 2,
            value: Some(vec![0xc0]),
            failure,
        }),
    ];
    let answers = answers.iter().map(|answer| {
        let mut out = Vec::new();
        answer.put(&mut out);
        out
    });
    let keep = std::num::NonZeroU32::new(5);
    let messages = [
        body(&StreamRequest {
            callback: 3,
            targets: vec![1, 2],
            stall_millis: 10_000,
            trace,
            answers: Some(9),
            keep,
            live: true,
            stream: Some(77),
            resumed: Some(Resumed {
                callback: "take".into(),
                from: Mark { position: Position::before(3), credit: Credit { items: 3, bytes: 90 } },
                receivers: vec![Awaited { receiver: 1, node: "a".into(), lossless: true }],
                named: 2,
            }),
        }),
        body(&StreamOffer {
            callback: 3,
            producer: 1,
            stall_millis: 10_000,
            trace,
            answers: None,
            paced: true,
            late: true,
            name: "producer".into(),
            stream: Some(77),
            receiver: 2,
            resumed: true,
            begun: true,
        }),
        body(&Newcomers { nodes: vec![4, 5], first: 2 }),
        body(&StreamEnd::SourceFailed { message: "it broke".into() }),
        body(&offer()),
        Failure::BadArguments { message: "one is missing".into() }.encode(),
        Failure::Full { running: 3, waiting: 9 }.encode(),
        Failure::TooLarge { size: 9, limit: 8 }.encode(),
    ];
    answers.chain(messages).collect()
}

fn lane() -> Vec<Vec<u8>> {
    let ask = Ask { callback: 3, budget: Some(Duration::from_secs(30)), trace: TRACE.parse().ok() };
    let frames = [
        CallFrame { head: Head::Call { id: 1, peer: 2, ask }, payload: vec![0x91, 7].into() },
        CallFrame { head: Head::Broadcast { id: 2, targets: vec![1, 2, 300], ask }, payload: vec![0x90].into() },
        CallFrame { head: Head::Reply { id: 1 << 33, node: 2, status: Status::Value }, payload: vec![7].into() },
        CallFrame::failure(4, 2, &Failure::NoNode),
        CallFrame { head: Head::Cancel { id: 70_000 }, payload: Vec::new().into() },
    ];
    let mut lane = vec![3, 0, 11, 99];
    frames.iter().for_each(|frame| frame.put(&mut lane));
    let alone = frames.iter().map(|frame| {
        let mut out = Vec::new();
        frame.put(&mut out);
        // The lengths of the pieces take the place of that of the frame.
        out[..4].fill(9);
        out
    });
    [lane.clone()].into_iter().chain(alone).collect()
}

fn batches() -> Vec<Vec<u8>> {
    let mut builder = Builder::default();
    let mut build = |items: &[&[u8]], dependents, first| {
        builder.set_dependents(dependents);
        for item in items {
            let encode = |out: &mut Vec<u8>| {
                out.extend_from_slice(item);
                Ok::<_, Infallible>(())
            };
            builder.push(encode).expect("it is small enough");
        }
        builder.close(first, 1_700_000_000_000_000)
    };
    let batches = [
        build(&[b"one", b"", b"three"], false, 0),
        build(&[b"four"], true, 3),
        build(&[b"last but one", b"last"], false, varint::MAX - 2),
        Batch::newcomers(&Newcomers { nodes: vec![4], first: 2 }, 4, 0),
        Batch::end(&StreamEnd::Finished, 4, 0),
    ];
    let bytes = batches.iter().map(|batch| [&[5, 0, 40, 200], batch.pieces().concat().as_slice()].concat());
    let whole = bytes.clone().flat_map(|bytes| bytes[4..].to_vec());
    bytes.clone().chain([[5, 0, 40, 200].into_iter().chain(whole).collect()]).collect()
}

fn arguments() -> Vec<Vec<u8>> {
    let mut seeds = vec![body(&("two", 7, [1, 2])), body(&[Some(1.5), None])];
    let mut item = Vec::new();
    let table = BTreeMap::from([("id", 1), ("signed", -7)]);
    stub::encode_item(&table, &mut item).expect("it can be encoded");
    seeds.push(item);
    // The first byte says that they are to be decoded as they are.
    seeds.iter().map(|seed| [&[0], seed.as_slice()].concat()).collect()
}

fn contracts() -> Vec<Vec<u8>> {
    let types = [
        "&'static [&str]",
        "std::vec::Vec<shop::Item>",
        "Option<(&str, a::B)>",
        "Box<dyn Fn(&a::B, [u8; 4]) -> Result<(), Error> + Send>",
        "<A as Trait>::Out",
        "impl Stream<Item = Vec::<&[u8]>> + use<>",
    ];
    let contract = offer().contract;
    types.iter().map(|text| text.as_bytes().to_vec()).chain(contract.iter().map(body)).collect()
}
