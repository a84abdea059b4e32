//! From a path to a checked configuration.

use std::io;
use std::path::{Path, PathBuf};

use ipc_proto::secret::Secret;

use super::check::{self, Surroundings};
use super::conform::{Conformed, conform};
use super::demo::{self, Origin};
use super::environment::Environment;
use super::error::{ConfigError, Problem, Warning};
use super::file::File;
use super::mend::mend;
use super::tree::FileFormat;
use super::{Config, LogLevel, schema};

/// What the command line says instead of the file.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Overrides {
    /// For `proxy.host`.
    pub host: Option<String>,
    /// For `proxy.port`.
    pub port: Option<u16>,
    /// For `proxy.log_level`.
    pub log_level: Option<LogLevel>,
    /// Whether two fake backends, and a key for trying them, are added. Then the file may be missing.
    pub demo: bool,
}

/// A configuration that was read.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    /// What it means.
    pub config: Config,
    /// Where it was read from; with a demonstration there may be no such file.
    pub path: PathBuf,
    /// What is odd about it.
    pub warnings: Vec<Warning>,
    /// The key that was added for a demonstration, to be shown once. `None` if no key is asked for anyway.
    pub demo_key: Option<Secret>,
}

/// Larger files are a mistake, and would be held in memory several times over.
const LONGEST_FILE: u64 = 4 << 20;

/// Where the configuration is when nobody says: `config.yaml` in the folder of the program.
pub fn default_path() -> PathBuf {
    super::program_folder().join("config.yaml")
}

/// Reads and checks the configuration at `path`; blocks while it reads. `overrides` count as if the file said so.
///
/// Everything that is wrong with the file's content comes back at once, as [`ConfigError::Wrong`].
pub fn load(path: &Path, overrides: &Overrides) -> Result<Loaded, ConfigError> {
    let wrong = |problems| ConfigError::Wrong { path: path.to_owned(), problems };
    let Some(format) = path.extension().and_then(|ending| FileFormat::of_ending(ending.to_str()?)) else {
        return Err(ConfigError::Ending { path: path.to_owned() });
    };
    let mut warnings = Vec::new();
    let (mut file, conformed, origin) = match read(path) {
        Ok(text) => {
            let folder = path.parent().unwrap_or(Path::new("."));
            let environment = Environment::of_process_and(folder).map_err(|problem| wrong(vec![problem]))?;
            let conformed = read_text(&text, format, &environment).map_err(|problem| wrong(vec![problem]))?;
            if conformed.holds_keys && is_readable_by_others(path) {
                let message = "holds keys, and other users of this machine can read it; make it yours alone (chmod 600)";
                warnings.push(Warning::new("", format!("{} {message}", path.display())));
            }
            (to_file(&conformed).map_err(|problem| wrong(vec![problem]))?, conformed, Origin::File)
        }
        Err(error) if error.is_missing() && overrides.demo => {
            (demo::file_of_nobody(), Conformed::default(), Origin::Nobody)
        }
        Err(error) => return Err(error),
    };
    let demo_key = override_with(overrides, &mut file, origin)?;
    let checked = check::check(file, &conformed.places, &Surroundings::of_process());
    let problems = gather(conformed, checked.problems);
    if !problems.is_empty() {
        return Err(wrong(problems));
    }
    warnings.extend(checked.warnings);
    Ok(Loaded { config: checked.config, path: path.to_owned(), warnings, demo_key })
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > LONGEST_FILE {
        return Err(failed(io::Error::other(format!(
            "it is {length} bytes long, and at most {LONGEST_FILE} are read"
        ))));
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// Reads `text` as far as that is possible without knowing what the values mean together.
pub(super) fn read_text(
    text: &str,
    format: FileFormat,
    environment: &Environment,
) -> Result<Conformed, Problem> {
    let parsed = format.parse(text);
    let mut root = parsed.map_err(|error| {
        let mend = mend(format, &error.message);
        Problem::new("", error.message).at(error.place).hint(mend)
    })?;
    let mut problems = Vec::new();
    environment.fill(&mut root, "", &mut problems);
    let mut conformed = conform(&root, &schema());
    conformed.problems.extend(problems);
    Ok(conformed)
}

fn to_file(conformed: &Conformed) -> Result<File, Problem> {
    serde_path_to_error::deserialize(&conformed.json)
        .map_err(|error| Problem::new(error.path().to_string(), error.inner().to_string()))
}

fn override_with(
    overrides: &Overrides,
    file: &mut File,
    origin: Origin,
) -> Result<Option<Secret>, ConfigError> {
    if let Some(host) = &overrides.host {
        file.proxy.host.clone_from(host);
    }
    if let Some(port) = overrides.port {
        file.proxy.port = port;
    }
    if let Some(level) = overrides.log_level {
        file.proxy.log_level = level.into();
    }
    if overrides.demo { demo::add_to(file, origin) } else { Ok(None) }
}

/// All problems in the file's order. One found later is dropped if it follows from an earlier one: what does not fit
/// was left out, and is not missing.
pub(super) fn gather(conformed: Conformed, found_later: Vec<Problem>) -> Vec<Problem> {
    let Conformed { mut problems, places, .. } = conformed;
    let is_within = |key: &str, outer: &str| {
        outer.is_empty()
            || key.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let earlier: Vec<String> = problems.iter().map(|problem| problem.key.clone()).collect();
    let follows = |problem: &Problem| earlier.iter().any(|earlier| is_within(&problem.key, earlier));
    problems.extend(found_later.into_iter().filter(|problem| !follows(problem)));
    for problem in &mut problems {
        let mut key = problem.key.as_str();
        while problem.place.is_none() {
            problem.place = places.get(key).copied();
            match key.rfind(['.', '[']) {
                Some(end) => key = &key[..end],
                None => break,
            }
        }
    }
    problems.sort_by_key(|problem| problem.place);
    problems
}

#[cfg(unix)]
fn is_readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;

    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o044 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_others(_path: &Path) -> bool {
    false
}
