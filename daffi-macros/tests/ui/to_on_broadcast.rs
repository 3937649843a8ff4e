use daffi::fetcher;

#[fetcher(BROADCAST)]
async fn reload(level: u32) -> u32;

fn main() {
    let _ = reload(1).to("camera");
}
