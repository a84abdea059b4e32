//! The property list that launchd reads.

use std::fmt::Write as _;

use super::plan::{Plan, Scope};

/// How many files it may open: launchd's own limit is a few hundred, and every client is one.
const OPEN_FILES: u32 = 65_536;

/// The property list's text, without the line that says who wrote it.
///
/// It says `Disabled`: launchd starts at once what is to be kept alive, and a service starts when it is told to. The
/// first start takes the word out.
pub(crate) fn property_list(plan: &Plan) -> String {
    let mut list = List(String::new());
    let log = log(plan);
    list.string("Label", &plan.name);
    list.key("ProgramArguments");
    list.line("  <array>");
    let run_dir = run_dir(plan);
    let program = plan.program.display().to_string();
    for argument in [program].into_iter().chain(plan.arguments(run_dir.as_deref())) {
        list.line(&format!("    <string>{}</string>", escaped(&argument)));
    }
    list.line("  </array>");
    list.string("WorkingDirectory", &plan.folder.display().to_string());
    if let Some(account) = &plan.account {
        list.string("UserName", account.name());
    }
    list.integer("Umask", 0o077);
    list.truth("RunAtLoad");
    // Kept alive unless it ended because it was told to.
    list.key("KeepAlive");
    list.line("  <dict><key>SuccessfulExit</key><false/></dict>");
    list.integer("ThrottleInterval", 5);
    list.integer("ExitTimeOut", plan.stop_seconds());
    list.key("SoftResourceLimits");
    list.line(&format!("  <dict><key>NumberOfFiles</key><integer>{OPEN_FILES}</integer></dict>"));
    list.string("StandardOutPath", &log);
    list.string("StandardErrorPath", &log);
    list.truth("Disabled");
    format!(
        "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n{}</dict>\n</plist>\n",
        list.0
    )
}

/// The file that its log goes to.
pub(crate) fn log(plan: &Plan) -> String {
    plan.state.join(format!("{}.log", plan.name)).display().to_string()
}

/// Where a daemon's sockets are: it has no temporary directory that others could find. An agent has its user's.
fn run_dir(plan: &Plan) -> Option<String> {
    let is_default = plan.scope == Scope::User && plan.name == super::USUAL_NAME;
    (!is_default).then(|| plan.state.join(format!("{}-run", plan.name)).display().to_string())
}

struct List(String);

impl List {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.0, "{text}");
    }

    fn key(&mut self, key: &str) {
        self.line(&format!("  <key>{key}</key>"));
    }

    fn string(&mut self, key: &str, value: &str) {
        self.key(key);
        self.line(&format!("  <string>{}</string>", escaped(value)));
    }

    fn integer(&mut self, key: &str, value: u64) {
        self.key(key);
        self.line(&format!("  <integer>{value}</integer>"));
    }

    fn truth(&mut self, key: &str) {
        self.key(key);
        self.line("  <true/>");
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_mean_something_in_xml_is_escaped() {
        assert_eq!(escaped("/a&b/<c>"), "/a&amp;b/&lt;c&gt;");
    }
}
