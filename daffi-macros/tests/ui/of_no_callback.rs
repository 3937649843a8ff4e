mod shop {
    pub fn plain(item: u32) -> u32 {
        item
    }

    #[daffi::callback]
    fn private(item: u32) -> u32 {
        item
    }
}

use daffi::fetcher;

#[fetcher(of = shop::plain)]
async fn plain(item: u32) -> u32;

#[fetcher(of = shop::missing)]
async fn missing(item: u32) -> u32;

#[fetcher(of = shop::private)]
async fn private(item: u32) -> u32;

fn main() {
    let _ = shop::plain(1);
}
