//! Network namespaces, held by descriptor and entered only on throw-away threads.
//!
//! A thread that has changed its namespace is never given back to anyone: it does its one job and
//! ends (or goes home, if it is the one that makes [short visits](crate::visit)). So a tokio worker
//! cannot run a task in the wrong place. What is opened in a namespace
//! (sockets, files under `/proc/sys/net`) stays there, and is used from anywhere afterwards.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Pid, chroot};
use tokio::sync::{Semaphore, oneshot};

use crate::{Error, Result};

/// One network namespace. It lives at least as long as this handle, whatever becomes of its
/// processes and names.
#[derive(Debug, Clone)]
pub struct Netns {
    fd: Arc<OwnedFd>,
}

impl Netns {
    /// The namespace of the calling thread.
    ///
    /// # Errors
    /// When `/proc` is not mounted.
    pub fn current() -> Result<Self> {
        Self::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// The namespace named by a file: `/run/docker/netns/…` (Docker's `SandboxKey`),
    /// `/run/netns/…`, `/proc/<pid>/ns/net`.
    ///
    /// # Errors
    /// When the file cannot be opened. A file that is no network namespace is noticed when it is
    /// entered.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)
            .map_err(|e| Error::os(format!("open network namespace {}", path.display()), e))?;
        Ok(Self::from_fd(file.into()))
    }

    /// The same by an absolute path as process `pid` sees it, whose root and mounts may be others:
    /// a symbolic link on the way (`/var/run`) leads where it leads for that process.
    ///
    /// # Errors
    /// As [`Netns::open`]; EPERM without CAP_SYS_CHROOT, EACCES for a process with more rights than
    /// ours without CAP_SYS_PTRACE.
    pub fn open_as_seen_by(pid: Pid, path: &Path) -> Result<Self> {
        on_throw_away_thread(|| {
            let root = format!("/proc/{pid}/root");
            unshare(CloneFlags::CLONE_FS)
                .and_then(|()| chroot(root.as_str()))
                .map_err(|e| Error::os(format!("look from {root}"), e))?;
            Self::open(path)
        })?
    }

    /// A new namespace without a name: it goes when the last handle, socket and process in it
    /// have gone. Its `lo` is up.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_ADMIN.
    pub fn create() -> Result<Self> {
        on_throw_away_thread(|| {
            unshare_here()?;
            Self::current()
        })?
    }

    pub(crate) fn from_fd(fd: OwnedFd) -> Self {
        Self { fd: Arc::new(fd) }
    }

    /// The inode number on nsfs, by which the kernel and its tools name the namespace:
    /// `net:[4026531840]`.
    ///
    /// # Errors
    /// None in practice: `fstat` of an open descriptor.
    #[allow(clippy::useless_conversion, reason = "it is another type on 32 bits")]
    pub fn inode(&self) -> Result<u64> {
        let stat = nix::sys::stat::fstat(self.fd.as_fd())
            .map_err(|e| Error::os("fstat of a network namespace", e))?;
        Ok(u64::from(stat.st_ino))
    }

    /// Runs `f` inside the namespace, on a thread that ends with it, and waits for it.
    ///
    /// Costs about 0.1 ms. A tokio runtime that is entered here is entered there too, so that
    /// sockets opened in `f` register with it; `f` must not block on a future.
    ///
    /// # Errors
    /// When the thread cannot be made, or the namespace cannot be entered (EPERM; EINVAL when the
    /// file is no network namespace). A panic in `f` goes on in the caller.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T> {
        on_throw_away_thread(|| {
            self.enter()?;
            Ok(f())
        })?
    }
}

impl Netns {
    /// [`Netns::run`] for work that takes milliseconds: the caller waits without holding up its
    /// runtime. The work is done to its end even if the future is dropped.
    pub(crate) async fn run_long<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        // Threads that wait for the kernel cost little, but not nothing.
        static AT_ONCE: Semaphore = Semaphore::const_new(32);
        // Never closed, so there is nothing to acquire in vain.
        let turn = AT_ONCE.acquire().await;
        let (sender, receiver) = oneshot::channel();
        let netns = self.clone();
        std::thread::Builder::new()
            .name("netns".into())
            .spawn(move || {
                let _turn = turn;
                let entered = netns.enter();
                let _ = sender.send(entered.map(|()| f()));
            })
            .map_err(|e| Error::os("start a thread for another namespace", e))?;
        receiver.await.map_err(|_| Error::NoAnswer {
            tried: format!("work in {self}"),
            seen: "the thread panicked".to_owned(),
        })?
    }

    /// Puts the calling thread, which must be nobody else's, into the namespace.
    pub(crate) fn enter(&self) -> Result<()> {
        setns(&*self.fd, CloneFlags::CLONE_NEWNET)
            .map_err(|e| Error::os(format!("enter {self}"), e))
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl std::fmt::Display for Netns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.inode() {
            Ok(inode) => write!(f, "network namespace {inode}"),
            Err(_) => write!(f, "network namespace on descriptor {}", self.fd.as_raw_fd()),
        }
    }
}

/// Runs `f` on a thread of its own and waits; whatever `f` does to its thread ends with it.
pub(crate) fn on_throw_away_thread<T: Send>(f: impl FnOnce() -> T + Send) -> Result<T> {
    let runtime = tokio::runtime::Handle::try_current().ok();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("netns".into())
            .spawn_scoped(scope, move || {
                let _entered = runtime.as_ref().map(|runtime| runtime.enter());
                f()
            })
            .map_err(|e| Error::os("start a thread for another namespace", e))?;
        thread.join().map_err(|panic| std::panic::resume_unwind(panic))
    })
}

/// Starts a thread that stays, in the process's own network namespace: a new thread begins in that
/// of its maker, and would keep it alive.
pub(crate) fn spawn_at_home(name: &str, f: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let work = move || {
        // The namespace of the process's first thread, which nothing here ever changes.
        let home = Netns::open(Path::new("/proc/self/ns/net")).and_then(|home| home.enter());
        if let Err(error) = home {
            tracing::debug!(%error, "a thread stays in the namespace it was made in");
        }
        f();
    };
    std::thread::Builder::new().name(name.into()).spawn(work).map(drop)
}

/// Puts the calling (throw-away) thread into a new network namespace with `lo` up.
pub(crate) fn unshare_here() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|e| Error::os("make a network namespace (needs CAP_SYS_ADMIN)", e))?;
    set_loopback_up().map_err(|e| Error::os("set lo up in a new network namespace", e))
}

fn set_loopback_up() -> nix::Result<()> {
    let socket = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet,
        nix::sys::socket::SockType::Datagram,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // SAFETY: an all-zero `ifreq` is valid, plain data.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        // A `char` of C has a sign on some architectures.
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    let flags = libc::IFF_UP | libc::IFF_LOOPBACK | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags = i16::try_from(flags).unwrap_or(libc::IFF_UP as i16);
    // SAFETY: the request is a valid `ifreq` that outlives the call, as SIOCSIFFLAGS wants it.
    // The cast is for musl, whose request numbers have another type.
    let result = unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as libc::Ioctl, &raw mut request)
    };
    nix::errno::Errno::result(result).map(drop)
}
