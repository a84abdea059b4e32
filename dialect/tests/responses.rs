//! OpenAI's Responses API against itself: what a client says comes out at a backend, and back, through the hub.

#[path = "responses/alone.rs"]
mod alone;
#[path = "responses/exchange.rs"]
mod exchange;

#[path = "responses/answers.rs"]
mod answers;
#[path = "responses/requests.rs"]
mod requests;
#[path = "responses/streams.rs"]
mod streams;
