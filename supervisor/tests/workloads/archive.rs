//! The instances and the reference figures that lie beside this file.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use supervisor::simulation::{Instance, Reference};

fn place(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/workloads").join(file)
}

/// The instances of `workload`.
pub(crate) fn instances(workload: &str) -> Vec<Instance> {
    let file = fs::File::open(place(&format!("{workload}.jsonl.gz"))).expect("the archive is there");
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).expect("it is whole");
    Instance::from_lines(&text).expect("it holds instances")
}

/// The reference figures.
pub(crate) fn reference() -> Reference {
    let text = fs::read_to_string(place("reference.csv")).expect("it is there");
    Reference::from_csv(&text).expect("it is a table of figures")
}
