//! Streams that come back, and results of streams.

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
        station.signal("-INT").await;
        assert!(station.ends_well().await.is_empty());
    });
}
