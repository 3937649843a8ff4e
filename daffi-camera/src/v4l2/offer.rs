//! Which cameras there are, and what each offers.

use std::{fmt, io, path::PathBuf};

use super::{OpenError, driver};
use crate::{PixelFormat, Rate};

/// A device that captures video.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Its node, such as `/dev/video0`.
    pub path: PathBuf,
    /// What it calls itself, for people.
    pub card: String,
    /// The name of its driver.
    pub driver: String,
    /// What it offers, in the order of its driver.
    pub offers: Vec<Offer>,
}

/// A pixel format that a camera offers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offer {
    /// V4L2's code of the format.
    pub code: Code,
    /// What that is here, if frames can have it.
    pub format: Option<PixelFormat>,
    /// The sizes that it comes in. There are none if the format is not understood, or if the driver does not tell.
    pub sizes: Vec<SizeRange>,
}

/// A size that a camera offers, or a range of sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SizeRange {
    /// The smallest width and height in pixels.
    pub smallest: (u32, u32),
    /// The largest width and height in pixels; the same unless it is a range.
    pub largest: (u32, u32),
    /// The rates that the largest size comes at; the ends, if the driver has a range of them. There are none if it does not tell.
    pub rates: Vec<Rate>,
}

/// V4L2's code of a pixel format: four characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub [u8; 4]);

impl Code {
    /// What it is here, if frames can have it.
    pub const fn format(self) -> Option<PixelFormat> {
        Some(match &self.0 {
            b"YUYV" => PixelFormat::Yuyv,
            b"NV12" => PixelFormat::Nv12,
            b"RGB3" => PixelFormat::Rgb8,
            b"GREY" => PixelFormat::Gray8,
            // Cameras mean the same by both.
            b"MJPG" | b"JPEG" => PixelFormat::Jpeg,
            _ => return None,
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.trim_ascii_end().escape_ascii().fmt(f)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The devices that capture video, `/dev/video2` before `/dev/video10`. Those that vanish meanwhile or do not answer are left out.
///
/// # Errors
///
/// [`OpenError::PermissionDenied`] if there are devices, and this user may use none of them; [`OpenError::System`] if the devices
/// cannot be listed.
pub fn devices() -> Result<Vec<DeviceInfo>, OpenError> {
    let mut denied = None;
    let mut found = Vec::new();
    for path in driver::nodes().map_err(|error| OpenError::new("/dev".as_ref(), "listing", error))? {
        match info(path.clone()) {
            Ok(info) => found.extend(info),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                denied.get_or_insert(OpenError::PermissionDenied { path });
            }
            Err(error) => tracing::debug!("{} is left out: {error}", path.display()),
        }
    }
    match denied {
        Some(denied) if found.is_empty() => Err(denied),
        _ => Ok(found),
    }
}

/// The first device that captures.
pub(super) fn first() -> Result<PathBuf, OpenError> {
    devices()?.into_iter().next().map(|device| device.path).ok_or(OpenError::NoDevice)
}

fn info(path: PathBuf) -> io::Result<Option<DeviceInfo>> {
    let device = driver::Device::open(&path)?;
    let identity = device.identity()?;
    let (card, driver) = (identity.card, identity.driver);
    Ok(if identity.captures { Some(DeviceInfo { path, card, driver, offers: device.offers()? }) } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_as_their_characters() {
        assert_eq!(Code(*b"YUYV").to_string(), "YUYV");
        assert_eq!(Code(*b"Y16 ").to_string(), "Y16");
        assert_eq!(Code([b'B', b'G', 3, 0x80]).to_string(), "BG\\x03\\x80");
    }
}
