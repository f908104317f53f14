//! The clock that leases run on: time since boot, suspend included.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
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

/// Whether the wall clock can be trusted to show the time of day: the kernel says that it is
/// synchronised (adjtimex(2)), or it was set from a clock that runs on a battery.
///
/// A machine without such a clock boots with the time of its last shutdown, or of 1970, and learns
/// better only once its network is up.
pub fn wall_clock_is_set() -> bool {
    // SAFETY: an all-zero `timex` is valid, plain data; with no modes set nothing is changed.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a `timex` that outlives the call.
    let synchronised =
        unsafe { libc::adjtimex(&raw mut state) } >= 0 && state.status & libc::STA_UNSYNC == 0;
    synchronised || set_from_hardware(Path::new("/sys/class/rtc"))
}

/// Whether the kernel took the time from one of these clocks when it started.
fn set_from_hardware(clocks: &Path) -> bool {
    let set = |clock: std::fs::DirEntry| {
        std::fs::read_to_string(clock.path().join("hctosys")).is_ok_and(|told| told.trim() == "1")
    };
    std::fs::read_dir(clocks).into_iter().flatten().flatten().any(set)
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
        set_once(self.fd.as_raw_fd(), libc::TFD_TIMER_ABSTIME, TimeSpec::from_duration(value))
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

/// Sets the timer behind that descriptor to fire once.
fn set_once(fd: RawFd, flags: libc::c_int, when: TimeSpec) -> nix::Result<()> {
    let never_again = TimeSpec::from_duration(Duration::ZERO);
    let spec = libc::itimerspec { it_interval: *never_again.as_ref(), it_value: *when.as_ref() };
    // SAFETY: `spec` is valid and outlives the call; no old value is asked for.
    let result = unsafe { libc::timerfd_settime(fd, flags, &raw const spec, std::ptr::null_mut()) };
    Errno::result(result).map(drop)
}

/// Tells when the machine wakes from suspend.
#[derive(Debug)]
pub struct Wakings {
    fd: Readable,
    /// For how long it had slept since its boot when that was looked at last.
    slept: Duration,
}

impl Wakings {
    /// Watches from now on, registered with the current tokio runtime. Costs nothing until then:
    /// the kernel cancels timers on the wall clock when it jumps, and when the machine wakes
    /// (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET).
    ///
    /// # Errors
    /// When no runtime is entered, or no descriptor is to be had.
    pub fn new() -> Result<Self> {
        let tried = "watch for the machine's waking";
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer =
            TimerFd::new(ClockId::CLOCK_REALTIME, flags).map_err(|e| Error::os(tried, e))?;
        let fd = OwnedFd::from(timer);
        // Never due.
        let never = TimeSpec::new(libc::time_t::MAX, 0);
        let flags = libc::TFD_TIMER_ABSTIME | libc::TFD_TIMER_CANCEL_ON_SET;
        set_once(fd.as_raw_fd(), flags, never).map_err(|e| Error::os(tried, e))?;
        let fd = Readable::new(fd).map_err(|e| Error::os(tried, e))?;
        Ok(Self { fd, slept: slept() })
    }

    /// Waits until the machine has slept, and tells for how long. Nothing is lost when the future is
    /// dropped.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub async fn next(&mut self) -> Result<Duration> {
        let tried = "wait for the machine's waking";
        loop {
            let mut ready = self.fd.ready().await.map_err(|e| Error::os(tried, e))?;
            let mut times = [0; 8];
            // SAFETY: the buffer is 8 writable bytes, and outlives the call.
            let result =
                unsafe { libc::read(self.fd.as_raw_fd(), times.as_mut_ptr().cast(), times.len()) };
            match Errno::result(result) {
                Err(Errno::EAGAIN) => ready.clear_ready(),
                // The clock was set, or the machine woke: then it has slept.
                Ok(_) | Err(Errno::ECANCELED | Errno::EINTR) => {}
                Err(e) => return Err(Error::os(tried, e)),
            }
            let slept = slept();
            let longer = slept.saturating_sub(self.slept);
            self.slept = slept;
            if longer >= A_SLEEP {
                return Ok(longer);
            }
        }
    }
}

/// The two clocks are not read at the same moment.
const A_SLEEP: Duration = Duration::from_secs(1);

/// For how long the machine has slept since its boot: what CLOCK_MONOTONIC does not count.
fn slept() -> Duration {
    let awake = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .map(Duration::from)
        .unwrap_or_default();
    boot_now().saturating_sub(awake)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_on_a_battery_tells_the_time_if_the_kernel_took_it() {
        let clocks = tempfile::tempdir().unwrap();
        assert!(!set_from_hardware(&clocks.path().join("nothing")));
        for (clock, told) in [("rtc0", "0\n"), ("rtc1", "1\n")] {
            assert!(!set_from_hardware(clocks.path()));
            std::fs::create_dir(clocks.path().join(clock)).unwrap();
            std::fs::write(clocks.path().join(clock).join("hctosys"), told).unwrap();
        }
        assert!(set_from_hardware(clocks.path()));
    }
}
