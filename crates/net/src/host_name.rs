//! Changes of host names.

use std::fs::File;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::async_fd::register;
use crate::{Error, Result};

const PATH: &str = "/proc/sys/kernel/hostname";

/// Tells when some UTS namespace of this machine gets another host name.
///
/// Which one the kernel does not say (`uts_proc_notify()` wakes whoever polls the file, in any
/// namespace): whoever waits for a certain one looks there again.
#[derive(Debug)]
pub struct HostNameChanges(AsyncFd<OwnedFd>);

impl HostNameChanges {
    /// Watches from now on.
    ///
    /// # Errors
    /// When `/proc` is not mounted, or no runtime is entered.
    pub fn new() -> Result<Self> {
        let tried = || format!("watch {PATH}");
        let file = File::open(PATH).map_err(|e| Error::os(tried(), e))?;
        let fd = register(file.into(), Interest::PRIORITY);
        Ok(Self(fd.map_err(|e| Error::os(tried(), e))?))
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
