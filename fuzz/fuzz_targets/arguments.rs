#![no_main]
//! Arguments and results as the code of the attributes decodes them.

use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Unstructured};
use daffi_core::node::stub::{self, ByteBuf, NoArgs};
use daffi_fuzz::within;
use libfuzzer_sys::fuzz_target;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Debug, Clone, PartialEq, Arbitrary, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(u32),
    Named { name: String, sides: Vec<i16>, inner: Option<Box<Shape>> },
}

#[derive(Debug, Clone, PartialEq, Arbitrary, Serialize, Deserialize)]
struct Record {
    id: u64,
    signed: i64,
    text: String,
    shapes: Vec<Shape>,
    table: BTreeMap<String, (u8, bool)>,
    maybe: Option<char>,
    #[serde(default)]
    bytes: Vec<u8>,
}

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        None => {}
        Some((0..=127, bytes)) => decode(bytes),
        Some((_, bytes)) => {
            if let Ok(record) = Unstructured::new(bytes).arbitrary() {
                round_trip(&record, bytes);
            }
        }
    }
});

/// What one side encodes the other decodes: an item is a list of one argument.
fn round_trip(record: &Record, bytes: &[u8]) {
    let (mut item, mut bytes_item) = (Vec::new(), Vec::new());
    stub::encode_item(record, &mut item).expect("it can be encoded");
    assert_eq!(stub::decode_args::<(Record,)>(&item, 1).as_ref().map(|(record,)| record), Ok(record));
    assert!(stub::decode_args::<(Record, u8)>(&item, 2).is_err());
    assert_eq!(stub::decode::<Record>(&item[1..]).as_ref(), Ok(record));
    stub::encode_bytes_item(&bytes.to_vec(), &mut bytes_item).expect("it can be encoded");
    assert_eq!(stub::decode_args::<(ByteBuf,)>(&bytes_item, 1), Ok((ByteBuf::from(bytes),)));
}

/// Anything else is decoded or refused.
fn decode(bytes: &[u8]) {
    arguments::<(i64,)>(bytes, 1);
    arguments::<(String, ByteBuf)>(bytes, 2);
    arguments::<(Record, Shape)>(bytes, 2);
    arguments::<(Vec<Option<f64>>, BTreeMap<u16, Vec<String>>, [u8; 4])>(bytes, 3);
    arguments::<(Vec<()>,)>(bytes, 1);
    let _ = stub::decode_args::<NoArgs>(bytes, 0);
    value::<Record>(bytes);
    value::<Vec<Shape>>(bytes);
    value::<Result<u8, String>>(bytes);
    if let Ok(decoded) = within(bytes.len(), 4, || stub::decode_bytes(bytes)) {
        assert!(decoded.len() <= bytes.len());
    }
}

/// An empty field takes a byte of MessagePack and a record more than a hundred of memory, in vectors that double.
const TIMES: usize = 512;

/// serde takes up to 1 MiB for a list that says that it is long; the user's types say how many may stand in each other.
const LISTS: usize = (8 << 20) / TIMES;

fn arguments<T: Serialize + DeserializeOwned>(args: &[u8], count: u32) {
    if let Ok(decoded) = within(args.len() + LISTS, TIMES, || stub::decode_args::<T>(args, count)) {
        again(&decoded);
    }
}

fn value<T: Serialize + DeserializeOwned>(payload: &[u8]) {
    if let Ok(decoded) = within(payload.len() + LISTS, TIMES, || stub::decode::<T>(payload)) {
        again(&decoded);
    }
}

/// What was decoded and is encoded decodes to the same; compared as bytes, for there are numbers that do not equal themselves.
fn again<T: Serialize + DeserializeOwned>(value: &T) {
    let encoded = rmp_serde::to_vec_named(value).expect("it was decoded");
    let decoded: T = rmp_serde::from_slice(&encoded).expect("it was encoded");
    assert_eq!(rmp_serde::to_vec_named(&decoded).expect("it was decoded"), encoded);
}
