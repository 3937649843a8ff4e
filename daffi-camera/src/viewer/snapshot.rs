//! Frames as files, for where there is no window.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process,
};

use super::is_decoded;
use crate::{Frame, PixelFormat};

/// The frame was not saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The frame is not one of plain pixels.
    #[error("a snapshot is made of an RGB or grey frame, and this one is {format}: decode it first")]
    NotDecoded {
        /// What the frame has.
        format: PixelFormat,
    },
    /// The path ends in no name for a file.
    #[error("could not save a snapshot as {}: it is no name for a file", path.display())]
    NoName {
        /// Where it was to be saved.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("could not save a snapshot as {}: {error}", path.display())]
    Write {
        /// Where it was to be saved.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

/// Saves a frame as a PNG file, of 24 bits a pixel or 8 if it is grey. A file that is there is replaced.
///
/// It is written under another name in the same directory (`.part` and the number of the process at the end) and then renamed, so
/// that a reader never sees half a picture. It blocks until the file is written.
///
/// # Errors
///
/// [`SnapshotError`]. A file that was there is as it was then.
pub fn save_png(frame: &Frame, path: impl AsRef<Path>) -> Result<(), SnapshotError> {
    let path = path.as_ref();
    if !is_decoded(frame.format()) {
        return Err(SnapshotError::NotDecoded { format: frame.format() });
    }
    let Some(name) = path.file_name() else {
        return Err(SnapshotError::NoName { path: path.to_owned() });
    };
    let mut part = name.to_owned();
    part.push(format!(".{}.part", process::id()));
    let part = path.with_file_name(part);
    let written = write_png(frame, &part).and_then(|()| fs::rename(&part, path));
    written.map_err(|error| {
        // If it is not there, that is as good.
        let _ = fs::remove_file(&part);
        SnapshotError::Write { path: path.to_owned(), error }
    })
}

fn write_png(frame: &Frame, path: &Path) -> io::Result<()> {
    let (width, height) = frame.size();
    let mut file = BufWriter::new(File::create(path)?);
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_color(if frame.format() == PixelFormat::Rgb8 {
        png::ColorType::Rgb
    } else {
        png::ColorType::Grayscale
    });
    let mut writer = encoder.write_header()?;
    let mut pixels = writer.stream_writer()?;
    for row in frame.rows() {
        pixels.write_all(row)?;
    }
    pixels.finish()?;
    writer.finish()?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> (png::ColorType, (u32, u32), Vec<u8>) {
        let mut reader = png::Decoder::new(io::BufReader::new(File::open(path).unwrap())).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.color_type, (info.width, info.height), pixels)
    }

    #[test]
    fn a_frame_comes_back_from_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("shot.png");
        let padded = vec![1, 2, 3, 4, 5, 6, 99, 7, 8, 9, 10, 11, 12, 99];
        let frame = Frame::with_stride((2, 2), 7, PixelFormat::Rgb8, padded).unwrap();
        save_png(&frame, &path).unwrap();
        assert_eq!(read(&path), (png::ColorType::Rgb, (2, 2), (1..=12).collect()));
        let grey = Frame::new((1, 3), PixelFormat::Gray8, vec![0, 128, 255]).unwrap();
        save_png(&grey, &path).unwrap();
        assert_eq!(read(&path), (png::ColorType::Grayscale, (1, 3), vec![0, 128, 255]));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_cannot_be_saved_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let grey = Frame::new((1, 1), PixelFormat::Gray8, vec![0]).unwrap();
        // A directory stands where the file is to be.
        let error = save_png(&grey, directory.path()).unwrap_err();
        assert!(matches!(error, SnapshotError::Write { .. }), "{error}");
        let error = save_png(&grey, directory.path().join("none/shot.png")).unwrap_err();
        assert!(error.to_string().contains("none/shot.png: "), "{error}");
        assert!(matches!(save_png(&grey, "/"), Err(SnapshotError::NoName { .. })));
        let jpeg = Frame::new((1, 1), PixelFormat::Jpeg, vec![0]).unwrap();
        assert!(matches!(save_png(&jpeg, directory.path().join("shot.png")), Err(SnapshotError::NotDecoded { .. })));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
