//! The wall clock, by which stored leases are judged after a reboot.

use jiff::{SignedDuration, Timestamp};

use super::report::{Finding, check};

/// 2025-01-01: no clock that shows the time of day is behind that.
const EARLIEST: i64 = 1_735_689_600;

/// Looks at this machine's.
pub(super) fn examine() -> Finding {
    judge(Timestamp::now(), net::boot_now().as_secs(), net::wall_clock_is_set())
}

/// `up`: seconds since boot. `set`: the kernel says that the clock is synchronised, or took the
/// time from a clock with a battery.
fn judge(now: Timestamp, up: u64, set: bool) -> Finding {
    const WHO: &str = "this host";
    // The time of day to the second; a boot longer ago than i64 holds is none.
    let to_second = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let up = SignedDuration::from_secs(i64::try_from(up).unwrap_or(i64::MAX));
    if now.as_second() < EARLIEST {
        return Finding::warning(check::CLOCK, WHO, format!("it says {to_second}: not set"))
            .advise(
                "`timedatectl set-ntp true`; leases are not known again after a reboot till then",
            );
    }
    if !set {
        let seen = format!("{to_second}, but neither synchronised nor set from a hardware clock");
        return Finding::note(check::CLOCK, WHO, seen).advise(
            "stored lease expiries are not trusted until it is: `timedatectl set-ntp true`",
        );
    }
    Finding::ok(check::CLOCK, WHO, format!("{to_second}, set; up {up:#}"))
}

#[cfg(test)]
mod tests {
    use super::super::report::Report;
    use super::*;

    #[test]
    fn what_is_said_of_a_clock() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let findings = vec![
            judge(time("2026-11-22T08:00:00.5Z"), 273_906, true),
            judge(time("2026-11-22T08:00:00Z"), 20, false),
            judge(time("1970-01-01T00:01:07Z"), 67, true),
            judge(time("2024-12-31T23:59:59Z"), 67, false),
        ];
        insta::assert_snapshot!(Report::new(findings).text());
    }
}
