//! What Windows' service control manager starts: `serve`, and the answers that the manager wants of a service.
//!
//! A stop is the same as `proxylm ctl stop`: what runs may finish. Compiled on Windows alone.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};
use windows_service::{define_windows_service, service_dispatcher};

use crate::cli::{Ctl, CtlCommand, Place, Serve};
use crate::commands::{ctl, runtime, serve};
use crate::report::{self, Audience, FAILED, Failure};

/// How long the manager is asked to wait for a start or a stop until it takes us for hung.
const PATIENCE: Duration = Duration::from_mins(5);

/// The manager calls us back with nothing but a name, so what we were started with is kept here.
static JOB: OnceLock<Job> = OnceLock::new();
/// Where the manager is told how we are.
static HANDLE: OnceLock<ServiceStatusHandle> = OnceLock::new();

struct Job {
    name: String,
    config: Option<PathBuf>,
    place: Place,
}

define_windows_service!(service_main, begin);

/// Serves as the service `name` until the manager ends it. Fails at once if it was not the manager who started us.
pub(crate) fn run(name: &str, config: Option<PathBuf>, run_dir: Option<PathBuf>) -> Result<(), Failure> {
    let job = Job { name: name.to_owned(), config, place: Place { run_dir } };
    // It is empty: this is called once in a process.
    let _ = JOB.set(job);
    service_dispatcher::start(name, service_main).map_err(|error| {
        Failure::of(&error, FAILED)
            .with_hint("this is for the service control manager; people call `proxylm serve`".to_owned())
    })
}

fn begin(_arguments: Vec<OsString>) {
    let Some(job) = JOB.get() else { return };
    if let Err(failure) = serve_as(job) {
        report::complain(&failure, Audience::People);
    }
}

fn serve_as(job: &'static Job) -> Result<(), Failure> {
    let answer = move |control| match control {
        ServiceControl::Stop | ServiceControl::Shutdown => {
            if let Some(handle) = HANDLE.get() {
                tell(*handle, ServiceState::StopPending, 0);
            }
            // The manager waits for an answer to the wish, not for its end.
            std::thread::spawn(|| stop(job));
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    };
    let handle =
        service_control_handler::register(&job.name, answer).map_err(|error| Failure::of(&error, FAILED))?;
    let _ = HANDLE.set(handle);
    tell(handle, ServiceState::Running, 0);
    let ended = runtime().and_then(|runtime| {
        runtime.block_on(serve::run(Serve {
            config: job.config.clone(),
            host: None,
            port: None,
            log_level: None,
            log_format: None,
            demo: false,
            place: job.place.clone(),
        }))
    });
    tell(handle, ServiceState::Stopped, ended.as_ref().map_or_else(Failure::exit_code, |()| 0));
    ended
}

fn stop(job: &Job) {
    let order = Ctl { place: job.place.clone(), json: false, command: CtlCommand::Stop };
    let ended = runtime().and_then(|runtime| runtime.block_on(ctl::run(order)));
    if let Err(failure) = ended {
        report::complain(&failure, Audience::People);
    }
}

fn tell(handle: ServiceStatusHandle, state: ServiceState, exit_code: u8) {
    let accepted = match state {
        ServiceState::Running => ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN,
        _ => ServiceControlAccept::empty(),
    };
    let is_pending = state == ServiceState::StopPending;
    // A manager that cannot be told will find out by our end.
    let _ = handle.set_service_status(ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted: accepted,
        exit_code: match exit_code {
            0 => ServiceExitCode::NO_ERROR,
            code => ServiceExitCode::ServiceSpecific(code.into()),
        },
        checkpoint: u32::from(is_pending),
        wait_hint: if is_pending { PATIENCE } else { Duration::ZERO },
        process_id: None,
    });
}
