//! File descriptors of ours on tokio's reactor.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// Registers a descriptor with the current tokio runtime.
///
/// # Errors
/// When no runtime is entered, or the reactor's epoll refuses the descriptor.
pub(crate) fn register(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(io::Error::other("no tokio runtime is entered"));
    }
    // SAFETY: the descriptor is owned by the `OwnedFd` that moves into the `AsyncFd`, and an
    // `OwnedFd` never changes its descriptor: it stays open and ours until it is deregistered.
    let fd = unsafe { AsyncFd::register_with_interest(fd, interest) };
    fd.map_err(io::Error::from)
}

/// Owns a non-blocking descriptor and waits until it can be read.
///
/// An error that waits to be read counts too: tokio does not wake for one by itself, and "the link
/// went down" or "notices were lost" comes without data.
#[derive(Debug)]
pub(crate) struct Readable(AsyncFd<OwnedFd>);

impl Readable {
    const INTEREST: Interest = Interest::READABLE.add(Interest::ERROR);

    /// Registers the descriptor with the current tokio runtime.
    ///
    /// # Errors
    /// As [`register`].
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        register(fd, Self::INTEREST).map(Self)
    }

    /// Waits until there is something to read, or an error.
    pub(crate) async fn ready(&self) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
        self.0.ready(Self::INTEREST).await
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
