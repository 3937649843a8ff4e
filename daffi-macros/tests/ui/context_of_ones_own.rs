use daffi::callback;
use serde::{Deserialize, Serialize};

mod painting {
    use super::*;

    #[derive(Serialize, Deserialize)]
    pub struct Context {
        pub colour: u32,
    }
}

#[callback]
fn paint(context: painting::Context, x: u32) -> u32 {
    context.colour + x
}

struct Easel;

#[callback]
impl Easel {
    #[callback]
    async fn paint(&self, context: &painting::Context) -> u32 {
        context.colour
    }
}

#[daffi::fetcher(name = "paint")]
async fn paint_there(context: painting::Context, x: u32) -> u32;

fn main() {
    let _ = paint(painting::Context { colour: 1 }, 2);
    let _ = Easel.paint(&painting::Context { colour: 1 });
}
