//! The unit that systemd reads.

use std::fmt::Write as _;
use std::path::Path;

use super::account::Account;
use super::plan::{Plan, Scope};

/// Folders of users, which a service that needs none of them does not see.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
/// Folders that a service with temporary files of its own cannot see.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// What a service may do without, and loses nothing by. Needs no rights that a user's own manager has not.
const RESTRAINTS: [(&str, &str); 10] = [
    ("NoNewPrivileges", "yes"),
    ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("LockPersonality", "yes"),
    ("MemoryDenyWriteExecute", "yes"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallErrorNumber", "EPERM"),
];
/// The same for what only the system's manager can take away.
const WALLS: [(&str, &str); 11] = [
    ("ProtectSystem", "strict"),
    ("PrivateDevices", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectProc", "invisible"),
    ("RemoveIPC", "yes"),
    ("DevicePolicy", "closed"),
];

/// The unit's text, without the line that says who wrote it.
pub(crate) fn unit(plan: &Plan) -> String {
    let mut unit = Unit(String::new());
    unit.section("Unit");
    unit.set("Description", "proxylm, an LLM proxy that queues by model");
    if plan.scope == Scope::System {
        unit.set("Wants", "network-online.target");
        unit.set("After", "network-online.target");
    }
    // A service that ends at once again and again is not started for ever.
    unit.set("StartLimitIntervalSec", "60");
    unit.set("StartLimitBurst", "5");
    unit.section("Service");
    process(&mut unit, plan);
    for (key, value) in RESTRAINTS {
        unit.set(key, value);
    }
    if plan.scope == Scope::System {
        walls(&mut unit, plan);
    }
    unit.section("Install");
    let target = if plan.scope == Scope::System { "multi-user.target" } else { "default.target" };
    unit.set("WantedBy", target);
    unit.0
}

fn process(unit: &mut Unit, plan: &Plan) {
    // It says when it serves, and says so twice in each of the watchdog's intervals that it lives.
    unit.set("Type", "notify");
    unit.set("NotifyAccess", "main");
    unit.set("WatchdogSec", "60");
    let run_dir = format!("%t/{}", plan.name);
    let mut command = vec![argument(&plan.program.display().to_string())];
    command.extend(plan.arguments(None).iter().map(|text| argument(text)));
    command.extend(["--run-dir".to_owned(), run_dir]);
    unit.set("ExecStart", &command.join(" "));
    unit.set("WorkingDirectory", &plain(&plan.folder));
    if let Some(account) = &plan.account {
        unit.set("User", account.name());
    }
    unit.set("UMask", "0077");
    if plan.scope == Scope::System {
        unit.set("RuntimeDirectory", &plan.name);
        unit.set("RuntimeDirectoryMode", "0700");
    }
    unit.set("SyslogIdentifier", &plan.name);
    unit.set("Restart", "on-failure");
    unit.set("RestartSec", "2");
    // A wrong configuration does not mend itself.
    unit.set("RestartPreventExitStatus", "2");
    // The supervisor alone is asked to end; it ends its children when they have finished.
    unit.set("KillMode", "mixed");
    unit.set("TimeoutStartSec", "60");
    unit.set("TimeoutStopSec", &plan.stop_seconds().to_string());
}

fn walls(unit: &mut Unit, plan: &Plan) {
    for (key, value) in WALLS {
        unit.set(key, value);
    }
    unit.set("ProtectHome", if plan.is_in(&HOMES) { "read-only" } else { "yes" });
    if !plan.is_in(&TEMPORARY) {
        unit.set("PrivateTmp", "yes");
    }
    let port = if plan.has_low_port { "CAP_NET_BIND_SERVICE" } else { "" };
    // Root without it could not even open what belongs to others.
    let files = if plan.account.as_ref().is_some_and(Account::is_root) { "CAP_DAC_OVERRIDE " } else { "" };
    unit.set("CapabilityBoundingSet", format!("{files}{port}").trim_end());
    unit.set("AmbientCapabilities", port);
    let writable: Vec<_> = plan.writable.iter().map(|folder| quoted(&folder.display().to_string())).collect();
    unit.set("ReadWritePaths", &writable.join(" "));
}

struct Unit(String);

impl Unit {
    fn section(&mut self, name: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.0, "{gap}[{name}]");
    }

    fn set(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.0, "{key}={value}");
    }
}

/// `text` as one word of a command.
fn argument(text: &str) -> String {
    quoted(&text.replace('$', "$$"))
}

/// `text` as one word of a list; nothing in it means anything to systemd.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@=,%$".contains(c);
    if !escaped.is_empty() && escaped.chars().all(is_plain) { escaped } else { format!("\"{escaped}\"") }
}

/// A path that is the whole value.
fn plain(path: &Path) -> String {
    path.display().to_string().replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(program: &str, state: &str) -> Plan {
        Plan {
            name: "proxylm".to_owned(),
            scope: Scope::System,
            program: program.into(),
            config: "/etc/proxylm/config.yaml".into(),
            folder: Path::new(program).parent().unwrap().to_owned(),
            state: state.into(),
            writable: vec![state.into()],
            account: None,
            grace: std::time::Duration::from_secs(30),
            has_low_port: false,
        }
    }

    #[test]
    fn a_unit_hides_homes_and_temporary_folders_unless_it_needs_them() {
        let usual = unit(&plan("/usr/bin/proxylm", "/var/lib/proxylm"));
        for line in
            ["ProtectHome=yes", "PrivateTmp=yes", "ReadWritePaths=/var/lib/proxylm", "TimeoutStopSec=60"]
        {
            assert!(usual.lines().any(|said| said == line), "{line}:\n{usual}");
        }
        let at_home = unit(&plan("/home/me/bin/proxylm", "/home/me/my data"));
        assert!(at_home.contains("ProtectHome=read-only\nPrivateTmp=yes\n"), "{at_home}");
        assert!(at_home.contains("ReadWritePaths=\"/home/me/my data\"\n"), "{at_home}");
        assert!(!unit(&plan("/usr/bin/proxylm", "/var/tmp/x")).contains("PrivateTmp"));
    }

    #[test]
    fn a_low_port_needs_the_right_to_it_and_nothing_else() {
        let low = Plan { has_low_port: true, ..plan("/usr/bin/proxylm", "/var/lib/proxylm") };
        let rights = "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n";
        assert!(unit(&low).contains(rights));
        assert!(unit(&plan("/b/p", "/s")).contains("CapabilityBoundingSet=\nAmbientCapabilities=\n"));
    }

    #[test]
    fn what_would_mean_something_to_systemd_is_escaped() {
        assert_eq!(quoted("/opt/proxylm"), "/opt/proxylm");
        assert_eq!(quoted("/a b/\"c\""), "\"/a b/\\\"c\\\"\"");
        assert_eq!(argument("/100%/$x"), "/100%%/$$x");
        assert_eq!(quoted(""), "\"\"");
        assert_eq!(plain(Path::new("/a b/5%")), "/a b/5%%");
    }
}
