//! `proxylm completions` and `proxylm man`: what can be made from the command line itself.

use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::report::{FAILED, Failure};

/// The command line as people may use it. Hidden commands are for supervisors; a shell would offer them all the same.
fn command() -> Command {
    let whole = Cli::command();
    let visible: Vec<Command> = whole.get_subcommands().filter(|one| !one.is_hide_set()).cloned().collect();
    Command::new("proxylm")
        .about(whole.get_about().cloned().unwrap_or_default())
        .version(super::version())
        .disable_help_subcommand(true)
        .subcommands(visible)
}

/// The script that completes the command line in `shell`.
pub(super) fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "proxylm", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page of the program; or writes those of all commands into `folder`, and says so.
pub(super) fn man(folder: Option<&Path>) -> Result<String, Failure> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        Man::new(command()).render(&mut page).map_err(|error| Failure::of(&error, FAILED))?;
        return Ok(String::from_utf8_lossy(&page).into_owned());
    };
    clap_mangen::generate_to(command(), folder).map_err(|error| {
        Failure::new(format!("cannot write manual pages into {}: {error}", folder.display()), FAILED)
            .with_hint("name a directory that is there and can be written".to_owned())
    })?;
    Ok(format!("manual pages are in {0}; read one with `man {0}/proxylm.1`", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_is_offered_what_people_may_use_and_nothing_else() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let script = completions(shell);
            assert!(script.contains("undrain") && script.contains("proxylm"), "{shell}: {script}");
            assert!(!script.contains("__frontend") && !script.contains("__worker"), "{shell}");
        }
    }
}
