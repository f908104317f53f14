//! What a durable write costs on the disk of the daemon's state, whoever makes it.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use crate::Result;

/// A file to write to.
#[derive(Debug)]
pub(crate) struct Disk {
    file: File,
    path: PathBuf,
}

impl Disk {
    /// A file of 4 KiB in a folder.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let path = folder.join("durable-write");
        let file = File::create(&path)?;
        let mut disk = Self { file, path };
        disk.write()?;
        disk.file.sync_all()?;
        Ok(disk)
    }

    /// Writes it anew, with `fdatasync`.
    pub(crate) fn write(&mut self) -> Result<()> {
        self.file.rewind()?;
        self.file.write_all(&[0; 4096])?;
        Ok(self.file.sync_data()?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
