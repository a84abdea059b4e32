//! The known cases of translations that have OpenAI's dialect on one side: to its backends, and to its clients.

#[path = "openai/exchange.rs"]
mod exchange;
#[path = "openai/rows_answers.rs"]
mod rows_answers;
#[path = "openai/rows_requests.rs"]
mod rows_requests;
#[path = "openai/rows_settings.rs"]
mod rows_settings;
#[path = "openai/rows_streams.rs"]
mod rows_streams;
