//! Rules of the house that no lint can hold.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_scheduler_opens_nothing_waits_for_nothing_and_has_no_order_by_chance() {
    let banned =
        ["tokio", "std::fs", "std::process", "std::thread", "HashMap", "HashSet", "std::net::Tcp", "Instant"];
    for path in sources(&root().join("supervisor/src/scheduler")) {
        let text = fs::read_to_string(&path).unwrap();
        for word in banned {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
    }
}

#[test]
fn siblings_do_not_import_each_other() {
    for (crate_name, siblings) in [
        ("dialect", &["ipc_proto", "supervisor", "worker", "frontend", "tokio"][..]),
        ("ipc-proto", &["supervisor", "worker", "frontend"]),
        ("supervisor", &["worker", "frontend"]),
        ("worker", &["supervisor", "frontend"]),
        ("frontend", &["supervisor", "worker"]),
        ("tui", &["supervisor", "worker", "frontend"]),
    ] {
        let manifest = fs::read_to_string(root().join(crate_name).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        for sibling in siblings {
            let name = sibling.replace('_', "-");
            let imported = dependencies.lines().any(|line| line.starts_with(&format!("{name}.")));
            assert!(!imported, "{crate_name} depends on {name}");
        }
    }
}

#[test]
fn files_fit_a_reader() {
    for folder in
        ["src", "dialect/src", "ipc-proto/src", "supervisor/src", "worker/src", "frontend/src", "tui/src"]
    {
        for path in sources(&root().join(folder)) {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 450, "{} has {lines} lines", path.display());
        }
    }
}
