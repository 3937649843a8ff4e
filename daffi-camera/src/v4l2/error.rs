//! Why a camera cannot be used.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

/// A camera could not be opened, or was refused when it was to start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No device of this machine captures video.
    #[error("there is no camera: plug one in, or take another source of video")]
    NoDevice,
    /// There is no such device. It may be a typing error, or the device was unplugged.
    #[error("there is no device {}: plug it in, or choose one that `ls /dev/video*` lists", path.display())]
    NotFound {
        /// The device.
        path: PathBuf,
    },
    /// Another program streams from it, and only one can.
    #[error("{} is in use: end the program that streams from it, or choose another camera", path.display())]
    Busy {
        /// The device.
        path: PathBuf,
    },
    /// This user may not use it. Most systems give cameras to the group `video`.
    #[error("{} may not be used by this user: add the user to the group `video` and log in again", path.display())]
    PermissionDenied {
        /// The device.
        path: PathBuf,
    },
    /// It is something else, or a node of a camera that gives no video, such as that for its metadata.
    #[error("{} does not capture video: choose one of those that `ls /dev/video*` lists", path.display())]
    NotACamera {
        /// What is not one.
        path: PathBuf,
    },
    /// None of its formats is both understood and wanted.
    #[error("{} has no wanted format; it offers {}: allow another one", path.display(), listed(offered))]
    NoFormat {
        /// The device.
        path: PathBuf,
        /// The codes of the formats that it offers.
        offered: Vec<String>,
    },
    /// The driver or the system failed. Trying again may help.
    #[error("{action} of {} failed: {error}; try again, or plug the camera in anew", path.display())]
    System {
        /// The device.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

impl OpenError {
    /// Sorts an error of the system.
    pub(super) fn new(path: &Path, action: &'static str, error: io::Error) -> Self {
        let path = path.to_path_buf();
        match (error.kind(), error.raw_os_error().map(Errno::from_raw_os_error)) {
            (io::ErrorKind::NotFound, _) | (_, Some(Errno::NODEV | Errno::NXIO)) => Self::NotFound { path },
            (io::ErrorKind::ResourceBusy, _) => Self::Busy { path },
            (io::ErrorKind::PermissionDenied, _) => Self::PermissionDenied { path },
            // What does not know the questions of V4L2 is a file, a terminal, a disk.
            (_, Some(Errno::NOTTY | Errno::ISDIR)) => Self::NotACamera { path },
            _ => Self::System { path, action, error },
        }
    }
}

fn listed(offered: &[String]) -> String {
    if offered.is_empty() { "none".to_owned() } else { offered.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_are_sorted() {
        let sorted = |errno: Errno| OpenError::new(Path::new("/dev/video7"), "opening", errno.into());
        assert!(matches!(sorted(Errno::NOENT), OpenError::NotFound { .. }));
        assert!(matches!(sorted(Errno::NODEV), OpenError::NotFound { .. }));
        assert!(matches!(sorted(Errno::BUSY), OpenError::Busy { .. }));
        assert!(matches!(sorted(Errno::ACCESS), OpenError::PermissionDenied { .. }));
        assert!(matches!(sorted(Errno::NOTTY), OpenError::NotACamera { .. }));
        let other = sorted(Errno::IO).to_string();
        assert!(other.starts_with("opening of /dev/video7 failed: "), "{other}");
    }

    #[test]
    fn what_is_offered_is_told() {
        let offered = vec!["BA81".to_owned(), "H264".to_owned()];
        let error = OpenError::NoFormat { path: "/dev/video7".into(), offered };
        assert_eq!(error.to_string(), "/dev/video7 has no wanted format; it offers BA81, H264: allow another one");
    }
}
