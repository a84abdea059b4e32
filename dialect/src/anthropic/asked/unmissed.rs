//! What agents send with every request, and nobody misses at a backend that has no place for it.

use serde_json::Value;

use crate::hub::{Extra, Request};

/// Notes the paths of such fields in `request`.
pub(super) fn note(request: &mut Request) {
    let extras = request.extras.iter().filter(|extra| says_nothing(extra)).map(|extra| extra.at.clone());
    let user = request.user.iter().filter(|user| is_about_the_agent(&user.value)).map(|user| user.at.clone());
    request.unmissed = extras.chain(user).collect();
}

fn says_nothing(extra: &Extra) -> bool {
    let value = extra.value.to_value();
    match extra.name.as_str() {
        // Where the prompt's cache ends.
        "cache_control" => extra.at == extra.name,
        // Which thoughts of the history the provider is to leave out.
        "context_management" => {
            let edits = value["edits"].as_array();
            edits.is_some_and(|edits| {
                !edits.is_empty()
                    && edits.iter().all(|edit| {
                        edit["type"].as_str().is_some_and(|kind| kind.starts_with("clear_thinking"))
                    })
            })
        }
        // A tool whose definition may come later is sent at once.
        "defer_loading" => extra.at.starts_with("tools["),
        "allowed_callers" => value == serde_json::json!(["direct"]),
        _ => false,
    }
}

/// Whether the name of a user is what Claude Code says about its own installation and session.
fn is_about_the_agent(user: &str) -> bool {
    let is_older = user.starts_with("user_") && user.contains("_session_");
    is_older || serde_json::from_str::<Value>(user).is_ok_and(|value| value.get("session_id").is_some())
}
