//! Streams that come back, and results of streams.

use rustix::process::Signal;

use crate::programs::{System, run};

#[test]
fn a_call_gives_a_stream_until_nobody_wants_more() {
    run(async {
        let system = System::new();
        let mut station = system.start("readings_station", &[]);
        station.says("the station is open").await;
        let said = system.start("readings_client", &[]).ends_well().await;
        let expected = [
            "there is no sensor in the attic",
            "cellar: 12.5 °C",
            "cellar: 13.0 °C",
            "cellar: reading 3 failed",
            "cellar: 14.0 °C",
            "cellar: that is all",
            "roof: 12.5 °C",
            "roof: 13.0 °C",
            "roof: reading 3 failed",
            "roof: 14.0 °C",
            "roof: 14.5 °C",
            "roof: that is enough",
        ];
        assert_eq!(said, expected);
        for line in ["cellar: switched on", "cellar: switched off, read to the end", "roof: switched on"] {
            station.says(line).await;
        }
        station.says("roof: switched off, nobody wants more").await;
        station.signal(Signal::INT);
        assert!(station.ends_well().await.is_empty());
    });
}

#[test]
fn a_stream_has_a_result_from_each_receiver() {
    run(async {
        let system = System::new();
        let mut large = system.start("upload_receiver", &["--name", "large"]);
        let mut small = system.start("upload_receiver", &["--name", "small", "--room", "30000"]);
        let mut said = system.start("upload_sender", &[]).ends_well().await;
        assert_eq!(said.remove(0), "sent 100 chunks");
        said.sort();
        let expected = [
            "large has 100000 bytes, their sum is 4950000",
            "small says no: there is no room for more than 30000 bytes",
        ];
        assert_eq!(said, expected);
        large.says("large has room for 1000000 bytes").await;
        small.says("small has room for 30000 bytes").await;
        let took = ["sender begins", "100000 bytes, missed items: 0, end: Some(Finished)"];
        assert_eq!(large.ends_well().await, took);
        assert_eq!(small.ends_well().await, ["sender begins", "that is too much"]);
    });
}
