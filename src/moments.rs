//! Moments as people write them on a command line, by the clock on this machine's wall.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

/// The moment that `text` means, in microseconds since 1970: so long ago, a local day or time, or a time with its zone.
pub(crate) fn unix_us(text: &str) -> Result<i64, String> {
    moment(text, &Zoned::now()).map(Timestamp::as_microsecond).ok_or_else(|| {
        "a time is 30m, 2h or 7d ago, 2026-11-20, 2026-11-20T14:00 or 2026-11-20T14:00:00Z".to_owned()
    })
}

fn moment(text: &str, now: &Zoned) -> Option<Timestamp> {
    if let Some(ago) = ago(text) {
        return now.timestamp().checked_sub(ago).ok();
    }
    if let Ok(exactly) = text.parse::<Timestamp>() {
        return Some(exactly);
    }
    let local: DateTime = text.parse().ok()?;
    let zone: TimeZone = now.time_zone().clone();
    local.to_zoned(zone).ok().map(|zoned| zoned.timestamp())
}

/// `90s`, `30m`, `2h`, `7d`: a whole number and one unit.
fn ago(text: &str) -> Option<SignedDuration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let number: i64 = number.parse().ok().filter(|number| *number >= 0)?;
    number.checked_mul(seconds).map(SignedDuration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_understood_as_people_write_them() {
        let now: Zoned = "2026-11-20T14:30:00+02:00[+02:00]".parse().unwrap();
        for (text, means) in [
            ("30m", "2026-11-20T12:00:00Z"),
            ("2h", "2026-11-20T10:30:00Z"),
            ("7d", "2026-11-13T12:30:00Z"),
            ("90s", "2026-11-20T12:28:30Z"),
            ("2026-11-20", "2026-11-19T22:00:00Z"),
            ("2026-11-20 14:00", "2026-11-20T12:00:00Z"),
            ("2026-11-20T14:00:30", "2026-11-20T12:00:30Z"),
            ("2026-11-20T14:00:00Z", "2026-11-20T14:00:00Z"),
            ("2026-11-20T14:00:00+05:00", "2026-11-20T09:00:00Z"),
        ] {
            assert_eq!(moment(text, &now), Some(means.parse().unwrap()), "{text}");
        }
        for text in ["", "m", "-5m", "5 minutes", "yesterday", "2026-13-01", "ü", "99999999999999999d"] {
            assert_eq!(moment(text, &now), None, "{text}");
        }
    }
}
