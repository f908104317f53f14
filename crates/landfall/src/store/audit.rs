//! The audit log: a line of JSON for each event of networks that want it, in a file of the state folder.
//!
//! A thread of its own writes it, in the order of the events, so that nobody waits for the disk; what it has written is
//! synchronised before it takes the next lines. The file is bounded: a full one is renamed, and the oldest removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use tokio::sync::oneshot;

/// The file in the state folder; older ones have a number behind it.
const FILE: &str = "audit.jsonl";
/// A file is renamed before it becomes larger.
const LARGEST: u64 = 8 << 20;
/// How many older ones are kept.
const OLDER: u32 = 4;
/// How many lines may wait for the disk: more are lost, and the log says so.
const WAITING: usize = 4096;

/// The log of a state folder. Its file is made when something is first written.
#[derive(Debug)]
pub(crate) struct Audit {
    path: PathBuf,
    queue: OnceLock<SyncSender<Job>>,
}

#[derive(Debug)]
enum Job {
    Line(String),
    /// Tells when all lines before it are on the disk.
    Flush(oneshot::Sender<()>),
}

impl Audit {
    /// That of the state folder.
    pub(crate) fn in_folder(dir: &Path) -> Audit {
        Audit { path: dir.join(FILE), queue: OnceLock::new() }
    }

    /// Adds a line, without waiting.
    pub(crate) fn write(&self, line: String) {
        let queue = self.queue.get_or_init(|| {
            let (queue, jobs) = sync_channel(WAITING);
            let file = Rotated { path: self.path.clone(), largest: LARGEST, open: None };
            std::thread::spawn(move || work(file, &jobs));
            queue
        });
        match queue.try_send(Job::Line(line)) {
            Ok(()) => {}
            Err(
                TrySendError::Full(Job::Line(line)) | TrySendError::Disconnected(Job::Line(line)),
            ) => {
                tracing::error!(line, "not in the audit log: the disk is too slow");
            }
            Err(_) => {}
        }
    }

    /// Waits until all that was written is on the disk.
    pub(crate) async fn flush(&self) {
        let Some(queue) = self.queue.get().cloned() else { return };
        let (written, done) = oneshot::channel();
        // The queue may be full.
        let asked = tokio::task::spawn_blocking(move || queue.send(Job::Flush(written)).is_ok());
        if asked.await.unwrap_or(false) {
            let _ = done.await;
        }
    }
}

fn work(mut file: Rotated, jobs: &Receiver<Job>) {
    // All that waits is written at once.
    while let Ok(first) = jobs.recv() {
        let mut flushed = Vec::new();
        let mut lines = Vec::new();
        for job in std::iter::once(first).chain(jobs.try_iter()) {
            match job {
                Job::Line(line) => lines.push(line),
                Job::Flush(done) => flushed.push(done),
            }
        }
        if let Err(error) = file.append(&lines) {
            let (path, lines) = (file.path.display(), lines.len());
            tracing::error!(%path, %error, lines, "the audit log cannot be written: lines are lost");
        }
        for done in flushed {
            let _ = done.send(());
        }
    }
}

/// A file that is renamed when it is full.
#[derive(Debug)]
struct Rotated {
    path: PathBuf,
    largest: u64,
    /// And its size.
    open: Option<(File, u64)>,
}

impl Rotated {
    fn append(&mut self, lines: &[String]) -> io::Result<()> {
        let written = lines.iter().try_for_each(|line| self.append_one(line));
        let written = written.and_then(|()| match &self.open {
            Some((file, _)) => file.sync_data(),
            None => Ok(()),
        });
        if written.is_err() {
            // Opened anew the next time: whatever is wrong may be right again.
            self.open = None;
        }
        written
    }

    fn append_one(&mut self, line: &str) -> io::Result<()> {
        let length = line.len() as u64 + 1;
        if let Some((file, size)) = &self.open
            && *size > 0
            && size + length > self.largest
        {
            file.sync_data()?;
            self.open = None;
            self.rotate()?;
        }
        let (file, size) = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(open(&self.path)?),
        };
        file.write_all(format!("{line}\n").as_bytes())?;
        *size += length;
        Ok(())
    }

    fn rotate(&self) -> io::Result<()> {
        let numbered = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..OLDER).rev() {
            match fs::rename(numbered(number), numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, numbered(1))
    }
}

/// Opens the file at its end. A line that a power cut has left unfinished is ended first.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let mut size = file.metadata()?.len();
    if size > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            size += 1;
        }
    }
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_file_is_renamed_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let mut file = Rotated { path: path.clone(), largest: 12, open: None };
        // Two fit into each.
        for number in 10..30 {
            file.append(&[format!("[{number}]")]).unwrap();
        }
        let expected: Vec<String> = std::iter::once(FILE.to_owned())
            .chain((1..=OLDER).map(|number| format!("{FILE}.{number}")))
            .collect();
        assert_eq!(names(dir.path()), expected);
        assert_eq!(fs::read_to_string(&path).unwrap(), "[28]\n[29]\n");
        let oldest = dir.path().join(format!("{FILE}.{OLDER}"));
        assert_eq!(fs::read_to_string(oldest).unwrap(), "[20]\n[21]\n");
        // One that is larger than a file has a file of its own.
        let long = "x".repeat(20);
        file.append(std::slice::from_ref(&long)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), long + "\n");
    }

    #[test]
    fn a_torn_line_is_ended_and_the_file_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        fs::write(&path, "{}\n{\"tor").unwrap();
        let mut file = Rotated { path: path.clone(), largest: 14, open: None };
        file.append(&["{}".into()]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n{\"tor\n{}\n");
        // And its size is known: the next one does not fit.
        file.append(&["{}".into()]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
    }

    #[tokio::test]
    async fn a_folder_that_comes_back_is_written_to_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        let audit = Audit::in_folder(&folder);
        audit.write("lost".into());
        audit.flush().await;
        fs::create_dir(&folder).unwrap();
        audit.write("kept".into());
        audit.flush().await;
        assert_eq!(fs::read_to_string(folder.join(FILE)).unwrap(), "kept\n");
    }
}
