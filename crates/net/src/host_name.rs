//! Changes of host names.

use std::fs::File;
use std::io;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::{Error, Result};

const PATH: &str = "/proc/sys/kernel/hostname";

/// Tells when some UTS namespace of this machine gets another host name.
///
/// Which one the kernel does not say (`uts_proc_notify()` wakes whoever polls the file, in any
/// namespace): whoever waits for a certain one looks there again.
#[derive(Debug)]
pub struct HostNameChanges(AsyncFd<File>);

impl HostNameChanges {
    /// Watches from now on.
    ///
    /// # Errors
    /// When `/proc` is not mounted, or no runtime is entered.
    pub fn new() -> Result<Self> {
        let tried = || format!("watch {PATH}");
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Error::os(tried(), io::Error::other("no tokio runtime is entered")));
        }
        let file = File::open(PATH).map_err(|e| Error::os(tried(), e))?;
        // SAFETY: the descriptor is owned by the `File` that moves into the `AsyncFd`, which
        // closes it only after it was deregistered.
        let fd = unsafe { AsyncFd::register_with_interest(file, Interest::PRIORITY) };
        Ok(Self(fd.map_err(|e| Error::os(tried(), io::Error::from(e)))?))
    }

    /// Waits for the next change. Nothing is lost when the future is dropped; several changes in
    /// a row may show as one.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub async fn changed(&mut self) -> Result<()> {
        let ready = self.0.ready(Interest::PRIORITY).await;
        ready.map_err(|e| Error::os(format!("wait for {PATH}"), e))?.clear_ready();
        Ok(())
    }
}
