//! The configuration in force, for people: every key with its value, defaults filled in, keys masked.

use std::net::Ipv4Addr;

use serde_json::Value as Json;

use super::Config;
use super::file::{Count, Kind};

/// The configuration in force, as YAML. Every key's text is replaced by `***`. What was decided at the start is shown as
/// it was decided; `auto` stays where a backend itself and what is measured decide, again and again.
pub fn show(config: &Config) -> String {
    block(&effective(config)).into_iter().map(|line| line + "\n").collect()
}

fn effective(config: &Config) -> Json {
    let mut file = config.file.clone();
    file.schema = None;
    file.proxy.host.clone_from(&config.host);
    file.proxy.log_level = config.log_level.into();
    file.proxy.frontends = Count::Exactly(config.frontends.into());
    file.proxy.shutdown_grace_seconds = u32::try_from(config.shutdown_grace.as_secs()).ok();
    file.proxy.limits.shutdown_grace_seconds = None;
    file.proxy.limits.shutdown_seconds = None;
    file.storage.database_path = config.database_path.display().to_string();
    file.scheduler.record = config.record().map(|path| path.display().to_string());
    for (written, meant) in file.backends.iter_mut().zip(&config.backends) {
        written.url.clone_from(&meant.catalog.url);
        if written.kind == Kind::Unsaid {
            written.kind = Kind::OpenAi;
        }
        written.slots = meant.catalog.slots.map_or(Count::Auto, Count::Exactly);
        written.max_concurrency = None;
        written.first_byte_timeout_seconds = u32::try_from(meant.timeouts.first_event_ms / 1000).ok();
        written.header_timeout_seconds = None;
    }
    serde_json::to_value(file).expect("our own types have string keys and finite numbers")
}

/// The lines of a map or a list that is not empty; those of anything else are its one.
fn block(value: &Json) -> Vec<String> {
    match value {
        Json::Object(entries) if !entries.is_empty() => {
            entries.iter().flat_map(|(name, value)| entry(name, value)).collect()
        }
        Json::Array(list) if !list.is_empty() => list.iter().flat_map(element).collect(),
        Json::String(text) => vec![scalar(text)],
        other => vec![other.to_string()],
    }
}

fn entry(name: &str, value: &Json) -> Vec<String> {
    let name = scalar(name);
    if is_block(value) {
        let indented = block(value).into_iter().map(|line| format!("  {line}"));
        std::iter::once(format!("{name}:")).chain(indented).collect()
    } else {
        vec![format!("{name}: {}", block(value).concat())]
    }
}

fn element(value: &Json) -> Vec<String> {
    let lead = |index| if index == 0 { "- " } else { "  " };
    block(value).into_iter().enumerate().map(|(index, line)| format!("{}{line}", lead(index))).collect()
}

fn is_block(value: &Json) -> bool {
    value.as_object().is_some_and(|entries| !entries.is_empty())
        || value.as_array().is_some_and(|list| !list.is_empty())
}

/// `text` as a YAML scalar that reads as text again.
fn scalar(text: &str) -> String {
    let starts_well = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/');
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./:".contains(&byte));
    let means_more = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let means_more = means_more.iter().any(|word| text.eq_ignore_ascii_case(word)) || text.ends_with(':');
    let is_plain = is_plain && !means_more && (starts_well || text.parse::<Ipv4Addr>().is_ok());
    if is_plain { text.to_owned() } else { Json::from(text).to_string() }
}
