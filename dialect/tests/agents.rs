//! What today's agents and SDKs send, at backends of other dialects: nothing that works elsewhere is refused, nothing that
//! matters is lost, and no warning stands on every request.

#[path = "agents/exchange.rs"]
mod exchange;

#[path = "agents/claude_code.rs"]
mod claude_code;
#[path = "agents/codex.rs"]
mod codex;
#[path = "agents/histories.rs"]
mod histories;
#[path = "agents/openai_models.rs"]
mod openai_models;
