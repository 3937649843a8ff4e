use daffi::fetcher;

#[fetcher(BROADCST)]
async fn reload<T>(config: &mut T, (a, b): (u32, u32)) -> std::io::Result<u32> {}

fn main() {}
