//! `proxylm tui` on a real pseudo-terminal: tmux is the terminal, keys are typed and the screen is read.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::command::{PROGRAM, run};
use crate::support::{Gate, Script, Setup, Upstream, wait_until};

/// A terminal with a shell in it that runs one command and then says how it ended.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Opens one in `dir`; `None`, and a line that says so, where there is no tmux.
    fn open(dir: &Path, width: u16, height: u16, command: &str) -> Option<Self> {
        let terminal = Self { socket: dir.join("tmux.sock") };
        let then =
            "; echo \"ended with $?\"; stty -a | tr ' ;' '\\n\\n' | grep -x -e icanon -e -icanon; exec cat";
        let (width, height) = (width.to_string(), height.to_string());
        let script = format!("{command}{then}");
        let size = ["-x", &width, "-y", &height];
        let began = terminal
            .tmux()
            .args(["-f", "/dev/null", "new-session", "-d"])
            .args(size)
            .args(["sh", "-c", &script])
            .env_remove("NO_COLOR")
            .env_remove("PROXYLM_NO_UNICODE")
            .env("LC_ALL", "C.UTF-8")
            .stderr(Stdio::null())
            .status();
        match began {
            Ok(status) if status.success() => Some(terminal),
            _ => {
                println!(
                    "SKIPPED: tmux is not installed or does not start, so the screen was not tried on a terminal"
                );
                None
            }
        }
    }

    fn tmux(&self) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-u").arg("-S").arg(&self.socket).stdin(Stdio::null());
        command
    }

    fn tell(&self, arguments: &[&str]) -> String {
        let output = self.tmux().args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn press(&self, keys: &[&str]) {
        self.tell(&[&["send-keys"], keys].concat());
    }

    fn text(&self) -> String {
        self.tell(&["capture-pane", "-p"])
    }

    /// Waits until every one of `parts` is on the screen.
    #[track_caller]
    fn shows(&self, parts: &[&str]) {
        let mut text = String::new();
        let mut look = || {
            text = self.text();
            parts.iter().all(|part| text.contains(part))
        };
        let is_shown = crate::support::wait::wait_for(|| look().then_some(())).is_some();
        assert!(is_shown, "the screen does not show {parts:?}:\n{text}");
    }

    /// Waits until the command has ended and the terminal is as it was: no other screen, no mouse, a cursor, lines.
    #[track_caller]
    fn is_given_back(&self) {
        self.shows(&["ended with 0", "icanon"]);
        assert!(!self.text().contains("-icanon"), "{}", self.text());
        let state = self.tell(&["display-message", "-p", "#{alternate_on} #{mouse_any_flag} #{cursor_flag}"]);
        assert_eq!(state.trim(), "0 0 1");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tell(&["kill-server"]);
    }
}

fn watching(dir: &Path) -> String {
    format!("{PROGRAM} tui --run-dir {}", dir.join("run").display())
}

#[test]
fn tui_08_the_screen_shows_acts_survives_a_restart_and_gives_the_terminal_back() {
    let (first, second) = (Upstream::start(&["a"]), Upstream::start(&["b"]));
    let instance = Setup::with_two(&first, &second).start();
    let gate = Gate::default();
    first.next(Script::json("{}").after(&gate));
    let call = instance.client().start_chat("a");
    first.wait_for(1);
    let command = watching(instance.dir());
    let place = TempDir::with_prefix("plm").unwrap();
    let Some(terminal) = Terminal::open(place.path(), 120, 40, &command) else { return };
    terminal.shows(&["ProxyLM 0.1.0 running", "b1", "b2", "▶ running", "Running: 1", "Servers: 2/2 healthy"]);

    terminal.press(&["Down", "Enter"]);
    terminal.shows(&["Queue wait", "running (attempt 1)"]);
    terminal.press(&["d"]);
    terminal.shows(&["Drain b1?"]);
    terminal.press(&["n", "d", "y"]);
    wait_until("the backend drains", || instance.backend("b1").draining);
    terminal.shows(&["draining"]);
    terminal.press(&["/", "z", "z", "Enter"]);
    terminal.shows(&["filter: zz", "no request fits the filter"]);
    terminal.press(&["Escape", "v"]);
    terminal.shows(&["Turns", "now", "▶ running"]);
    gate.open_for_all();
    assert_eq!(call.answer().status, 200);
    terminal.shows(&["✓ completed", "Done/30m: 1"]);

    let mut instance = instance;
    instance.signal(Signal::SIGKILL);
    instance.wait_for_exit();
    terminal.shows(&["ProxyLM reconnecting…"]);
    let instance = instance.start_again();
    terminal.shows(&["ProxyLM 0.1.0 running", "Servers: 2/2 healthy"]);
    terminal.tell(&["resize-window", "-x", "60", "-y", "24"]);
    terminal.shows(&["completed", "q Quit"]);
    terminal.tell(&["resize-window", "-x", "50", "-y", "24"]);
    terminal.shows(&["terminal too narrow (min 60)"]);
    terminal.press(&["q"]);
    terminal.is_given_back();
    drop(instance);
}

#[test]
fn a_signal_and_ctrl_c_give_the_terminal_back() {
    let instance = Setup::new().fake("b", &["m"], serde_json::json!({})).start();
    for signal in [None, Some(Signal::SIGTERM), Some(Signal::SIGHUP)] {
        let place = TempDir::with_prefix("plm").unwrap();
        let pid = place.path().join("pid");
        let command = format!("sh -c 'echo $$ > {}; exec {}'", pid.display(), watching(instance.dir()));
        let Some(terminal) = Terminal::open(place.path(), 80, 24, &command) else { return };
        terminal.shows(&["ProxyLM 0.1.0 running"]);
        match signal {
            None => terminal.press(&["C-c"]),
            Some(signal) => {
                let pid = std::fs::read_to_string(&pid).unwrap();
                kill(Pid::from_raw(pid.trim().parse().unwrap()), signal).unwrap();
            }
        }
        terminal.is_given_back();
    }
}

#[test]
fn without_an_instance_or_a_terminal_there_is_a_reason_and_no_screen() {
    let dir = TempDir::with_prefix("plm").unwrap();
    let said = run(&["tui", "--run-dir", &dir.path().display().to_string()]);
    assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
    assert!(
        said.err.contains("no proxylm is running in") && said.err.contains("hint: start one"),
        "{said:?}"
    );
    let instance = Setup::new().fake("b", &["m"], serde_json::json!({})).start();
    let said = run(&["tui", "--run-dir", &instance.dir().join("run").display().to_string()]);
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.contains("the terminal cannot be used"), "{said:?}");
}
