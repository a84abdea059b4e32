//! SVC-01: `proxylm service`, and what the service manager hears from a running instance.
//!
//! No manager of this machine is touched: programs of the same name on PATH write down how they were called.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use serde_json::json;
use tempfile::TempDir;

use crate::support::command::{PROGRAM, Said, command, said};

/// A home with a configuration and with managers that only write down how they were called.
struct Home {
    dir: TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { dir: TempDir::with_prefix("plm").unwrap() };
        std::fs::create_dir(home.path("bin")).unwrap();
        std::fs::create_dir(home.path("state")).unwrap();
        home.configure(home.path("state/history.db").to_str().unwrap());
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn configure(&self, database: &str) {
        let config = json!({
            "proxy": { "host": "127.0.0.1", "port": 0, "frontends": 1, "shutdown_grace_seconds": 15 },
            "storage": { "database_path": database },
            "backends": [{ "name": "f", "type": "fake", "fake": { "models": ["m"] } }]
        });
        self.write("config.json", &config.to_string(), 0o600);
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), PermissionsExt::from_mode(mode)).unwrap();
    }

    /// Puts a manager called `name` on PATH, which writes down its arguments and then does as `script` says.
    fn manager(&self, name: &str, script: &str) {
        let calls = self.path("calls");
        let text = format!("#!/bin/sh\necho \"{name} $*\" >> '{}'\n{script}\n", calls.display());
        self.write(&format!("bin/{name}"), &text, 0o755);
    }

    /// A systemctl that says that the service is in this state.
    fn systemctl(&self, load: &str, active: &str) {
        let show = format!("case \"$*\" in *show*) echo LoadState={load}; echo ActiveState={active};; esac");
        self.manager("systemctl", &show);
    }

    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("calls")).unwrap_or_default();
        let _ = std::fs::remove_file(self.path("calls"));
        text.lines().map(|line| self.anonymous(line)).collect()
    }

    /// `proxylm service …` in this home.
    fn service(&self, arguments: &[&str]) -> Said {
        let all: Vec<_> = std::iter::once("service").chain(arguments.iter().copied()).collect();
        let mut command = command(Path::new(PROGRAM), &all);
        command.env("HOME", self.path("")).env_remove("XDG_CONFIG_HOME").env_remove("SUDO_USER");
        command.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        let said = said(&command.output().unwrap());
        Said { out: self.anonymous(&said.out), err: self.anonymous(&said.err), ..said }
    }

    /// `service install` of the configuration, with these flags.
    fn install(&self, flags: &[&str]) -> Said {
        let config = self.path("config.json").display().to_string();
        let all: Vec<_> = ["install", "--config", &config].into_iter().chain(flags.iter().copied()).collect();
        self.service(&all)
    }

    /// The text with what is different on each machine replaced.
    fn anonymous(&self, text: &str) -> String {
        let home = self.path("").display().to_string();
        let program = Path::new(PROGRAM).canonicalize().unwrap();
        let folder = program.parent().unwrap().display().to_string();
        let me = User::from_uid(geteuid()).unwrap().unwrap().name;
        text.replace(home.trim_end_matches('/'), "HOME")
            .replace(&folder, "BIN")
            .replace(&format!("User={me}\n"), "User=ME\n")
            .replace(&format!("<string>{me}</string>"), "<string>ME</string>")
            .replace(&format!("_user={me}\n"), "_user=ME\n")
            .replace(&format!("--owner {me} "), "--owner ME ")
    }
}

/// A transcript from the folder beside this file.
fn transcript(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/service").join(name);
    std::fs::read_to_string(&path).unwrap_or_default()
}

#[track_caller]
fn assert_transcript(name: &str, said: &Said) {
    assert_eq!(said.code, 0, "{said:?}");
    let is_warning = |line: &&str| line.starts_with("warning: ");
    let lines: Vec<_> = said.out.lines().filter(|line| !is_warning(line)).collect();
    let text = lines.join("\n") + "\n";
    assert_eq!(text, transcript(name), "\n--- it says now\n{text}\n--- and should say {name}");
}

#[test]
fn svc_01_a_dry_run_shows_the_unit_and_the_commands_of_each_manager_and_changes_nothing() {
    let home = Home::new();
    for (name, flags) in [
        ("systemd-system.txt", &["--manager", "systemd"][..]),
        ("systemd-user.txt", &["--manager", "systemd", "--user"]),
        ("launchd-user.txt", &["--manager", "launchd", "--user"]),
        ("openrc.txt", &["--manager", "openrc"]),
        ("windows.txt", &["--manager", "sc", "--name", "proxylm-2"]),
    ] {
        let flags: Vec<_> = flags.iter().copied().chain(["--dry-run"]).collect();
        let said = home.install(&flags);
        // What depends on who tests and where: root's own rights, and folders that are in homes or temporary.
        let out = said.out.replace("=CAP_DAC_OVERRIDE\n", "=\n").replace("=read-only\n", "=yes\n");
        assert_transcript(name, &Said { out: out.replace("PrivateTmp=yes\n", ""), ..said });
    }
    assert_eq!(home.calls(), [""; 0]);
    assert!(!home.path(".config").exists() && !home.path("Library").exists());
}

#[test]
fn svc_01_a_users_service_is_installed_driven_and_removed_by_systemctl() {
    let home = Home::new();
    home.systemctl("loaded", "active");
    let installed = home.install(&["--user"]);
    assert_eq!(installed.code, 0, "{installed:?}");
    for line in [
        "installed proxylm as a user service of systemd",
        "  wrote    HOME/.config/systemd/user/proxylm.service",
        "  config   HOME/config.json",
        "now:   proxylm service start --user",
        "undo:  proxylm service uninstall --user",
    ] {
        assert!(installed.out.lines().any(|said| said == line), "{line}:\n{}", installed.out);
    }
    let unit = home.path(".config/systemd/user/proxylm.service");
    let written = home.anonymous(&std::fs::read_to_string(&unit).unwrap());
    assert!(
        transcript("systemd-user.txt").contains(&written),
        "the dry run shows what is written:\n{written}"
    );
    assert_eq!(std::fs::metadata(&unit).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(home.calls(), ["systemctl --user enable HOME/.config/systemd/user/proxylm.service"]);

    for (verb, said) in [("start", "started"), ("stop", "stopped"), ("restart", "restarted")] {
        let done = home.service(&[verb, "--user"]);
        assert_eq!((done.code, done.out.trim()), (0, format!("{said} the user service proxylm").as_str()));
        assert_eq!(home.calls().last().unwrap(), &format!("systemctl --user {verb} proxylm"));
    }
    let again = home.install(&["--user"]);
    assert!(
        again.out.contains("replaced") && again.out.contains("now:   proxylm service restart"),
        "{again:?}"
    );
    home.calls();

    let removed = home.service(&["uninstall", "--user"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    assert_eq!(
        home.calls(),
        [
            "systemctl --user stop proxylm",
            "systemctl --user disable HOME/.config/systemd/user/proxylm.service",
            "systemctl --user daemon-reload"
        ]
    );
    assert!(!unit.exists() && home.path("config.json").exists());
    let nothing = home.service(&["uninstall", "--user"]);
    assert_eq!(nothing.code, 4, "{nothing:?}");
    assert!(nothing.err.contains("there is no user service proxylm") && nothing.err.contains("hint: "));
}

#[test]
fn the_unit_goes_where_xdg_says() {
    let home = Home::new();
    home.systemctl("loaded", "inactive");
    let config = home.path("config.json").display().to_string();
    let mut command = command(Path::new(PROGRAM), &["service", "install", "--user", "--config", &config]);
    command.env("HOME", home.path("")).env("XDG_CONFIG_HOME", home.path("xdg")).env_remove("SUDO_USER");
    command.env("PATH", home.path("bin"));
    let said = said(&command.output().unwrap());
    assert_eq!(said.code, 0, "{said:?}");
    assert!(home.path("xdg/systemd/user/proxylm.service").exists());
}

#[test]
fn svc_01_status_is_one_word_and_an_exit_code() {
    let home = Home::new();
    for (load, active, word, code) in [
        ("loaded", "active", "running", 0),
        ("loaded", "activating", "starting", 3),
        ("loaded", "inactive", "stopped", 3),
        ("loaded", "failed", "failed", 3),
        ("not-found", "inactive", "not installed", 4),
    ] {
        home.systemctl(load, active);
        let said = home.service(&["status", "--user", "--name", "other"]);
        assert_eq!((said.out.trim(), said.code), (word, code), "{said:?}");
    }
    assert!(
        home.calls()[0].ends_with("systemctl --user show --property=LoadState,ActiveState other.service")
    );
    home.manager("systemctl", "echo 'Failed to connect to bus' >&2; exit 1");
    let said = home.service(&["status", "--user"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("Failed to connect to bus") && said.err.contains("enable-linger"), "{said:?}");
    for verb in ["start", "stop", "restart"] {
        home.systemctl("not-found", "inactive");
        assert_eq!(home.service(&[verb, "--user"]).code, 4);
    }
}

#[test]
fn what_cannot_start_is_not_installed() {
    let home = Home::new();
    home.systemctl("not-found", "inactive");
    home.write("config.json", "{\"backends\": [{\"name\": \"b\", \"uri\": \"http://x\"}]}", 0o600);
    let wrong = home.install(&["--user"]);
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(
        wrong.err.contains("uri") && wrong.err.contains("config validate --config HOME/config.json"),
        "{wrong:?}"
    );
    home.configure(home.path("nowhere/history.db").to_str().unwrap());
    let nowhere = home.install(&["--user"]);
    assert_eq!(nowhere.code, 1, "{nowhere:?}");
    assert!(nowhere.err.contains("cannot write to the folder HOME/nowhere"), "{nowhere:?}");
    assert!(nowhere.err.contains("storage.database_path"), "{nowhere:?}");
    assert!(!home.path(".config").exists());
    assert_eq!(home.calls(), [""; 0]);
}

#[test]
fn what_cannot_be_registered_leaves_nothing_behind() {
    let home = Home::new();
    home.manager("systemctl", "echo 'Failed to connect to bus: No medium found' >&2; exit 1");
    let said = home.install(&["--user"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("No medium found") && said.err.contains("enable-linger"), "{said:?}");
    assert!(!home.path(".config/systemd/user/proxylm.service").exists());
}

#[test]
fn a_file_that_somebody_else_wrote_is_left_alone() {
    let home = Home::new();
    home.systemctl("loaded", "inactive");
    home.write(".config/systemd/user/proxylm.service", "[Service]\nExecStart=/bin/true\n", 0o644);
    for said in [home.install(&["--user"]), home.service(&["uninstall", "--user"])] {
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains("was not written by proxylm") && said.err.contains("--name"), "{said:?}");
    }
    assert_eq!(home.calls(), [""; 0]);
}

#[test]
fn launchd_is_told_to_load_start_and_remove() {
    let home = Home::new();
    home.manager("launchctl", "case \"$1\" in print) echo '  state = running';; esac");
    let launchd = ["--user", "--manager", "launchd"];
    let installed = home.install(&launchd);
    assert_eq!(installed.code, 0, "{installed:?}");
    let list = home.path("Library/LaunchAgents/proxylm.plist");
    assert!(std::fs::read_to_string(&list).unwrap().contains("<key>Disabled</key>"));
    assert_eq!(home.calls(), ["launchctl load HOME/Library/LaunchAgents/proxylm.plist"]);
    let started = home.service(&["start", "--user", "--manager", "launchd"]);
    assert_eq!(started.code, 0, "{started:?}");
    assert!(
        !std::fs::read_to_string(&list).unwrap().contains("Disabled"),
        "it starts with the login from now on"
    );
    let log = home.service(&["logs", "--user", "--manager", "launchd", "--dry-run"]);
    assert_eq!(log.out.trim(), "would run: tail -n 200 HOME/state/proxylm.log");
    home.calls();
    let removed = home.service(&["uninstall", "--user", "--manager", "launchd"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    assert_eq!(home.calls(), ["launchctl remove proxylm"]);
    assert!(!list.exists());
}

#[test]
fn windows_is_told_to_create_describe_and_mend() {
    let home = Home::new();
    home.manager("sc.exe", "");
    let sc = ["--manager", "sc", "--name", "proxylm-2"];
    if !geteuid().is_root() {
        return;
    }
    let installed = home.install(&sc);
    assert_eq!(installed.code, 0, "{installed:?}");
    let (shown, called) = (transcript("windows.txt"), home.calls());
    let bare = |line: &str| line.replace(['\'', '"'], "");
    let shown: Vec<_> = shown.lines().map(|line| bare(line.trim_start_matches("would run: "))).collect();
    assert_eq!(called.iter().map(|line| bare(line)).collect::<Vec<_>>(), shown);
}

#[test]
fn wrong_uses_are_told_with_a_way_out() {
    let home = Home::new();
    home.systemctl("not-found", "inactive");
    let users = home.install(&["--user", "--manager", "openrc", "--dry-run"]);
    assert!(users.code == 2 && users.err.contains("hint: leave out --user"), "{users:?}");
    let missing = home.install(&["--user", "--manager", "launchd"]);
    assert!(missing.code == 1 && missing.err.contains("launchd is not on this system"), "{missing:?}");
    let name = home.service(&["status", "--name", "a.b"]);
    assert!(name.code == 2 && name.err.contains("letters, digits"), "{name:?}");
    let nobody = home.install(&["--dry-run", "--manager", "systemd", "--account", "no-such-user-here"]);
    assert!(nobody.code == 1 && nobody.err.contains("there is no user no-such-user-here"), "{nobody:?}");
    if !geteuid().is_root() {
        let denied = home.install(&["--manager", "systemd"]);
        assert!(
            denied.code == 1 && denied.err.contains("belong to root") && denied.err.contains("--user"),
            "{denied:?}"
        );
    }
    let unread = home.install(&["--dry-run", "--manager", "systemd", "--account", "nobody"]);
    assert!(unread.code == 1 && unread.err.contains("nobody cannot "), "{unread:?}");
}

#[test]
fn the_packaged_units_restrain_as_much_as_those_we_write() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    for (unit, dry_run, others) in [
        (
            "proxylm.service",
            "systemd-system.txt",
            &["TimeoutStopSec", "ReadWritePaths", "ExecStart", "User"][..],
        ),
        ("user/proxylm.service", "systemd-user.txt", &["TimeoutStopSec", "ExecStart"]),
    ] {
        let packaged = std::fs::read_to_string(root.join(unit)).unwrap();
        let written = transcript(dry_run);
        let settings = written.lines().filter(|line| line.contains('=') && !line.starts_with('#'));
        for line in settings.filter(|line| !line.contains("BIN")) {
            let is_other = others.iter().any(|key| line.starts_with(&format!("{key}=")));
            assert!(is_other || packaged.lines().any(|said| said == line), "{unit} does not say {line}");
        }
    }
}

#[test]
fn the_packaged_configuration_cannot_start_until_it_is_edited() {
    let home = Home::new();
    let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/debian/config.yaml");
    home.write("config.yaml", &std::fs::read_to_string(packaged).unwrap(), 0o600);
    let path = home.path("config.yaml");
    let validate = |keys: &[(&str, &str)]| {
        let mut command =
            command(Path::new(PROGRAM), &["config", "validate", "--config", path.to_str().unwrap()]);
        command.env_remove("PROXYLM_CLIENT_KEY").env_remove("PROXYLM_ADMIN_KEY").envs(keys.iter().copied());
        said(&command.output().unwrap())
    };
    let unedited = validate(&[]);
    assert!(unedited.code == 1 && unedited.err.contains("PROXYLM_CLIENT_KEY"), "{unedited:?}");
    let edited = validate(&[("PROXYLM_CLIENT_KEY", "sk-1"), ("PROXYLM_ADMIN_KEY", "sk-2")]);
    assert_eq!(edited.code, 0, "{edited:?}");
}

/// An instance that was started by a service manager: us.
struct Served {
    process: Child,
    manager: UnixDatagram,
}

impl Served {
    fn start(home: &Home, socket: &UnixDatagram, name: &str, watchdog_us: &str) -> Self {
        let (config, run_dir) = (home.path("config.json"), home.path("run"));
        let mut command = command(Path::new(PROGRAM), &["serve", "--config", config.to_str().unwrap()]);
        command.arg("--run-dir").arg(run_dir);
        command.env("NOTIFY_SOCKET", name).env("WATCHDOG_USEC", watchdog_us).env_remove("WATCHDOG_PID");
        Self { process: Command::spawn(&mut command).unwrap(), manager: socket.try_clone().unwrap() }
    }

    /// What is heard next.
    #[track_caller]
    fn hear(&self) -> String {
        let mut heard = [0; 500];
        let length = self.manager.recv(&mut heard).expect("nothing is heard");
        String::from_utf8_lossy(&heard[..length]).into_owned()
    }

    /// The first message that is no sign of life.
    #[track_caller]
    fn hear_news(&self) -> String {
        std::iter::repeat_with(|| self.hear()).find(|text| text != "WATCHDOG=1").unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_service_manager_hears_that_it_serves_that_it_lives_and_that_it_ends() {
    let home = Home::new();
    let path = home.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut served = Served::start(&home, &manager, path.to_str().unwrap(), "400000");
    let ready = served.hear_news();
    let address = ready.strip_prefix("READY=1\nSTATUS=serving at http://").expect(&ready);
    assert!(std::net::TcpStream::connect(address).is_ok(), "it serves when it says so");
    for _ in 0..2 {
        assert_eq!(served.hear(), "WATCHDOG=1");
    }
    kill(Pid::from_raw(served.process.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(served.hear_news(), "STOPPING=1\nSTATUS=finishing what runs");
    assert!(served.process.wait().unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
fn the_managers_socket_may_have_no_file_and_an_operators_stop_is_told_too() {
    use std::os::linux::net::SocketAddrExt;

    let home = Home::new();
    let name = format!("proxylm-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    manager.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut served = Served::start(&home, &manager, &format!("@{name}"), "0");
    assert!(served.hear().starts_with("READY=1\n"));
    let run_dir = home.path("run");
    let stop = ["ctl", "--run-dir", run_dir.to_str().unwrap(), "stop"];
    assert!(command(Path::new(PROGRAM), &stop).status().unwrap().success());
    assert!(served.hear().starts_with("STOPPING=1\n"), "and no sign of life that nobody wants");
    assert!(served.process.wait().unwrap().success());
}
