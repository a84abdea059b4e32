//! A real worker between a scripted supervisor, a scripted frontend and a scripted backend.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod backends_words;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod control;
#[cfg(test)]
mod fakes;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod native;
#[cfg(test)]
mod pairs;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod straight;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod translated;
