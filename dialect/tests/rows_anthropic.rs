//! The known cases of translations that have Anthropic's dialect on one side: to its backends, and to its clients.

#[path = "openai/exchange.rs"]
mod exchange;
#[path = "anthropic/rows_answers.rs"]
mod rows_answers;
#[path = "anthropic/rows_settings.rs"]
mod rows_settings;
#[path = "anthropic/rows_streams.rs"]
mod rows_streams;
#[path = "anthropic/rows_thinking.rs"]
mod rows_thinking;
#[path = "anthropic/rows_turns.rs"]
mod rows_turns;
