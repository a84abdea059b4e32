//! OpenAI's dialect on both sides: what comes in one way must go out the same way.

#[path = "openai/answers.rs"]
mod answers;
#[path = "openai/bare.rs"]
mod bare;
#[path = "openai/exchange.rs"]
mod exchange;
#[path = "openai/properties.rs"]
mod properties;
#[path = "openai/requests.rs"]
mod requests;
#[path = "openai/streams.rs"]
mod streams;
#[path = "openai/vectors.rs"]
mod vectors;
