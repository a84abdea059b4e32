//! What the system says about a tree of processes: its members, CPU time, context switches and memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::statistics::figure;

/// Microseconds of one tick of `/proc/PID/stat`: Linux shows user space 100 a second on every common machine.
const TICK_US: f64 = 10_000.0;

/// The process `root` and all its descendants.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for pid in numbers(Path::new("/proc")) {
        if let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut members = vec![root];
    let mut next = 0;
    while let Some(member) = members.get(next) {
        let more = children.remove(member).unwrap_or_default();
        members.extend(more);
        next += 1;
    }
    members
}

/// `read` for each kind of process apart: by the first word of its command line, which names its part.
pub(crate) fn by_part(pids: &[u32], read: impl Fn(&[u32]) -> f64) -> BTreeMap<String, f64> {
    let mut parts = BTreeMap::new();
    for pid in pids {
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let word = command.split('\0').nth(1).unwrap_or_default().trim_start_matches('_');
        let part = if word == "serve" { "supervisor" } else { word };
        *parts.entry(part.to_owned()).or_default() += read(&[*pid]);
    }
    parts
}

/// CPU time that the processes have used so far, in microseconds, system time included.
pub(crate) fn cpu_us(pids: &[u32]) -> f64 {
    let ticks = |pid: &u32| {
        let fields = stat(*pid)?;
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    };
    figure(pids.iter().filter_map(ticks).sum()) * TICK_US
}

/// Context switches of all threads of the processes so far, voluntary or not.
pub(crate) fn switches(pids: &[u32]) -> u64 {
    let threads = pids.iter().flat_map(|pid| {
        let tasks = format!("/proc/{pid}/task");
        numbers(Path::new(&tasks)).into_iter().map(move |thread| format!("{tasks}/{thread}/status"))
    });
    threads.filter_map(|path| fs::read_to_string(path).ok()).map(|text| sum_of(&text, "ctxt_switches:")).sum()
}

/// Memory of the processes in KiB, each shared page counted in parts (PSS).
pub(crate) fn pss_kib(pids: &[u32]) -> f64 {
    let rollups = pids.iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok());
    figure(rollups.map(|text| sum_of(&text, "Pss:")).sum())
}

/// The fields of `/proc/PID/stat` after the name, which may itself hold spaces and parentheses: state first.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// The sum of the numbers in lines whose first word ends in `name`.
fn sum_of(text: &str, name: &str) -> u64 {
    let number = |line: &str| {
        let mut words = line.split_whitespace();
        words.next()?.ends_with(name).then(|| words.next()?.parse::<u64>().ok())?
    };
    text.lines().filter_map(number).sum()
}

fn numbers(folder: &Path) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_summed_over_the_lines_that_bear_the_name() {
        let status = "voluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t5\nThreads:\t3\n";
        assert_eq!(sum_of(status, "ctxt_switches:"), 17);
        assert_eq!(sum_of("Rss:  10 kB\nPss:   7 kB\nPss_Anon:  3 kB\n", "Pss:"), 7);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_tree_begins_with_its_root_and_uses_memory() {
        let members = tree(std::process::id());
        assert_eq!(members.first(), Some(&std::process::id()));
        assert!(pss_kib(&members) > 0.0 && switches(&members) > 0);
    }
}
