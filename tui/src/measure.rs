//! Text that fits: cells of a terminal, durations, times and counts as people read them.
//!
//! Widths are display cells, not characters: wide characters take two.

use dialect::Endpoint;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::look::Glyphs;

/// The cells that `text` takes.
pub(crate) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// `text` without what a terminal would obey or not show: control characters become blanks.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect()
}

/// `text` in at most `cells` cells; what is cut ends with the mark for it.
pub(crate) fn cut(text: &str, cells: usize, glyphs: &Glyphs) -> String {
    let text = plain(text);
    if width(&text) <= cells {
        return text;
    }
    let room = cells.saturating_sub(width(glyphs.cut));
    let mut kept = String::new();
    let mut used = 0;
    for sign in text.chars() {
        used += UnicodeWidthChar::width(sign).unwrap_or(0);
        if used > room {
            break;
        }
        kept.push(sign);
    }
    if cells > 0 {
        kept.push_str(glyphs.cut);
    }
    kept
}

/// `text` in exactly `cells` cells, at their left.
pub(crate) fn fit(text: &str, cells: usize, glyphs: &Glyphs) -> String {
    let mut text = cut(text, cells, glyphs);
    let missing = cells.saturating_sub(width(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// `text` in exactly `cells` cells, at their right.
pub(crate) fn fit_right(text: &str, cells: usize, glyphs: &Glyphs) -> String {
    let text = cut(text, cells, glyphs);
    let missing = cells.saturating_sub(width(&text));
    format!("{}{text}", " ".repeat(missing))
}

/// A short duration: `850ms`, `15.2s`, from ten minutes on `12:05`, from an hour on `2h05`.
pub(crate) fn elapsed_us(us: i64) -> String {
    let ms = us.max(0) / 1000;
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..600_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        600_000..3_600_000 => format!("{}:{:02}", ms / 60_000, ms / 1000 % 60),
        _ => format!("{}h{:02}", ms / 3_600_000, ms / 60_000 % 60),
    }
}

/// An age of minutes: `0:07`, `12:05`, `2h05`.
pub(crate) fn age_us(us: i64) -> String {
    let seconds = us.max(0) / 1_000_000;
    match seconds {
        ..3_600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}", seconds / 3600, seconds / 60 % 60),
    }
}

/// A wait in the queue: `7 ms`, `1.4 s`, `2:05 m`.
pub(crate) fn wait_us(us: u64) -> String {
    let ms = us / 1000;
    match ms {
        0..100 => format!("{ms} ms"),
        100..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{}:{:02} m", ms / 60_000, ms / 1000 % 60),
    }
}

/// A load time with its certainty: nothing seen, `1.4s*` for one or two loads, `1.4s` for more.
pub(crate) fn load(ms: f64, loads: u64, glyphs: &Glyphs) -> String {
    let star = match loads {
        0 => return glyphs.none.to_owned(),
        1 | 2 => "*",
        _ => "",
    };
    if ms < 1000.0 { format!("{:.0}ms{star}", ms.max(0.0)) } else { format!("{:.1}s{star}", ms / 1000.0) }
}

/// A speed in tokens per second without the unit: `12.3`; nothing known: the mark for it.
pub(crate) fn speed(per_second: f64, glyphs: &Glyphs) -> String {
    if per_second > 0.0 { format!("{per_second:.1}") } else { glyphs.none.to_owned() }
}

/// A count: as it is up to five digits, then `123k`, `12M`.
pub(crate) fn count(number: u64) -> String {
    match number {
        0..100_000 => number.to_string(),
        100_000..10_000_000 => format!("{}k", number / 1000),
        _ => format!("{}M", number / 1_000_000),
    }
}

/// The time of day, `14:03:59`.
pub(crate) fn clock(unix_us: i64, zone: &TimeZone) -> String {
    written(unix_us, zone, "%H:%M:%S")
}

/// Day and time, `2026-03-01 14:03:59`.
pub(crate) fn date(unix_us: i64, zone: &TimeZone) -> String {
    written(unix_us, zone, "%Y-%m-%d %H:%M:%S")
}

fn written(unix_us: i64, zone: &TimeZone, form: &str) -> String {
    match Timestamp::from_microsecond(unix_us) {
        Ok(time) => time.to_zoned(zone.clone()).strftime(form).to_string(),
        Err(_) => String::new(),
    }
}

/// The short word for an operation.
pub(crate) fn endpoint(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::ChatCompletions => "chat",
        Endpoint::Completions => "completions",
        Endpoint::Embeddings => "embeddings",
        Endpoint::Responses => "responses",
        Endpoint::Messages => "messages",
        other => other.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tui_06_a_load_time_says_how_sure_it_is() {
        let facts = [(0.0, 0, "—"), (0.0, 1, "0ms*"), (1400.0, 1, "1.4s*"), (1400.0, 2, "1.4s*")];
        for (ms, loads, text) in facts.into_iter().chain([(1400.0, 3, "1.4s"), (850.0, 10, "850ms")]) {
            assert_eq!(load(ms, loads, &Glyphs::UNICODE), text);
        }
        assert_eq!(load(0.0, 0, &Glyphs::ASCII), "-");
    }

    #[test]
    fn cells_are_counted_as_the_terminal_counts_them() {
        assert_eq!(fit("日本語", 5, &Glyphs::UNICODE), "日本…");
        assert_eq!(width(&fit("日本語", 4, &Glyphs::UNICODE)), 4);
        assert_eq!(fit("qwen", 6, &Glyphs::UNICODE), "qwen  ");
        assert_eq!(fit_right("qwen", 6, &Glyphs::UNICODE), "  qwen");
        assert_eq!(cut("qwen2.5", 4, &Glyphs::ASCII), "qwe>");
        assert_eq!(cut("qwen", 0, &Glyphs::UNICODE), "");
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_passed_on() {
        assert_eq!(cut("a\u{1b}[31mb\nc", 20, &Glyphs::UNICODE), "a [31mb c");
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        assert_eq!([850_000, 15_240_000].map(elapsed_us), ["850ms", "15.2s"]);
        assert_eq!([725_000_000, 7_500_000_000].map(elapsed_us), ["12:05", "2h05"]);
        assert_eq!([99_000, 1_400_000, 125_000_000].map(wait_us), ["99 ms", "1.4 s", "2:05 m"]);
        assert_eq!([7_000_000, 7_500_000_000].map(age_us), ["0:07", "2h05"]);
        assert_eq!([99_999, 123_456, 12_345_678].map(count), ["99999", "123k", "12M"]);
    }

    #[test]
    fn times_are_local() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(date(0, &zone), "1970-01-01 02:00:00");
        assert_eq!(clock(0, &zone), "02:00:00");
    }
}
