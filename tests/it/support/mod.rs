//! What the whole-binary tests share: a real instance, a scripted upstream, a small client, and waiting by predicate.

pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod engine;
pub(crate) mod http;
pub(crate) mod instance;
pub(crate) mod replay;
pub(crate) mod script;
pub(crate) mod speaker;
pub(crate) mod upstream;
pub(crate) mod wait;

pub(crate) use client::{Answer, Client};
pub(crate) use engine::Engine;
pub(crate) use instance::{Instance, KEY, Setup};
pub(crate) use script::{Gate, Script};
pub(crate) use upstream::Upstream;
pub(crate) use wait::wait_until;
