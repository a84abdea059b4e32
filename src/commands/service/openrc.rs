//! The script that the manager `OpenRC` runs.

use super::plan::Plan;

/// The script's text, without the lines that say what it is and who wrote it.
pub(crate) fn script(plan: &Plan) -> String {
    let name = &plan.name;
    let arguments: Vec<_> =
        plan.arguments(Some(&format!("/run/{name}"))).iter().map(|word| shell(word)).collect();
    let account = plan.account.as_ref().map_or("root", |account| account.name());
    let (program, folder) = (plan.program.display().to_string(), plan.folder.display().to_string());
    format!(
        r#"description="proxylm, an LLM proxy that queues by model"
supervisor=supervise-daemon
command={program}
command_args={arguments}
command_user={account}
directory={folder}
umask=0077
respawn_delay=2
respawn_max=5
respawn_period=60
retry="TERM/{stop}/KILL/5"
output_log=/var/log/{name}.log
error_log=/var/log/{name}.log

depend() {{
	use net dns
	after firewall
}}

start_pre() {{
	checkpath --directory --owner {account} --mode 0700 /run/{name}
	checkpath --file --owner {account} --mode 0640 /var/log/{name}.log
}}
"#,
        program = shell(&program),
        // The manager reads the words in it as a shell does, once more.
        arguments = shell(&arguments.join(" ")),
        folder = shell(&folder),
        stop = plan.stop_seconds(),
    )
}

/// The file that its log goes to.
pub(crate) fn log(name: &str) -> String {
    format!("/var/log/{name}.log")
}

/// `text` as one word of a shell.
fn shell(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word() {
        assert_eq!(shell("/opt/proxylm"), "/opt/proxylm");
        assert_eq!(shell("/a b/it's"), r"'/a b/it'\''s'");
        assert_eq!(shell("$(x)"), "'$(x)'");
    }
}
