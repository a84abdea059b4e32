//! A real worker between a scripted supervisor, a scripted frontend and a scripted backend.

mod answers;
mod calls;
mod control;
mod fakes;
mod probes;
mod streams;
mod support;
