//! Clients of the Responses API at other backends, and other clients at a backend that speaks it: what must survive, row
//! by row.

#[path = "responses/exchange.rs"]
mod exchange;

#[path = "responses/as_backend.rs"]
mod as_backend;
#[path = "responses/as_client.rs"]
mod as_client;
