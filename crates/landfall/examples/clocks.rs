//! Clocks of a test's own. The machine's are everybody's, so this library is laid before the C library of a daemon
//! (`LD_PRELOAD`) and answers in its place; the daemon is the one that is shipped.
//!
//! `LAB_CLOCKS` names a FIFO. Each line in it is `WALL SLEPT`, in seconds: the wall clock is set forward by WALL, and the
//! machine has slept for SLEPT. That does what the kernel does: a timer on CLOCK_BOOTTIME that came due meanwhile fires,
//! and so does one that is to be cancelled when the wall clock jumps. Then the line is said on stderr.

#![allow(unsafe_code)] // it stands between a program and the kernel

use std::fs;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use nix::libc::{
    CLOCK_BOOTTIME, CLOCK_REALTIME, CLOCK_REALTIME_COARSE, SYS_clock_gettime, SYS_timerfd_create,
    SYS_timerfd_gettime, SYS_timerfd_settime, TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET, c_int,
    clockid_t, itimerspec, syscall, timespec,
};

/// By how much each clock is ahead of the machine's, in seconds.
static WALL: AtomicI64 = AtomicI64::new(0);
static SLEPT: AtomicI64 = AtomicI64::new(0);
static TIMERS: Mutex<Vec<Timer>> = Mutex::new(Vec::new());

struct Timer {
    fd: c_int,
    clock: clockid_t,
    /// Whether it tells of a wall clock that jumps.
    watches: bool,
}

/// In the place of the C library's.
///
/// # Safety
/// As that one's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    // SAFETY: the caller's pointer, for the kernel to check.
    let result = unsafe { syscall(SYS_clock_gettime, clock, time) };
    let ahead = match clock {
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE => &WALL,
        CLOCK_BOOTTIME => &SLEPT,
        _ => return result as c_int,
    };
    if result == 0 {
        // SAFETY: the kernel has written there.
        unsafe { (*time).tv_sec += ahead.load(Ordering::SeqCst) };
    }
    result as c_int
}

/// In the place of the C library's.
#[unsafe(no_mangle)]
pub extern "C" fn timerfd_create(clock: clockid_t, flags: c_int) -> c_int {
    static LISTENER: Once = Once::new();
    LISTENER.call_once(|| drop(thread::spawn(listen)));
    // SAFETY: no pointers.
    let fd = unsafe { syscall(SYS_timerfd_create, clock, flags) } as c_int;
    let mut timers = timers();
    timers.retain(|timer| timer.fd != fd);
    timers.push(Timer { fd, clock, watches: false });
    fd
}

/// In the place of the C library's.
///
/// # Safety
/// As that one's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn timerfd_settime(
    fd: c_int,
    flags: c_int,
    new: *const itimerspec,
    old: *mut itimerspec,
) -> c_int {
    // No clock moves meanwhile.
    let mut timers = timers();
    // SAFETY: the caller's, who wants it read.
    let mut new = unsafe { *new };
    if let Some(timer) = timers.iter_mut().find(|timer| timer.fd == fd) {
        timer.watches = flags & TFD_TIMER_CANCEL_ON_SET != 0;
        if timer.clock == CLOCK_BOOTTIME && flags & TFD_TIMER_ABSTIME != 0 {
            earlier(&mut new.it_value, SLEPT.load(Ordering::SeqCst));
        }
    }
    // SAFETY: `new` outlives the call, and `old` is the caller's.
    (unsafe { syscall(SYS_timerfd_settime, fd, flags, &raw const new, old) }) as c_int
}

fn timers() -> MutexGuard<'static, Vec<Timer>> {
    TIMERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Brings a time that is set forward: to the first moment there is, if it has passed.
fn earlier(time: &mut timespec, seconds: i64) {
    if (time.tv_sec, time.tv_nsec) == (0, 0) {
        return;
    }
    time.tv_sec -= seconds;
    if time.tv_sec < 0 || (time.tv_sec, time.tv_nsec) == (0, 0) {
        *time = timespec { tv_sec: 0, tv_nsec: 1 };
    }
}

fn listen() {
    let Ok(fifo) = std::env::var("LAB_CLOCKS") else { return };
    while let Ok(lines) = fs::read_to_string(&fifo) {
        for line in lines.lines() {
            let mut numbers = line.split(' ').map(|number| number.parse::<i64>());
            if let (Some(Ok(wall)), Some(Ok(slept))) = (numbers.next(), numbers.next()) {
                jump(wall, slept);
            }
            eprintln!("clocks: {line}");
        }
    }
}

fn jump(wall: i64, slept: i64) {
    let timers = timers();
    WALL.fetch_add(wall + slept, Ordering::SeqCst);
    SLEPT.fetch_add(slept, Ordering::SeqCst);
    for Timer { fd, clock, watches } in timers.iter() {
        let zero = timespec { tv_sec: 0, tv_nsec: 0 };
        let mut spec = itimerspec { it_interval: zero, it_value: zero };
        match *clock {
            CLOCK_BOOTTIME => {
                // SAFETY: `spec` is writable and outlives the call. A descriptor that is no timer's any more is an error.
                unsafe { syscall(SYS_timerfd_gettime, *fd, &raw mut spec) };
                if (spec.it_value.tv_sec, spec.it_value.tv_nsec) == (0, 0) {
                    // Not set; or it has fired and nobody has noticed yet, which would be forgotten.
                    continue;
                }
                earlier(&mut spec.it_value, slept);
            }
            _ if *watches => spec.it_value.tv_nsec = 1,
            _ => continue,
        }
        // SAFETY: `spec` outlives the call; no old value is asked for.
        unsafe {
            syscall(
                SYS_timerfd_settime,
                *fd,
                0,
                &raw const spec,
                std::ptr::null_mut::<itimerspec>(),
            )
        };
    }
}
