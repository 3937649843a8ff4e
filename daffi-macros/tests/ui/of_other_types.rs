mod shop {
    use daffi::callback;

    #[callback]
    pub fn buy(item: String, count: u32) -> Result<u64, String> {
        let _ = (item, count);
        Ok(1)
    }
}

use daffi::fetcher;

#[fetcher(of = shop::buy)]
async fn buy(item: &[u8], count: u32) -> Result<u64, String>;

#[fetcher(of = shop::buy, name = "buy")]
async fn buy_for_free(item: &str, count: u32) -> u64;

#[fetcher(of = shop::buy, name = "buy")]
async fn buy_one(item: &str) -> Result<u64, String>;

#[fetcher(STREAM, of = shop::buy, name = "buy")]
async fn buy_all(item: Option<&'static str>);

fn main() {}
