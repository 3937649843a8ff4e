//! What a user sees and does: windows, their titles and pictures, the mouse and the keyboard.

use x11rb::{
    connection::Connection,
    protocol::{
        xproto::{
            AtomEnum, ClientMessageEvent, ConfigureWindowAux, ConnectionExt as _, CreateWindowAux, EventMask,
            ImageFormat, ImageOrder, InputFocus, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MapState, StackMode, WindowClass,
        },
        xtest::ConnectionExt as _,
    },
    wrapper::ConnectionExt as _,
};

use super::{Picture, XServer, soon};

/// A window on the X server, by its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window(u32);

/// The number of the key Escape in X, and of the space bar.
pub(crate) const ESCAPE: u32 = 0xff1b;
pub(crate) const SPACE: u32 = 0x20;

impl XServer {
    /// Waits for a window that can be seen and whose title begins with this.
    pub(crate) fn window(&self, title: &str) -> Window {
        soon(&format!("a window shows up whose title begins with {title:?}"), || self.windows(title).first().copied())
    }

    /// The same for a window that shows frames, by what its title says. The one that waits for frames may be another.
    pub(crate) fn window_with_frames(&self, title: &str) -> Window {
        let has_frames = |window: &Window| self.title(*window).is_some_and(|title| title.contains(" fps, "));
        soon(&format!("a window of {title} shows frames"), || self.windows(title).into_iter().find(has_frames))
    }

    /// The windows that can be seen and whose titles begin with this.
    pub(crate) fn windows(&self, title: &str) -> Vec<Window> {
        let mut found = Vec::new();
        self.walk(self.root, &mut |window| {
            if self.is_seen(window) && self.title(window).is_some_and(|full| full.starts_with(title)) {
                found.push(window);
            }
        });
        found
    }

    /// Waits until the window is gone.
    pub(crate) fn gone(&self, window: Window) {
        soon("the window is gone", || self.size(window).is_none().then_some(()));
    }

    /// The title; `None` if the window is gone or has none.
    pub(crate) fn title(&self, window: Window) -> Option<String> {
        let name = self.connection.intern_atom(false, b"_NET_WM_NAME").expect("the X server is there");
        let name = name.reply().expect("there is such an atom").atom;
        let title = |atom| {
            let property = self.connection.get_property(false, window.0, atom, AtomEnum::ANY, 0, 256);
            let value = property.expect("the X server is there").reply().ok()?.value;
            (!value.is_empty()).then(|| String::from_utf8_lossy(&value).into_owned())
        };
        title(name).or_else(|| title(AtomEnum::WM_NAME.into()))
    }

    /// Waits until the title pleases.
    pub(crate) fn title_that(&self, window: Window, pleases: impl Fn(&str) -> bool) -> String {
        soon("the title changes", || self.title(window).filter(|title| pleases(title)))
    }

    /// Width and height in pixels; `None` if the window is gone.
    pub(crate) fn size(&self, window: Window) -> Option<(u16, u16)> {
        let geometry = self.connection.get_geometry(window.0).expect("the X server is there").reply().ok()?;
        Some((geometry.width, geometry.height))
    }

    /// What is on the screen where the window is; `None` if it is gone, or is not on the screen as a whole.
    pub(crate) fn screenshot(&self, window: Window) -> Option<Picture> {
        let (width, height) = self.size(window)?;
        let image = self.connection.get_image(ImageFormat::Z_PIXMAP, window.0, 0, 0, width, height, !0);
        let image = image.expect("the X server is there").reply().ok()?;
        assert_eq!(image.data.len(), 4 * usize::from(width) * usize::from(height), "four bytes a pixel");
        let is_little = self.connection.setup().image_byte_order == ImageOrder::LSB_FIRST;
        let colours =
            |pixel: &[u8; 4]| if is_little { [pixel[2], pixel[1], pixel[0]] } else { [pixel[1], pixel[2], pixel[3]] };
        let pixels = image.data.as_chunks().0.iter().map(colours).collect();
        Some(Picture::new(width.into(), pixels))
    }

    /// What is on the whole screen.
    pub(crate) fn screen(&self) -> Picture {
        self.screenshot(Window(self.root)).expect("the screen is always there")
    }

    /// Moves the window to this place and on top.
    pub(crate) fn place(&self, window: Window, x: i32, y: i32) {
        self.configure(window, &ConfigureWindowAux::new().x(x).y(y).stack_mode(StackMode::ABOVE));
    }

    /// Gives the window this size.
    pub(crate) fn resize(&self, window: Window, (width, height): (u32, u32)) {
        self.configure(window, &ConfigureWindowAux::new().width(width).height(height));
    }

    /// Presses a key and lets it go at once, with the focus on the window.
    pub(crate) fn tap(&self, window: Window, symbol: u32) {
        let focus = self.connection.set_input_focus(InputFocus::PARENT, window.0, x11rb::CURRENT_TIME);
        focus.expect("the X server is there").check().expect("the window can have the focus");
        let code = self.key_code(symbol);
        for event in [KEY_PRESS_EVENT, KEY_RELEASE_EVENT] {
            let key = self.connection.xtest_fake_input(event, code, x11rb::CURRENT_TIME, self.root, 0, 0, 0);
            key.expect("the X server is there").check().expect("it has the extension XTEST");
        }
    }

    /// What a window manager does when its close button is clicked.
    pub(crate) fn close_button(&self, window: Window) {
        let atom = |name| {
            let cookie = self.connection.intern_atom(false, name).expect("the X server is there");
            cookie.reply().expect("there is such an atom").atom
        };
        let data = [atom(b"WM_DELETE_WINDOW"), x11rb::CURRENT_TIME, 0, 0, 0];
        let message = ClientMessageEvent::new(32, window.0, atom(b"WM_PROTOCOLS"), data);
        let sent = self.connection.send_event(false, window.0, EventMask::NO_EVENT, message);
        sent.expect("the X server is there").check().expect("the window is there");
    }

    /// Covers the whole screen with a window, and takes it away.
    pub(crate) fn cover(&self) {
        let cover = self.connection.generate_id().expect("a free number");
        let (width, height) = self.size(Window(self.root)).expect("the screen is always there");
        let options = CreateWindowAux::new().override_redirect(1).background_pixel(0x00ff_00ff);
        let created = self.connection.create_window(
            x11rb::COPY_DEPTH_FROM_PARENT,
            cover,
            self.root,
            0,
            0,
            width,
            height,
            0,
            WindowClass::INPUT_OUTPUT,
            x11rb::COPY_FROM_PARENT,
            &options,
        );
        created.expect("the X server is there").check().expect("there is room for a window");
        self.connection.map_window(cover).expect("the X server is there").check().expect("it is shown");
        self.connection.destroy_window(cover).expect("the X server is there").check().expect("it is gone");
        self.connection.sync().expect("the X server is there");
    }

    fn configure(&self, window: Window, to: &ConfigureWindowAux) {
        let configured = self.connection.configure_window(window.0, to).expect("the X server is there");
        configured.check().expect("the window is there");
    }

    fn key_code(&self, symbol: u32) -> u8 {
        let (first, last) = (self.connection.setup().min_keycode, self.connection.setup().max_keycode);
        let mapping = self.connection.get_keyboard_mapping(first, last - first + 1).expect("the X server is there");
        let mapping = mapping.reply().expect("it has a keyboard");
        let mut keys = (first..=last).zip(mapping.keysyms.chunks(mapping.keysyms_per_keycode.into()));
        let key = keys.find(|(_, symbols)| symbols.first() == Some(&symbol));
        key.expect("the keyboard has this key").0
    }

    fn is_seen(&self, window: Window) -> bool {
        let attributes = self.connection.get_window_attributes(window.0).expect("the X server is there");
        attributes.reply().is_ok_and(|attributes| attributes.map_state == MapState::VIEWABLE)
    }

    fn walk(&self, from: u32, visit: &mut impl FnMut(Window)) {
        // A window that is gone meanwhile has no children.
        let Ok(tree) = self.connection.query_tree(from).expect("the X server is there").reply() else { return };
        for child in tree.children {
            visit(Window(child));
            self.walk(child, visit);
        }
    }
}
