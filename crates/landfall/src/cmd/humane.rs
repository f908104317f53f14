//! Times as people read them.

use jiff::{SignedDuration, Timestamp};

/// How long until `then`: its two largest units, rounded down, such as `4m 12s`.
pub(super) fn until(then: Timestamp, now: Timestamp) -> String {
    duration(then.duration_since(now))
}

/// A length of time; "now" for none and for what is past.
pub(super) fn duration(length: SignedDuration) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut left = length.as_secs();
    let mut parts = Vec::new();
    for (size, unit) in UNITS {
        let count = left / size;
        if count > 0 || !parts.is_empty() {
            parts.push(format!("{count}{unit}"));
            left -= count * size;
        }
    }
    if left < 0 || parts.is_empty() {
        return "now".to_owned();
    }
    parts.truncate(2);
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units() {
        for (seconds, text) in [
            (i64::MIN, "now"),
            (-1, "now"),
            (0, "now"),
            (1, "1s"),
            (59, "59s"),
            (60, "1m 0s"),
            (252, "4m 12s"),
            (3_600, "1h 0m"),
            (7_199, "1h 59m"),
            (86_400, "1d 0h"),
            (31 * 86_400 + 3 * 3_600 + 59, "31d 3h"),
        ] {
            assert_eq!(duration(SignedDuration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn part_of_a_second_is_not_yet_over() {
        assert_eq!(duration(SignedDuration::from_millis(1_999)), "1s");
        assert_eq!(duration(SignedDuration::from_millis(900)), "now");
    }
}
