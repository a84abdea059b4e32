//! The log of a service, from where its manager keeps it.

use std::process::{Command, ExitCode};

use super::plan::Scope;
use super::state::NOT_INSTALLED;
use super::target::{Manager, Target};
use super::{not_installed, openrc};
use crate::report::{FAILED, Failure};

/// The command that shows the last `lines` lines of the log, and new ones as they come if `follow` says so.
pub(crate) fn command(target: &Target, lines: u32, follow: bool) -> Result<Vec<String>, Failure> {
    let number = lines.to_string();
    let file = match target.manager {
        Manager::Systemd => {
            let user = (target.scope == Scope::User).then_some("--user");
            let mut words = vec!["journalctl"];
            words.extend(user);
            words.extend(["--unit", &target.name, "--lines", &number, "--no-pager"]);
            words.extend(follow.then_some("--follow"));
            return Ok(words.into_iter().map(ToOwned::to_owned).collect());
        }
        Manager::Launchd => log_of_list(target)?,
        Manager::OpenRc => openrc::log(&target.name),
        Manager::Sc => {
            let failure = Failure::new("Windows keeps no log of a service", FAILED);
            return Err(
                failure.with_hint("stop it and run `proxylm serve` in a console to see its log".to_owned())
            );
        }
    };
    let mut words = vec!["tail".to_owned(), "-n".to_owned(), number];
    words.extend(follow.then(|| "-F".to_owned()));
    words.push(file);
    Ok(words)
}

/// Shows it; ends as the command that shows it does.
pub(crate) fn show(words: &[String]) -> Result<ExitCode, Failure> {
    let ended = Command::new(&words[0])
        .args(&words[1..])
        .status()
        .map_err(|error| Failure::new(format!("cannot run {}: {error}", words[0]), FAILED))?;
    let code = ended.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED);
    Ok(ExitCode::from(code))
}

/// The file that the property list names.
fn log_of_list(target: &Target) -> Result<String, Failure> {
    let file = target.file()?.unwrap_or_default();
    let text = std::fs::read_to_string(&file).map_err(|_| not_installed(target, NOT_INSTALLED))?;
    named_log(&text)
        .ok_or_else(|| Failure::new(format!("{} names no file for the log", file.display()), FAILED))
}

fn named_log(list: &str) -> Option<String> {
    let (_, rest) = list.split_once("<key>StandardErrorPath</key>")?;
    let (_, rest) = rest.split_once("<string>")?;
    let (path, _) = rest.split_once("</string>")?;
    Some(path.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_list_names_its_log() {
        let list = "<key>StandardErrorPath</key>\n\t<string>/a &amp; b/x.log</string>";
        assert_eq!(named_log(list).as_deref(), Some("/a & b/x.log"));
        assert_eq!(named_log("<key>Label</key><string>x</string>"), None);
    }
}
