use daffi::callback;

struct Store<T>(T);

struct View<'a>(&'a str);

#[callback]
impl<T: Clone> Store<T> {
    #[callback]
    fn first(&self) -> u32 {
        1
    }
}

#[callback]
impl View<'_> {
    #[callback]
    fn text(&self) -> String {
        self.0.to_owned()
    }
}

#[callback]
impl Default for Store<u8> {
    fn default() -> Self {
        Self(1)
    }
}

#[callback]
impl Store<u16> {
    fn hidden(&self) {}
}

#[callback(inline, nmae = "store")]
impl Store<u32> {
    #[callback]
    const LARGEST: u32 = 3;

    #[callback]
    #[callback(inline)]
    fn second(&self) -> u32 {
        self.0
    }
}

fn main() {
    let _ = Store(1).first();
    let _ = View("a").text();
    Store(1u16).hidden();
    let _ = (Store(1u32).second(), Store::<u32>::LARGEST, Store::<u8>::default());
}
