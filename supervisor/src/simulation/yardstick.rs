//! The yardstick: which rules are compared, by the names that the table of reference figures uses, and that table.

use std::collections::BTreeMap;

use super::figures::Figures;
use super::setting::Setting;
use crate::scheduler::catalog::Strategy;

/// A place among [`Figures`].
type Figure = fn(&mut Figures) -> &mut f64;

/// The figures of a run by which rules are compared with the reference, under their columns' names.
const COLUMNS: [(&str, Figure); 14] = [
    ("wait_mean", |it| &mut it.wait),
    ("p50", |it| &mut it.p50),
    ("p95", |it| &mut it.p95),
    ("p99", |it| &mut it.p99),
    ("max", |it| &mut it.max),
    ("flow", |it| &mut it.flow),
    ("makespan", |it| &mut it.makespan),
    ("loads", |it| &mut it.loads),
    ("int_mean", |it| &mut it.interactive_wait),
    ("int_p95", |it| &mut it.interactive_p95),
    ("worst_model_p95", |it| &mut it.worst_model_p95),
    ("jain_client", |it| &mut it.jain),
    ("failed", |it| &mut it.failed),
    ("cancelled", |it| &mut it.cancelled),
];

/// Rules that are compared.
#[derive(Clone, PartialEq, Debug)]
pub struct Subject {
    /// Their name in tables and in the reference.
    pub name: &'static str,
    /// How to run them.
    pub setting: Setting,
}

impl Subject {
    /// Everything that is compared: the plain baselines, the seed's strategies as they were (one request at a time), three of
    /// them on all slots, and ours.
    pub fn all() -> Vec<Self> {
        use Strategy as S;
        let seed = |name, strategy| Self { name, setting: Setting::new(strategy).with_one_slot() };
        let slots = |name, strategy| Self { name, setting: Setting::new(strategy) };
        let fair = |name, requests| Self {
            name,
            setting: Setting::new(S::FairShareRoundRobin).with_one_slot().with_most_in_a_row(requests),
        };
        vec![
            seed("one_fifo", S::Fifo),
            Self { name: "random", setting: Setting::new(S::Random).with_one_slot().with_weights_by_speed() },
            seed("model_affinity_least_busy", S::ModelAffinityLeastBusy),
            seed("least_busy", S::LeastBusy),
            seed("round_robin", S::RoundRobin),
            seed("deferred_model_then_capable", S::DeferredModelThenCapable),
            seed("preserve_model_coverage", S::PreserveModelCoverage),
            fair("fair_share_round_robin(5)", 5),
            fair("fair_share_round_robin(10)", 10),
            slots("model_affinity_least_busy+slots", S::ModelAffinityLeastBusy),
            slots("deferred_model_then_capable+slots", S::DeferredModelThenCapable),
            slots("preserve_model_coverage+slots", S::PreserveModelCoverage),
            slots("model_turns", S::ModelTurns),
        ]
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|subject| subject.name == name)
    }

    /// Whether it is a strategy of the seed, as it was: what "best seed" is chosen from.
    pub fn is_seed(&self) -> bool {
        self.setting.one_slot && !matches!(self.setting.strategy, Strategy::Fifo | Strategy::Random)
    }

    /// Whether it is one of the seed's on all slots.
    pub fn is_seed_on_all_slots(&self) -> bool {
        !self.setting.one_slot && self.setting.strategy != Strategy::ModelTurns
    }
}

/// Reference figures, by workload and subject: means over the workload's instances.
#[derive(Clone, Default, Debug)]
pub struct Reference {
    rows: BTreeMap<(String, String), Figures>,
}

impl Reference {
    /// Reads a table of comma-separated values whose first two columns are workload and subject. A row that is not
    /// understood is an error that names it.
    pub fn from_csv(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        let mut rows = BTreeMap::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let cells: Vec<&str> = line.split(',').collect();
            let mut figures = Figures::default();
            for (title, cell) in header.iter().zip(&cells).skip(2) {
                let (_, figure) = COLUMNS
                    .iter()
                    .find(|(name, _)| name == title)
                    .ok_or_else(|| format!("the column {title} is not known"))?;
                *figure(&mut figures) =
                    cell.parse().map_err(|_| format!("{cell:?} in {line:?} is no number"))?;
            }
            let [workload, subject, ..] = cells[..] else { return Err(format!("a short row: {line:?}")) };
            rows.insert((workload.to_owned(), subject.to_owned()), figures);
        }
        Ok(Self { rows })
    }

    /// The figures of `subject` on `workload`.
    pub fn get(&self, workload: &str, subject: &str) -> Option<&Figures> {
        self.rows.get(&(workload.to_owned(), subject.to_owned()))
    }

    /// The workloads, by name.
    pub fn workloads(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.rows.keys().map(|(workload, _)| workload.as_str()).collect();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_by_its_titles() {
        let table = Reference::from_csv("workload,strategy,p95,wait_mean\na,x,4,2\n").unwrap();
        let row = table.get("a", "x").unwrap();
        assert!((row.p95 - 4.0).abs() < 1e-12 && (row.wait - 2.0).abs() < 1e-12);
        assert!(Reference::from_csv("workload,strategy,p95\na,x,many\n").is_err());
        assert!(Reference::from_csv("workload,strategy,colour\na,x,4\n").is_err());
    }
}
