//! The only place that prints: the table as markdown, the figures as JSON, progress.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::book::{Book, Budget, ROWS, Reading, Row, Verdict};
use crate::measure::Scale;
use crate::target::Side;
use crate::trouble::Trouble;

/// Prints a line that is a result.
#[expect(clippy::print_stdout, reason = "the benchmark's results go to standard output, from here alone")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Prints a line that says how far it has come, or what is wrong.
#[expect(clippy::print_stderr, reason = "progress goes to standard error, from here alone")]
pub(crate) fn note(line: &str) {
    eprintln!("{line}");
}

/// The circumstances of a run.
pub(crate) struct Setting {
    /// The command that repeats it.
    pub(crate) command: String,
    /// Cores of the machine.
    pub(crate) cores: usize,
    /// The kernel.
    pub(crate) kernel: String,
    /// What `--version` of each program says.
    pub(crate) programs: Vec<String>,
    /// How long and how often.
    pub(crate) scale: Scale,
}

/// The table, the notes and the command that repeats the run, as markdown.
pub(crate) fn markdown(book: &Book, setting: &Setting) -> String {
    let heads = ["figure", "budget", "direct", "nginx", "proxylm", "spread (min–max)", ""];
    let mut lines = vec![heads.map(str::to_owned)];
    lines.extend(ROWS.iter().map(|row| line(book, *row)));
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| lines.iter().map(|line| width(&line[column])).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (index, cells) in lines.iter().enumerate() {
        push_line(&mut text, cells, &widths);
        if index == 0 {
            let rule: Vec<String> =
                widths.iter().enumerate().map(|(column, width)| rule(column, *width)).collect();
            push_line(&mut text, &rule, &widths);
        }
    }
    let rounds = setting.scale.rounds;
    let _ = write!(
        text,
        "\nMedians of {rounds} interleaved rounds; the spread is proxylm's. A + is beyond direct in the same round. \
         {} cores, Linux {}; {}.\n\nRepeat: `{}`\n",
        setting.cores,
        setting.kernel,
        setting.programs.join(", "),
        setting.command
    );
    for (name, parts) in &book.parts {
        let parts: Vec<String> = parts.iter().map(|(part, value)| format!("{part} {value:.1}")).collect();
        let _ = write!(text, "\n- {name}, by process: {}", parts.join(", "));
    }
    for note in &book.notes {
        let _ = write!(text, "\n- {note}");
    }
    for failure in &book.failures {
        let _ = write!(text, "\n- failed: {failure}");
    }
    text
}

fn line(book: &Book, row: Row) -> [String; 7] {
    let cell = |side| book.value(row, side).map_or("–".to_owned(), |value| shown(row, side, value));
    let budget = match row.budget {
        Some(Budget::AtMost(most)) => format!("≤ {most}"),
        Some(Budget::AtLeast(least)) => format!("≥ {least}"),
        None => String::new(),
    };
    let spread = book.spread(row, Side::Proxylm).filter(|(least, most)| least < most);
    let spread = spread.map_or(String::new(), |(least, most)| format!("{least:.0$}–{most:.0$}", row.digits));
    let verdict = match book.verdict(row) {
        Verdict::Pass => "PASS",
        Verdict::Over => "over",
        Verdict::Unmeasured => "not measured",
        Verdict::None => "",
    };
    let [direct, nginx, proxylm] = Side::ALL.map(cell);
    [row.name.to_owned(), budget, direct, nginx, proxylm, spread, verdict.to_owned()]
}

fn shown(row: Row, side: Side, value: f64) -> String {
    match row.reading {
        Reading::Added if side != Side::Direct => format!("{value:+.0$}", row.digits),
        _ => format!("{value:.0$}", row.digits),
    }
}

fn rule(column: usize, width: usize) -> String {
    let figures = (1..=5).contains(&column);
    format!("{}{}", "-".repeat(width - 1), if figures { ":" } else { "-" })
}

fn push_line(text: &mut String, cells: &[String], widths: &[usize]) {
    for (column, (cell, wide)) in cells.iter().zip(widths).enumerate() {
        let padding = " ".repeat(wide - width(cell));
        let (before, after) = if column == 0 || column == 6 { ("", &*padding) } else { (&*padding, "") };
        let _ = write!(text, "| {before}{cell}{after} ");
    }
    text.push_str("|\n");
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Writes everything measured, every round, to a file.
pub(crate) fn write_json(path: &Path, book: &Book, setting: &Setting) -> Result<(), Trouble> {
    let rows: Vec<Value> = ROWS.iter().map(|row| row_json(book, *row)).collect();
    let all = json!({
        "command": setting.command,
        "cores": setting.cores,
        "kernel": setting.kernel,
        "programs": setting.programs,
        "rounds": setting.scale.rounds,
        "rows": rows,
        "parts": book.parts,
        "notes": book.notes,
        "failures": book.failures,
    });
    std::fs::write(path, serde_json::to_string_pretty(&all)? + "\n")?;
    Ok(())
}

fn row_json(book: &Book, row: Row) -> Value {
    let sides: serde_json::Map<String, Value> = Side::ALL
        .into_iter()
        .map(|side| {
            let figures = json!({ "median": book.value(row, side), "rounds": book.values(row, side) });
            (side.as_str().to_owned(), figures)
        })
        .collect();
    json!({
        "figure": row.name,
        "reading": match row.reading {
            Reading::Plain => "plain",
            Reading::Added => "added to direct",
            Reading::TimesNginx => "times nginx",
        },
        "at_most": match row.budget { Some(Budget::AtMost(most)) => Some(most), _ => None },
        "at_least": match row.budget { Some(Budget::AtLeast(least)) => Some(least), _ => None },
        "verdict": match book.verdict(row) {
            Verdict::Pass => Some("pass"),
            Verdict::Over => Some("over"),
            Verdict::Unmeasured => Some("not measured"),
            Verdict::None => None,
        },
        "sides": sides,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Metric;

    #[test]
    fn the_table_shows_values_budgets_and_verdicts() {
        let mut book = Book::default();
        book.keep(Metric::LatencyHalf, Side::Direct, 0, 100.0);
        book.keep(Metric::LatencyHalf, Side::Proxylm, 0, 350.0);
        book.notes.push("nginx: skipped".to_owned());
        let setting = Setting {
            command: "cargo run".to_owned(),
            cores: 2,
            kernel: "6".to_owned(),
            programs: vec!["proxylm 0".to_owned()],
            scale: Scale::QUICK,
        };
        let text = markdown(&book, &setting);
        let line = text.lines().find(|line| line.contains("latency p50")).expect("a row");
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        assert_eq!(cells, ["", "latency p50 added at 50/s, µs", "≤ 400", "100", "–", "+250", "", "PASS", ""]);
        assert!(text.contains("- nginx: skipped"));
        let widths: Vec<usize> =
            text.lines().filter(|line| line.starts_with('|')).map(|line| line.chars().count()).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
