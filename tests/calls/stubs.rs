//! The stubs of what [`served`](crate::served) offers, one module for each execution modifier.

pub(crate) mod fg {
    use daffi::fetcher;

    #[fetcher]
    pub(crate) async fn add(a: i64, b: i64) -> i64;

    #[fetcher(FG)]
    pub(crate) fn add_blocking(a: i64, b: i64) -> i64;

    #[fetcher]
    pub(crate) async fn hold(key: u64) -> u64;

    #[fetcher]
    pub(crate) async fn hold_blocking(key: u64) -> u64;

    #[fetcher]
    pub(crate) async fn who() -> String;
}

pub(crate) mod bg {
    use daffi::fetcher;

    #[fetcher(BG)]
    pub(crate) async fn add(a: i64, b: i64) -> i64;

    #[fetcher(BG)]
    pub(crate) fn add_blocking(a: i64, b: i64) -> i64;

    #[fetcher(BG)]
    pub(crate) async fn hold(key: u64) -> u64;

    #[fetcher(BG)]
    pub(crate) async fn hold_blocking(key: u64) -> u64;

    #[fetcher(BG)]
    pub(crate) async fn who() -> String;
}

pub(crate) mod one_way {
    use daffi::fetcher;

    #[fetcher(BG(no_return))]
    pub(crate) async fn note(key: u64, text: &str);

    #[fetcher(BG(no_return))]
    pub(crate) fn note_blocking(key: u64, text: &str);

    #[fetcher(BG(no_return))]
    pub(crate) async fn hold(key: u64);
}

pub(crate) mod broadcast {
    use daffi::fetcher;

    #[fetcher(BROADCAST)]
    pub(crate) async fn add(a: i64, b: i64) -> i64;

    #[fetcher(BROADCAST)]
    pub(crate) fn add_blocking(a: i64, b: i64) -> i64;

    #[fetcher(BROADCAST)]
    pub(crate) async fn hold(key: u64) -> u64;

    #[fetcher(BROADCAST)]
    pub(crate) async fn hold_blocking(key: u64) -> u64;

    #[fetcher(BROADCAST)]
    pub(crate) async fn who() -> String;
}

pub(crate) mod period {
    use daffi::fetcher;

    #[fetcher(PERIOD)]
    pub(crate) async fn note(key: u64, text: &str);

    #[fetcher(PERIOD)]
    pub(crate) fn note_blocking(key: u64, text: &str);

    #[fetcher(PERIOD)]
    pub(crate) async fn hold(key: u64) -> u64;
}
