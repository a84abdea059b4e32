//! Gemini as a client and as a backend, one against the other through the hub.

mod answers;
mod properties;
mod requests;
mod scene;
mod streams;
mod vectors;
