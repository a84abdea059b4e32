//! `proxylm replay`: a record of scheduling played again, and what other rules would have done with the same requests.

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;

use supervisor::record::{Decision, Record, Reproduction, reproduce};
use supervisor::scheduler::catalog::{Knobs, Strategy};
use supervisor::simulation::{Figures, Instance, Setting, run};

use crate::cli::Replay;
use crate::report::{self, Failure};

/// Plays the record again and prints what came of it.
pub(crate) fn play(arguments: &Replay) -> Result<(), Failure> {
    let file = File::open(&arguments.file).map_err(|error| {
        Failure::new(format!("cannot open {}: {error}", arguments.file.display()), report::FAILED)
    })?;
    let record = Record::read(BufReader::new(file)).map_err(|error| {
        Failure::of(&error, report::FAILED).with_hint("name a file that scheduler.record made".to_owned())
    })?;
    let catalog = &record.header.catalog;
    let mut other = Setting::new(arguments.strategy.unwrap_or(catalog.strategy)).unaudited();
    other.knobs = catalog.knobs;
    for change in &arguments.set {
        set(&mut other.knobs, change).map_err(|wrong| Failure::new(wrong, report::WRONG_USAGE))?;
    }
    let reproduction = reproduce(&record);
    report::say(&told(&record, &reproduction));
    let is_asked_for_more = arguments.strategy.is_some() || !arguments.set.is_empty();
    if is_asked_for_more {
        let recorded = Setting { strategy: catalog.strategy, knobs: catalog.knobs, ..other.clone() };
        report::say(&side_by_side(&record, &recorded, &other)?);
        return Ok(());
    }
    if reproduction.parting.is_some() && record.lost() == 0 {
        return Err(Failure::new("the decisions were not the same", report::FAILED));
    }
    Ok(())
}

/// Says how far the record was reproduced.
fn told(record: &Record, reproduction: &Reproduction) -> String {
    let Reproduction { recorded, reproduced, parting } = reproduction;
    let strategy = record.header.catalog.strategy.as_str();
    let mut text = match parting {
        None => format!("{strategy}: all {recorded} decisions were made again."),
        Some((old, new)) => format!(
            "{strategy}: {reproduced} of {recorded} decisions were made again; then\n  recorded: {}\n  now:      {}",
            described(record, old.as_ref()),
            described(record, new.as_ref())
        ),
    };
    if record.lost() > 0 {
        let _ = write!(text, "\n{} entries are missing in the record.", record.lost());
    }
    text
}

fn described(record: &Record, decision: Option<&Decision>) -> String {
    let Some(decision) = decision else { return "nothing more".to_owned() };
    let backend = record.header.catalog.backends.get(&decision.backend);
    let name = backend.map_or("a backend that is not known", |backend| backend.name.as_str());
    let seconds = std::time::Duration::from_micros(decision.at.0).as_secs_f64();
    format!("{seconds:.3} s: request {} to {name}, {}", decision.request, decision.reason)
}

/// The figures of two settings on the instance that the record makes.
fn side_by_side(record: &Record, recorded: &Setting, other: &Setting) -> Result<String, Failure> {
    let instance = Instance::recorded(record)
        .ok_or_else(|| Failure::new("no request came in the time of the record", report::FAILED))?;
    let mut rows = Vec::new();
    for (name, setting) in [("recorded", recorded), ("other", other)] {
        let course = run(&instance, setting).map_err(|wrong| Failure::new(wrong, report::FAILED))?;
        let figures = Figures::of(&instance, &course);
        let seconds = |value: f64| format!("{value:.2} s");
        rows.push(vec![
            format!("{name}: {}", setting.strategy.as_str()),
            seconds(figures.wait),
            seconds(figures.p95),
            seconds(figures.max),
            seconds(figures.flow),
            format!("{:.0}", figures.loads),
            format!("{:.3}", figures.jain),
            format!("{:.0}", figures.failed + figures.cancelled),
        ]);
    }
    let heads = ["rules", "mean wait", "p95", "longest", "mean time", "swaps", "fairness", "unanswered"];
    let requests = instance.requests.len();
    Ok(format!(
        "\n{requests} requests in a simulated world, on servers as fast as the recorded ones were:\n\n{}",
        report::table(&heads, rows)
    ))
}

/// Changes the number that `change`, such as `scheduler.max_wait=30`, names.
fn set(knobs: &mut Knobs, change: &str) -> Result<(), String> {
    let (key, value) = change.split_once('=').ok_or_else(|| format!("{change:?} is not KEY=VALUE"))?;
    let wrong = || format!("{value:?} is no value for {key}");
    let number = || value.parse::<f64>().ok().filter(|it| it.is_finite() && *it >= 0.0).ok_or_else(wrong);
    let count = || value.parse::<u32>().map_err(|_| wrong());
    match key.strip_prefix("scheduler.").unwrap_or(key) {
        "max_wait" if value == "off" => knobs.max_wait_ms = None,
        "max_wait" => {
            let wait = std::time::Duration::try_from_secs_f64(number()?).map_err(|_| wrong())?;
            knobs.max_wait_ms = Some(u64::try_from(wait.as_millis()).map_err(|_| wrong())?);
        }
        "turn" => knobs.turn = number()?,
        "linger" => {
            knobs.linger = match value {
                "auto" => true,
                "off" => false,
                _ => return Err(wrong()),
            }
        }
        "pace" if value == "off" => knobs.pace = None,
        "pace" => knobs.pace = Some(number()?),
        "burst" => knobs.burst = count()?,
        "max_consecutive_per_model" => knobs.max_consecutive_per_model = count()?,
        _ => {
            return Err(format!(
                "{key} cannot be changed here; it can be scheduler.max_wait, .turn, .linger, .pace, .burst or \
                 .max_consecutive_per_model"
            ));
        }
    }
    Ok(())
}

/// The strategy with this name.
pub(crate) fn strategy(word: &str) -> Result<Strategy, String> {
    Strategy::ALL.into_iter().find(|strategy| strategy.as_str() == word).ok_or_else(|| {
        let words: Vec<_> = Strategy::ALL.iter().map(|strategy| strategy.as_str()).collect();
        format!("the strategies are {}", words.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_set_by_their_keys() {
        let mut knobs = Knobs::default();
        for change in ["scheduler.max_wait=30", "scheduler.linger=off", "pace=off", "scheduler.burst=9"] {
            set(&mut knobs, change).unwrap();
        }
        assert_eq!(
            (knobs.max_wait_ms, knobs.linger, knobs.pace, knobs.burst),
            (Some(30_000), false, None, 9)
        );
        for bad in ["scheduler.max_wait", "scheduler.max_wait=soon", "turn=-1", "linger=2", "port=1"] {
            assert!(set(&mut knobs, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn strategies_are_known_by_their_words() {
        assert_eq!(strategy("round_robin"), Ok(Strategy::RoundRobin));
        assert!(strategy("fastest").is_err());
    }
}
