//! Sockets that systemd listens on in this process's place (sd_listen_fds(3)).

use std::env;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// The first that is handed over; the others follow it.
const FIRST: RawFd = 3;

/// The listening unix sockets that this process was started with. Each is given once: a second call finds none.
pub fn unix_listeners() -> Vec<UnixListener> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let number = |name| env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    // What is meant for a parent of this process is not for this one.
    let ours = number("LISTEN_PID") == Some(process::id());
    let count = number("LISTEN_FDS").and_then(|count| RawFd::try_from(count).ok());
    let Some(count) = count.filter(|_| ours && !TAKEN.swap(true, Ordering::Relaxed)) else {
        return Vec::new();
    };
    (FIRST..FIRST.saturating_add(count)).map_while(take).filter_map(as_listener).collect()
}

fn take(descriptor: RawFd) -> Option<OwnedFd> {
    // SAFETY: fcntl(2) with F_GETFD only looks.
    if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } == -1 {
        return None;
    }
    // SAFETY: it is open, as just seen, and by the protocol nobody's but of whom takes it, which `TAKEN` lets happen once.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // Failure would only hand it on to programs that this process starts.
    let _ = fcntl(&descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
    Some(descriptor)
}

fn as_listener(descriptor: OwnedFd) -> Option<UnixListener> {
    let listener = UnixListener::from(descriptor);
    // Not of another family.
    listener.local_addr().ok()?;
    listener.set_nonblocking(true).ok()?;
    Some(listener)
}
