use daffi::fetcher;

#[fetcher]
trait Counter<T>: Send
where
    T: Copy,
{
    type Step;

    const FIRST: u32;

    async fn bump(&self, by: i64) -> i64;

    async fn reset() {
        let _ = 1;
    }

    async fn add<N>(number: N);
}

#[fetcher(STREAM, idempotent, nmae = "shop")]
trait Shop {
    async fn new(name: &str);

    async fn to(town: &str) -> u32;

    #[fetcher(STREM)]
    async fn sell(item: u32);

    #[fetcher]
    #[fetcher(BG)]
    async fn buy(item: u32) -> u32;

    #[daffi::callback]
    fn open();
}

fn main() {
    let shop = Shop::new();
    let _ = shop.sell([1, 2]);
    let _ = shop.buy(1);
}
