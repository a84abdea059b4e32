//! One service of one service manager: the file that defines it, and the commands that change it.
//!
//! Writing and registering is the crate `service-manager`'s business; the texts are ours, and so are the few commands
//! that the crate leaves out. [`Target::commands`] lists all of them, for those who want to see before they do.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::ValueEnum;
use service_manager::{
    LaunchdServiceManager, OpenRcServiceManager, RestartPolicy, ScServiceManager, ServiceInstallCtx,
    ServiceLabel, ServiceLevel, ServiceManager, ServiceManagerKind, ServiceStartCtx, ServiceStatus,
    ServiceStatusCtx, ServiceStopCtx, ServiceUninstallCtx, SystemdServiceManager, systemd_global_dir_path,
    systemd_user_dir_path,
};

use super::plan::{Plan, Scope};
use super::{launchd, openrc, systemd};
use crate::report::{FAILED, Failure};

/// The service managers that we know how to use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Manager {
    /// Of most Linux systems.
    Systemd,
    /// Of macOS.
    Launchd,
    /// Of Alpine, Gentoo and others.
    #[value(name = "openrc")]
    OpenRc,
    /// Of Windows.
    Sc,
}

impl Manager {
    /// This system's own, if it is one of these.
    pub(crate) fn native() -> Option<Self> {
        match ServiceManagerKind::native().ok()? {
            ServiceManagerKind::Systemd => Some(Self::Systemd),
            ServiceManagerKind::Launchd => Some(Self::Launchd),
            ServiceManagerKind::OpenRc => Some(Self::OpenRc),
            ServiceManagerKind::Sc | ServiceManagerKind::WinSw => Some(Self::Sc),
            ServiceManagerKind::Rcd => None,
        }
    }

    /// Its name in sentences.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Launchd => "launchd",
            Self::OpenRc => "OpenRC",
            Self::Sc => "Windows",
        }
    }

    fn driver(self) -> Box<dyn ServiceManager> {
        match self {
            Self::Systemd => Box::new(SystemdServiceManager::system()),
            Self::Launchd => Box::new(LaunchdServiceManager::system()),
            Self::OpenRc => Box::new(OpenRcServiceManager::system()),
            Self::Sc => Box::new(ScServiceManager::system()),
        }
    }
}

/// What is done to a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verb {
    /// Define it, so that it starts with the system or the login.
    Install,
    /// End it and take its definition away.
    Uninstall,
    /// Start it now.
    Start,
    /// End it now.
    Stop,
    /// End it and start it.
    Restart,
}

impl Verb {
    /// The word for it on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Uninstall => "uninstall",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

/// A service, installed or not.
pub(crate) struct Target {
    /// Whose it is.
    pub(crate) manager: Manager,
    /// For whom it runs.
    pub(crate) scope: Scope,
    /// Its name.
    pub(crate) name: String,
}

impl Target {
    /// The file that defines it; `None` where the manager keeps no files.
    pub(crate) fn file(&self) -> Result<Option<PathBuf>, Failure> {
        let homeless = |_| Failure::new("your home directory is unknown", FAILED);
        let folder = match (self.manager, self.scope) {
            (Manager::Systemd, Scope::System) => systemd_global_dir_path(),
            (Manager::Systemd, Scope::User) => systemd_user_dir_path().map_err(homeless)?,
            (Manager::Launchd, Scope::System) => PathBuf::from("/Library/LaunchDaemons"),
            (Manager::Launchd, Scope::User) => {
                let home =
                    std::env::var_os("HOME").ok_or_else(|| homeless(io::ErrorKind::NotFound.into()))?;
                PathBuf::from(home).join("Library/LaunchAgents")
            }
            (Manager::OpenRc, _) => PathBuf::from("/etc/init.d"),
            (Manager::Sc, _) => return Ok(None),
        };
        Ok(Some(folder.join(match self.manager {
            Manager::Systemd => format!("{}.service", self.name),
            Manager::Launchd => format!("{}.plist", self.name),
            Manager::OpenRc | Manager::Sc => self.name.clone(),
        })))
    }

    /// The mode of that file.
    pub(crate) fn mode(&self) -> u32 {
        if self.manager == Manager::OpenRc { 0o755 } else { 0o644 }
    }

    /// What that file says for `plan`, with a line that tells whose it is and how to be rid of it.
    pub(crate) fn text(&self, plan: &Plan) -> Option<String> {
        let signature = self.signature();
        let mark = format!("Written by {signature}; undo it with: {}", self.line(Verb::Uninstall));
        match self.manager {
            Manager::Systemd => Some(format!("# {mark}\n{}", systemd::unit(plan))),
            Manager::Launchd => {
                // Without the command to undo it: no comment may have two dashes.
                let list = launchd::property_list(plan);
                Some(format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- Written by {signature}. -->\n{list}"
                ))
            }
            Manager::OpenRc => Some(format!("#!/sbin/openrc-run\n# {mark}\n\n{}", openrc::script(plan))),
            Manager::Sc => None,
        }
    }

    /// Whether `text` is that of a definition made by us.
    pub(crate) fn is_ours(&self, text: &str) -> bool {
        // launchd's file is written anew at the first start, without its comments.
        let is_list = || {
            self.manager == Manager::Launchd
                && text.contains("<string>serve</string>")
                && text.contains("<string>--config</string>")
        };
        text.contains(self.signature()) || is_list()
    }

    #[expect(clippy::unused_self, reason = "asked for like the rest of the text")]
    fn signature(&self) -> &'static str {
        "`proxylm service install`"
    }

    /// The command of ours that does `verb` to it.
    pub(crate) fn line(&self, verb: Verb) -> String {
        let sudo = if self.scope == Scope::System && self.manager != Manager::Sc { "sudo " } else { "" };
        format!("{sudo}proxylm service {}{}", verb.word(), self.flags())
    }

    /// The flags of ours that mean it.
    pub(crate) fn flags(&self) -> String {
        let user = if self.scope == Scope::User { " --user" } else { "" };
        let name =
            if self.name == super::USUAL_NAME { String::new() } else { format!(" --name {}", self.name) };
        format!("{user}{name}")
    }

    /// Every command that `verb` runs; with the `plan` that is installed, if that is the verb.
    pub(crate) fn commands(&self, verb: Verb, plan: Option<&Plan>) -> Result<Vec<Vec<String>>, Failure> {
        let file = self.file()?.map(|file| file.display().to_string()).unwrap_or_default();
        let (file, name) = (file.as_str(), self.name.as_str());
        let lines: Vec<Vec<&str>> = match (self.manager, verb) {
            (Manager::Systemd, Verb::Install) => vec![vec!["systemctl", "enable", file]],
            (Manager::Systemd, Verb::Uninstall) => vec![
                vec!["systemctl", "stop", name],
                vec!["systemctl", "disable", file],
                vec!["rm", file],
                vec!["systemctl", "daemon-reload"],
            ],
            (Manager::Systemd, _) => vec![vec!["systemctl", verb.word(), name]],
            (Manager::Launchd, Verb::Install) => vec![vec!["launchctl", "load", file]],
            (Manager::Launchd, Verb::Uninstall) => vec![vec!["launchctl", "remove", name], vec!["rm", file]],
            (Manager::Launchd, Verb::Start) => vec![vec!["launchctl", "start", name]],
            (Manager::Launchd, Verb::Stop) => vec![vec!["launchctl", "stop", name]],
            (Manager::Launchd, Verb::Restart) => {
                vec![vec!["launchctl", "stop", name], vec!["launchctl", "start", name]]
            }
            (Manager::OpenRc, Verb::Install) => vec![vec!["rc-update", "add", name, "default"]],
            (Manager::OpenRc, Verb::Uninstall) => vec![
                vec!["rc-service", name, "stop"],
                vec!["rc-update", "del", name, "default"],
                vec!["rm", file],
            ],
            (Manager::OpenRc, _) => vec![vec!["rc-service", name, verb.word()]],
            (Manager::Sc, Verb::Install) => return Ok(self.creation(plan)),
            (Manager::Sc, Verb::Uninstall) => {
                vec![vec!["sc.exe", "stop", name], vec!["sc.exe", "delete", name]]
            }
            (Manager::Sc, Verb::Restart) => vec![vec!["sc.exe", "stop", name], vec!["sc.exe", "start", name]],
            (Manager::Sc, _) => vec![vec!["sc.exe", verb.word(), name]],
        };
        let mut lines: Vec<Vec<String>> =
            lines.into_iter().map(|line| line.into_iter().map(ToOwned::to_owned).collect()).collect();
        if self.scope == Scope::User && self.manager == Manager::Systemd {
            for line in lines.iter_mut().filter(|line| line[0] == "systemctl") {
                line.insert(1, "--user".to_owned());
            }
        }
        Ok(lines)
    }

    /// Windows' service is made by commands alone: no file says what it is.
    fn creation(&self, plan: Option<&Plan>) -> Vec<Vec<String>> {
        let name = self.name.as_str();
        let command = plan.map(|plan| {
            let words = [plan.program.display().to_string()].into_iter().chain(self.service_arguments(plan));
            words
                .map(|word| if word.contains(' ') { format!("\"{word}\"") } else { word })
                .collect::<Vec<_>>()
                .join(" ")
        });
        let command = command.unwrap_or_default();
        let [create, describe, mend] = [
            &[
                "create",
                name,
                "type=",
                "own",
                "start=",
                "Auto",
                "error=",
                "normal",
                "binpath=",
                &command,
                "displayname=",
                name,
            ][..],
            &["description", name, "proxylm, an LLM proxy that queues by model"],
            &["failure", name, "reset=", "86400", "actions=", "restart/2000/restart/10000/restart/60000"],
        ]
        .map(|words| ["sc.exe"].iter().chain(words).map(|word| (*word).to_owned()).collect());
        vec![create, describe, mend]
    }

    /// The arguments with which the manager starts the program.
    fn service_arguments(&self, plan: &Plan) -> Vec<String> {
        let run_dir = plan.state.join(format!("{}-run", self.name)).display().to_string();
        let mut arguments =
            vec!["service".to_owned(), "run".to_owned(), "--name".to_owned(), self.name.clone()];
        // All but the word `serve`.
        arguments.extend(plan.arguments(Some(&run_dir)).into_iter().skip(1));
        arguments
    }

    /// Does `verb`; `plan` and `text` are what is to be installed.
    pub(crate) fn carry_out(&self, verb: Verb, plan: Option<&Plan>) -> io::Result<()> {
        let driver = self.driver()?;
        let label = self.label();
        match verb {
            Verb::Install => {
                let Some(plan) = plan else { return Err(io::ErrorKind::InvalidInput.into()) };
                driver.install(ServiceInstallCtx {
                    label,
                    program: plan.program.clone(),
                    args: self.service_arguments(plan).into_iter().map(Into::into).collect(),
                    contents: self.text(plan),
                    username: None,
                    working_directory: Some(plan.folder.clone()),
                    environment: None,
                    autostart: true,
                    restart_policy: RestartPolicy::Never,
                })?;
                // The crate makes the service and nothing besides.
                self.run_rest(verb, Some(plan), |line| line[1] != "create" && line[0] == "sc.exe")
            }
            Verb::Uninstall => {
                // That it does not run is no reason to keep it.
                let _ = self.run_rest(verb, None, |line| line.iter().any(|word| word == "stop"));
                driver.uninstall(ServiceUninstallCtx { label })?;
                self.run_rest(verb, None, |line| line.iter().any(|word| word == "daemon-reload"))
            }
            Verb::Start => driver.start(ServiceStartCtx { label }),
            Verb::Stop => driver.stop(ServiceStopCtx { label }),
            Verb::Restart => match self.manager {
                Manager::Systemd | Manager::OpenRc => self.run_rest(verb, None, |_| true),
                Manager::Launchd | Manager::Sc => {
                    driver.stop(ServiceStopCtx { label: label.clone() })?;
                    driver.start(ServiceStartCtx { label })
                }
            },
        }
    }

    /// Whether the manager's own program is on this machine.
    pub(crate) fn is_available(&self) -> bool {
        self.manager.driver().available().unwrap_or(false)
    }

    /// What the manager says of it.
    pub(crate) fn status(&self) -> io::Result<ServiceStatus> {
        self.driver()?.status(ServiceStatusCtx { label: self.label() })
    }

    fn driver(&self) -> io::Result<Box<dyn ServiceManager>> {
        let mut driver = self.manager.driver();
        if self.scope == Scope::User {
            driver.set_level(ServiceLevel::User)?;
        }
        Ok(driver)
    }

    fn label(&self) -> ServiceLabel {
        ServiceLabel { qualifier: None, organization: None, application: self.name.clone() }
    }

    fn run_rest(&self, verb: Verb, plan: Option<&Plan>, pick: impl Fn(&[String]) -> bool) -> io::Result<()> {
        let lines = self.commands(verb, plan).map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
        for line in lines.iter().filter(|line| pick(line)) {
            let said = Command::new(&line[0]).args(&line[1..]).stdin(Stdio::null()).output()?;
            if !said.status.success() {
                let text = String::from_utf8_lossy(&said.stderr);
                return Err(io::Error::other(format!("{}: {}", line.join(" "), text.trim())));
            }
        }
        Ok(())
    }
}
