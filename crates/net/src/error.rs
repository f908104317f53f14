//! What went wrong in the kernel, with what was tried.

use std::io;

use nix::errno::Errno;

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Something the kernel refused or answered strangely. The message says what was tried, on which
/// link or path and in which namespace, where that is not the caller's own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call or a netlink request failed.
    #[error("{tried}: {source}{}", explained(.detail))]
    Os {
        /// What was tried, as in "set link 7 (veth3) up".
        tried: String,
        /// The kernel's own explanation of a refused netlink request (its "extended ack").
        detail: Option<String>,
        /// The error number.
        source: io::Error,
    },
    /// The kernel did not answer a netlink request in time, or not in a form that can be read.
    #[error("{tried}: {seen}")]
    NoAnswer {
        /// What was tried.
        tried: String,
        /// What came instead of an answer.
        seen: String,
    },
}

fn explained(detail: &Option<String>) -> String {
    detail.as_ref().map(|text| format!(" (the kernel says: {text})")).unwrap_or_default()
}

impl Error {
    /// Wraps the error of a system call. `tried` says what was attempted and on what.
    pub(crate) fn os(tried: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Os { tried: tried.into(), detail: None, source: source.into() }
    }

    /// The error number (`errno`), if the kernel gave one.
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::Os { source, .. } => source.raw_os_error(),
            Self::NoAnswer { .. } => None,
        }
    }

    fn is_one_of(&self, candidates: &[Errno]) -> bool {
        self.raw_os_error().is_some_and(|raw| candidates.contains(&Errno::from_raw(raw)))
    }

    /// The thing to be made is there already (EEXIST).
    pub fn is_exists(&self) -> bool {
        self.is_one_of(&[Errno::EEXIST])
    }

    /// The link, address, route, entry, process or file is not there
    /// (ENODEV, ENOENT, ESRCH, EADDRNOTAVAIL, ENXIO).
    pub fn is_not_found(&self) -> bool {
        self.is_one_of(&[
            Errno::ENODEV,
            Errno::ENOENT,
            Errno::ESRCH,
            Errno::EADDRNOTAVAIL,
            Errno::ENXIO,
        ])
    }

    /// The thing is in use (EBUSY), or the address (EADDRINUSE).
    pub fn is_busy(&self) -> bool {
        self.is_one_of(&[Errno::EBUSY, Errno::EADDRINUSE])
    }

    /// The kernel takes no such thing, or not there (EINVAL).
    pub fn is_invalid(&self) -> bool {
        self.is_one_of(&[Errno::EINVAL])
    }

    /// The kernel has no such thing, or not for such a link (EOPNOTSUPP).
    pub fn is_unsupported(&self) -> bool {
        self.is_one_of(&[Errno::EOPNOTSUPP])
    }

    /// The process lacks a capability or the file system is read-only (EPERM, EACCES, EROFS).
    pub fn is_denied(&self) -> bool {
        self.is_one_of(&[Errno::EPERM, Errno::EACCES, Errno::EROFS])
    }

    /// The link is down (ENETDOWN): what a packet socket reports once when its link goes down
    /// or is removed.
    pub fn is_down(&self) -> bool {
        self.is_one_of(&[Errno::ENETDOWN])
    }

    /// The bridge has all the ports that the kernel allows, which are
    /// [`MOST_BRIDGE_PORTS`](crate::MOST_BRIDGE_PORTS) (EXFULL).
    pub fn is_bridge_full(&self) -> bool {
        self.is_one_of(&[Errno::EXFULL])
    }

    /// A queue was full, and the frame was dropped (EAGAIN, ENOBUFS).
    pub fn is_full(&self) -> bool {
        self.is_one_of(&[Errno::EAGAIN, Errno::ENOBUFS])
    }
}
