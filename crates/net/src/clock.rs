//! The clock that leases run on: time since boot, suspend included.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};

use crate::async_fd::Readable;
use crate::{Error, Result};

/// Time since boot, time in suspend included (CLOCK_BOOTTIME). A server's clock does not stop
/// while this machine sleeps, and CLOCK_MONOTONIC does.
pub fn boot_now() -> Duration {
    // The clock has been there since Linux 2.6.39 and cannot fail.
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .map(Duration::from)
        .unwrap_or_default()
}

/// Names this boot of the machine: times since boot mean nothing in another one.
///
/// # Errors
/// When `/proc` is not mounted.
pub fn boot_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(path).map_err(|e| Error::os(format!("read {path}"), e))?;
    Ok(text.trim().to_owned())
}

/// A timer on that clock. It does not wake the machine from suspend: it fires when that wakes.
#[derive(Debug)]
pub struct BootTimer {
    fd: Readable,
}

impl BootTimer {
    /// A timer that is not set, registered with the current tokio runtime.
    ///
    /// # Errors
    /// When no runtime is entered, or no descriptor is to be had.
    pub fn new() -> Result<Self> {
        let tried = "make a timer on CLOCK_BOOTTIME";
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer =
            TimerFd::new(ClockId::CLOCK_BOOTTIME, flags).map_err(|e| Error::os(tried, e))?;
        let fd = Readable::new(OwnedFd::from(timer)).map_err(|e| Error::os(tried, e))?;
        Ok(Self { fd })
    }

    /// Sets the timer to fire once at `when` (as [`boot_now`] counts; a time that has passed:
    /// at once), or not at all. What was set before is forgotten, even if it has fired and
    /// nobody has noticed.
    ///
    /// # Errors
    /// None in practice.
    pub fn set(&self, when: Option<Duration>) -> Result<()> {
        // Zero would mean "never".
        let value = when.map_or(Duration::ZERO, |when| when.max(Duration::from_nanos(1)));
        let zero = *TimeSpec::from_duration(Duration::ZERO).as_ref();
        let spec = libc::itimerspec {
            it_interval: zero,
            it_value: *TimeSpec::from_duration(value).as_ref(),
        };
        // SAFETY: `spec` is valid and outlives the call; no old value is asked for.
        let result = unsafe {
            libc::timerfd_settime(
                self.fd.as_raw_fd(),
                libc::TFD_TIMER_ABSTIME,
                &raw const spec,
                std::ptr::null_mut(),
            )
        };
        Errno::result(result)
            .map(drop)
            .map_err(|e| Error::os(format!("set a timer to {when:?}"), e))
    }

    /// Waits until the timer fires; for ever while it is not set. Nothing is lost when the future
    /// is dropped.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub async fn fired(&self) -> Result<()> {
        let tried = "wait for a timer";
        loop {
            let mut ready = self.fd.ready().await.map_err(|e| Error::os(tried, e))?;
            let mut times = [0; 8];
            // SAFETY: the buffer is 8 writable bytes, and outlives the call.
            let result =
                unsafe { libc::read(self.fd.as_raw_fd(), times.as_mut_ptr().cast(), times.len()) };
            match Errno::result(result) {
                Ok(_) => return Ok(()),
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(Errno::EINTR) => {}
                Err(e) => return Err(Error::os(tried, e)),
            }
        }
    }
}
