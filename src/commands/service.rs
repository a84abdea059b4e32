//! `proxylm service`: installs proxylm as a service of this system, and starts, stops, shows and removes it.
//!
//! It says what it wrote and how to undo it, changes no file that it has not written, and installs nothing that could
//! not start.

mod account;
mod launchd;
mod logs;
mod openrc;
mod plan;
#[cfg(windows)]
mod scm;
mod state;
mod systemd;
mod target;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use self::plan::{Plan, Scope};
use self::state::{NOT_INSTALLED, State};
pub(crate) use self::target::Manager;
use self::target::{Target, Verb};
use crate::cli::{Service, ServiceCommand};
use crate::report::{self, FAILED, Failure, WRONG_USAGE};

/// The name of a service when nobody says.
pub(crate) const USUAL_NAME: &str = "proxylm";

/// What to do when the user's own systemd cannot be reached.
const NO_SESSION: &str = "a user's service needs that user's session: log in as that user (not by su or sudo), or run \
                          `sudo loginctl enable-linger USER` once";
/// Between two looks at a service that is about to end.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How often it is looked at before we give up: five minutes.
const MOST_LOOKS: u32 = 1500;

/// A name that every service manager takes.
pub(crate) fn service_name(name: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_good = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(is_plain);
    is_good
        .then(|| name.to_owned())
        .ok_or_else(|| "a name is made of up to 64 letters, digits, '-' and '_'".to_owned())
}

/// Does what the arguments say and tells how the process is to end.
pub(crate) fn run(arguments: &Service) -> Result<ExitCode, Failure> {
    let target = target(arguments)?;
    let verb = match &arguments.command {
        ServiceCommand::Install { config, account } => {
            return install(&target, config.as_deref(), account.as_deref(), arguments.dry_run);
        }
        ServiceCommand::Status => return status(&target),
        ServiceCommand::Logs { lines, follow } => {
            let words = logs::command(&target, *lines, *follow)?;
            return if arguments.dry_run { Ok(said(&would_run(&[words]))) } else { logs::show(&words) };
        }
        ServiceCommand::Uninstall => Verb::Uninstall,
        ServiceCommand::Start => Verb::Start,
        ServiceCommand::Stop => Verb::Stop,
        ServiceCommand::Restart => Verb::Restart,
        ServiceCommand::Run { config, run_dir } => {
            return serve(arguments, config.as_deref(), run_dir.as_deref());
        }
    };
    if arguments.dry_run {
        return Ok(said(&would_run(&target.commands(verb, None)?)));
    }
    allowed(&target, verb)?;
    if verb == Verb::Uninstall {
        return uninstall(&target);
    }
    known(&target)?;
    if verb == Verb::Restart && matches!(target.manager, Manager::Launchd | Manager::Sc) {
        // These two say that it ends long before it has.
        done(&target, Verb::Stop, target.carry_out(Verb::Stop, None))?;
        wait_until_stopped(&target)?;
        done(&target, Verb::Start, target.carry_out(Verb::Start, None))?;
    } else {
        done(&target, verb, target.carry_out(verb, None))?;
    }
    let past = match verb {
        Verb::Start => "started",
        Verb::Stop => "stopped",
        _ => "restarted",
    };
    Ok(said(&format!("{past} the {} service {}", target.scope.word(), target.name)))
}

/// Serves under Windows' service control manager.
#[cfg(windows)]
fn serve(arguments: &Service, config: Option<&Path>, run_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let owned = |path: Option<&Path>| path.map(Path::to_owned);
    scm::run(&arguments.name, owned(config), owned(run_dir)).map(|()| ExitCode::SUCCESS)
}

/// Elsewhere managers start `serve`.
#[cfg(not(windows))]
fn serve(_arguments: &Service, _config: Option<&Path>, _run_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let failure = Failure::new("only Windows' service control manager starts it so", WRONG_USAGE);
    Err(failure.with_hint("call `proxylm serve`".to_owned()))
}

fn target(arguments: &Service) -> Result<Target, Failure> {
    let scope = if arguments.user { Scope::User } else { Scope::System };
    let Some(manager) = arguments.manager.or_else(Manager::native) else {
        let failure = Failure::new("this system has no service manager that proxylm knows", FAILED);
        let hint = "systemd, launchd, OpenRC and Windows' are known; elsewhere let `proxylm serve` be started as usual";
        return Err(failure.with_hint(hint.to_owned()));
    };
    if scope == Scope::User && matches!(manager, Manager::OpenRc | Manager::Sc) {
        let failure =
            Failure::new(format!("{} has no services of single users", manager.word()), WRONG_USAGE);
        return Err(failure.with_hint("leave out --user".to_owned()));
    }
    let target = Target { manager, scope, name: arguments.name.clone() };
    if !arguments.dry_run && !target.is_available() {
        let failure = Failure::new(format!("{} is not on this system", manager.word()), FAILED);
        return Err(failure.with_hint("--dry-run shows what would be written and run".to_owned()));
    }
    Ok(target)
}

fn install(
    target: &Target,
    config: Option<&Path>,
    account: Option<&str>,
    dry_run: bool,
) -> Result<ExitCode, Failure> {
    let (plan, oddities) = Plan::make(&target.name, target.scope, config, account)?;
    let file = target.file()?;
    if dry_run {
        let mut text = String::new();
        if let (Some(file), Some(content)) = (&file, target.text(&plan)) {
            let _ =
                writeln!(text, "would write {} (mode {:04o}):\n\n{content}", file.display(), target.mode());
        }
        text.push_str(&would_run(&target.commands(Verb::Install, Some(&plan))?));
        warn(&mut text, &oddities);
        return Ok(said(&text));
    }
    allowed(target, Verb::Install)?;
    let is_new = match &file {
        Some(file) => !is_there(target, file)?,
        None => true,
    };
    let installed = target.carry_out(Verb::Install, Some(&plan));
    if installed.is_err()
        && is_new
        && let Some(file) = &file
    {
        // What could not be registered is not to lie about.
        let _ = std::fs::remove_file(file);
    }
    done(target, Verb::Install, installed)?;
    let mut text = format!(
        "installed {} as a {} service of {}\n",
        plan.name,
        target.scope.word(),
        target.manager.word()
    );
    if let Some(file) = &file {
        let _ = writeln!(text, "  {} {}", if is_new { "wrote   " } else { "replaced" }, file.display());
    }
    let _ = writeln!(text, "  program  {}\n  config   {}", plan.program.display(), plan.config.display());
    if let Some(account) = &plan.account {
        let _ = writeln!(text, "  runs as  {}", account.name());
    }
    let when = if target.scope == Scope::System { "with the system" } else { "when you log in" };
    let _ = writeln!(text, "  starts   {when}");
    warn(&mut text, &oddities);
    let again = if is_new { Verb::Start } else { Verb::Restart };
    let _ = write!(text, "now:   {}\nundo:  {}", target.line(again), target.line(Verb::Uninstall));
    if target.scope == Scope::User && target.manager == Manager::Systemd {
        text.push_str("\nTo let it run while you are not logged in: loginctl enable-linger");
    }
    Ok(said(&text))
}

fn uninstall(target: &Target) -> Result<ExitCode, Failure> {
    let file = target.file()?;
    let is_there = match &file {
        Some(file) => is_there(target, file)?,
        None => State::of(target)? != State::NotInstalled,
    };
    if !is_there {
        return Err(not_installed(target, NOT_INSTALLED));
    }
    done(target, Verb::Uninstall, target.carry_out(Verb::Uninstall, None))?;
    let mut text = format!("removed the {} service {}\n", target.scope.word(), target.name);
    if let Some(file) = file {
        let _ = writeln!(text, "  removed  {}", file.display());
    }
    text.push_str("  left     the program, its configuration, its history and its log");
    Ok(said(&text))
}

fn status(target: &Target) -> Result<ExitCode, Failure> {
    let state = State::of(target)?;
    report::say(state.word());
    Ok(state.exit_code())
}

/// Whether a definition of ours is at `file`. Fails if it is somebody else's.
fn is_there(target: &Target, file: &Path) -> Result<bool, Failure> {
    let packaged = [Path::new("/usr/lib/systemd/system"), Path::new("/lib/systemd/system")];
    let by_package = target.manager == Manager::Systemd
        && target.scope == Scope::System
        && packaged.iter().any(|folder| folder.join(format!("{}.service", target.name)).exists());
    if by_package {
        let failure =
            Failure::new(format!("a package has installed the service {} already", target.name), FAILED);
        let hint = format!(
            "use that one (systemctl enable --now {}), or give this one another name with --name",
            target.name
        );
        return Err(failure.with_hint(hint));
    }
    match std::fs::read_to_string(file) {
        Ok(text) if target.is_ours(&text) => Ok(true),
        Ok(_) => {
            let failure = Failure::new(format!("{} was not written by proxylm", file.display()), FAILED);
            Err(failure.with_hint("remove it yourself, or choose another name with --name".to_owned()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Failure::new(format!("cannot read {}: {error}", file.display()), FAILED)),
    }
}

/// Fails if the manager does not know the service.
fn known(target: &Target) -> Result<(), Failure> {
    match State::of(target)? {
        State::NotInstalled => Err(not_installed(target, NOT_INSTALLED)),
        _ => Ok(()),
    }
}

fn not_installed(target: &Target, exit_code: u8) -> Failure {
    let failure =
        Failure::new(format!("there is no {} service {}", target.scope.word(), target.name), exit_code);
    let other =
        if target.scope == Scope::System { "; if it is a service of yours alone, add --user" } else { "" };
    failure.with_hint(format!("install it: {}{other}", target.line(Verb::Install)))
}

/// Fails if this user may not do `verb` to `target`.
#[cfg(unix)]
fn allowed(target: &Target, verb: Verb) -> Result<(), Failure> {
    let is_root = nix::unistd::geteuid().is_root();
    if target.scope == Scope::System && !is_root {
        let failure = Failure::new("services of the system belong to root", FAILED);
        let hint = format!("run {}; or add --user for a service of your own", target.line(verb));
        return Err(failure.with_hint(hint));
    }
    if target.scope == Scope::User && is_root && std::env::var_os("SUDO_USER").is_some() {
        let failure = Failure::new("with sudo this would be a service of root, not of you", FAILED);
        return Err(failure.with_hint(format!("run {} without sudo", target.line(verb))));
    }
    Ok(())
}

/// Windows says itself who may.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same on every system")]
fn allowed(_target: &Target, _verb: Verb) -> Result<(), Failure> {
    Ok(())
}

fn done(target: &Target, verb: Verb, ended: std::io::Result<()>) -> Result<(), Failure> {
    ended.map_err(|error| {
        let said = error.to_string();
        let failure = Failure::new(
            format!("cannot {} the service {}: {}", verb.word(), target.name, said.trim()),
            FAILED,
        );
        let hint = match (target.manager, target.scope, verb) {
            (Manager::Systemd, Scope::User, _) if said.contains("bus") => NO_SESSION.to_owned(),
            (Manager::Sc, ..) if said.contains(" 5:") || said.contains("Access is denied") => {
                "open the console as administrator and run it again".to_owned()
            }
            (.., Verb::Start | Verb::Restart) => {
                format!("its log says why: proxylm service logs{}", target.flags())
            }
            _ => String::new(),
        };
        failure.with_hint(hint)
    })
}

/// Waits until the service has ended.
fn wait_until_stopped(target: &Target) -> Result<(), Failure> {
    super::runtime()?.block_on(async {
        for _ in 0..MOST_LOOKS {
            if !matches!(State::of(target)?, State::Running | State::Stopping) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Err(Failure::new(format!("the service {} does not end", target.name), FAILED))
    })
}

fn warn(text: &mut String, oddities: &[String]) {
    for oddity in oddities {
        let _ = writeln!(text, "warning: {oddity}");
    }
}

fn would_run(lines: &[Vec<String>]) -> String {
    lines.iter().fold(String::new(), |mut text, line| {
        let words: Vec<_> = line
            .iter()
            .map(|word| {
                if word.is_empty() || word.contains([' ', '"']) { format!("'{word}'") } else { word.clone() }
            })
            .collect();
        let _ = writeln!(text, "would run: {}", words.join(" "));
        text
    })
}

fn said(text: &str) -> ExitCode {
    report::say(text);
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_a_plain_name() {
        for good in ["proxylm", "proxylm-2", "a_b", "7"] {
            assert!(service_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-x", "a b", "a.b", "a/b", "ä", &"x".repeat(65)] {
            assert!(service_name(bad).is_err(), "{bad}");
        }
    }
}
