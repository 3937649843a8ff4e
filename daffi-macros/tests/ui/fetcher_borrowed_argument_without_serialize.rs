use daffi::fetcher;

struct Config;

#[fetcher(BROADCAST)]
async fn reload(name: &str, configs: &[Config], fallback: &Config);

fn main() {
    let _ = reload("camera", &[], &Config);
}
