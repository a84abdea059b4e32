//! Simulated worlds around the real scheduler: instances of servers and requests, run in virtual time.
//!
//! Nothing of the scheduler is made again here: events go into [`Scheduler`](crate::scheduler::Scheduler) and its
//! effects are answered as the real frontends, workers and engines would answer them. The same instance and setting give
//! the same run. Used by the tests, by the benchmark and by `proxylm replay`.

mod audit;
mod bounds;
mod children;
mod course;
mod dice;
mod draw;
mod engine;
mod figures;
mod instance;
mod recorded;
mod resample;
mod setting;
mod targets;
mod world;
mod yardstick;

pub use self::bounds::{Bounds, longest_without_server_s};
pub use self::course::{Course, Fate, Lot};
pub use self::draw::Flavour;
pub use self::figures::{Figures, flows, geometric_mean, percentile};
pub use self::instance::{Instance, InstanceError, Job, Server};
pub use self::setting::Setting;
pub use self::targets::{Against, Measure, Reading, Target, best, readings, targets};
pub use self::world::{run, run_on_record, run_promising, run_under_laws};
pub use self::yardstick::{Reference, Subject};
