//! File descriptors of ours on tokio's reactor.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// Owns a non-blocking descriptor and waits until it can be read.
#[derive(Debug)]
pub(crate) struct Readable(AsyncFd<OwnedFd>);

impl Readable {
    /// Registers the descriptor with the current tokio runtime.
    ///
    /// # Errors
    /// When the reactor's epoll refuses the descriptor, or no runtime is entered.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(io::Error::other("no tokio runtime is entered"));
        }
        // SAFETY: the descriptor is owned by the `OwnedFd` that moves into the `AsyncFd`, whose
        // raw descriptor never changes, so it stays open and ours until it is deregistered.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        fd.map(Self).map_err(io::Error::from)
    }

    /// Waits until the descriptor is readable.
    pub(crate) async fn ready(&self) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
        self.0.readable().await
    }

    /// Takes the descriptor off the reactor.
    pub(crate) fn into_inner(self) -> OwnedFd {
        self.0.into_inner()
    }
}

impl AsRawFd for Readable {
    fn as_raw_fd(&self) -> RawFd {
        self.0.get_ref().as_raw_fd()
    }
}
