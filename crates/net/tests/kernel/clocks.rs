//! The boot clock and its timer.

use std::future::Future;
use std::time::Duration;

use net::{BootTimer, boot_id, boot_now};

/// These need no namespace, only a runtime.
fn with_runtime<F: Future<Output = ()>>(body: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(20), body()).await.expect("the timer never fires");
    });
}

#[test]
fn the_clock_is_the_one_that_uptime_shows() {
    let before = boot_now();
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let after = boot_now();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    // It has two decimals, cut off.
    assert!(before.as_secs_f64() - 0.01 <= uptime && uptime <= after.as_secs_f64());
}

#[test]
fn the_boot_id_is_a_uuid_and_stays() {
    let id = boot_id().unwrap();
    assert_eq!(id.len(), 36, "{id:?}");
    assert!(id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()), "{id:?}");
    assert_eq!(boot_id().unwrap(), id);
}

#[test]
fn a_timer_fires_at_its_time_and_once() {
    with_runtime(|| async {
        let timer = BootTimer::new().unwrap();
        let when = boot_now() + Duration::from_millis(30);
        timer.set(Some(when)).unwrap();
        timer.fired().await.unwrap();
        assert!(boot_now() >= when);
        // Now it is not set: a later tokio timer wins against it.
        tokio::select! {
            _ = timer.fired() => panic!("it fires again"),
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    });
}

#[test]
fn a_time_that_has_passed_fires_at_once() {
    with_runtime(|| async {
        let timer = BootTimer::new().unwrap();
        for when in [boot_now(), Duration::from_secs(1), Duration::ZERO] {
            timer.set(Some(when)).unwrap();
            timer.fired().await.unwrap();
        }
    });
}

#[test]
fn setting_a_timer_forgets_what_it_was_set_to() {
    with_runtime(|| async {
        let timer = BootTimer::new().unwrap();
        let soon = boot_now() + Duration::from_millis(20);
        timer.set(Some(soon)).unwrap();
        timer.set(None).unwrap();
        let other = BootTimer::new().unwrap();
        other.set(Some(soon + Duration::from_millis(30))).unwrap();
        tokio::select! {
            _ = timer.fired() => panic!("it was unset"),
            fired = other.fired() => fired.unwrap(),
        }
        // Expired, and nobody has looked: forgotten as well.
        timer.set(Some(Duration::from_secs(1))).unwrap();
        let late = boot_now() + Duration::from_millis(40);
        timer.set(Some(late)).unwrap();
        timer.fired().await.unwrap();
        assert!(boot_now() >= late);
    });
}

#[test]
fn a_waiting_task_sees_the_timer_being_set() {
    with_runtime(|| async {
        let timer = std::sync::Arc::new(BootTimer::new().unwrap());
        let waiting = tokio::spawn({
            let timer = timer.clone();
            async move { timer.fired().await.unwrap() }
        });
        tokio::task::yield_now().await;
        timer.set(Some(boot_now() + Duration::from_millis(10))).unwrap();
        waiting.await.unwrap();
    });
}

#[test]
fn without_a_runtime_there_is_no_timer_but_an_error() {
    let error = BootTimer::new().unwrap_err();
    assert!(error.to_string().contains("no tokio runtime"), "{error}");
}
