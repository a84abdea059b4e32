//! Options of a request that an engine applies when it loads a model: with other values it loads the model anew.
//!
//! They are Ollama's: members of the object `options`, and the length of context also as a member `num_ctx` of the
//! body itself, where some clients write it. Where both name a context, `options` counts. Other engines take theirs
//! on their command line or when a model is loaded, not with a request. `keep_alive` loads nothing anew and is none
//! of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::layout::Layout;
use crate::members::Members;
use crate::summary::whole_number;

/// The name of the length of context.
pub(crate) const CONTEXT: &str = "num_ctx";

/// The names of the others, and what each is.
const OTHERS: [(&str, Sort); 14] = [
    ("embedding_only", Sort::Flag),
    ("f16_kv", Sort::Flag),
    ("logits_all", Sort::Flag),
    ("low_vram", Sort::Flag),
    ("main_gpu", Sort::Number),
    ("num_batch", Sort::Number),
    // Below zero: as many layers as fit, which is what the engine does unasked.
    ("num_gpu", Sort::Amount),
    ("num_gqa", Sort::Number),
    ("num_thread", Sort::Number),
    ("numa", Sort::Flag),
    ("rope_frequency_base", Sort::Number),
    ("rope_frequency_scale", Sort::Number),
    ("use_mlock", Sort::Flag),
    ("use_mmap", Sort::Flag),
];

/// The longest value taken, in bytes: options travel in every message about the request.
const LONGEST_VALUE: usize = 32;

/// What a value must be to count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Flag,
    Number,
    Amount,
}

impl Sort {
    fn takes(self, value: &str) -> bool {
        let is_number = || value.bytes().next().is_some_and(|first| first == b'-' || first.is_ascii_digit());
        value.len() <= LONGEST_VALUE
            && match self {
                Self::Flag => matches!(value, "true" | "false"),
                Self::Number => is_number(),
                Self::Amount => is_number() && !value.starts_with('-'),
            }
    }
}

/// The load options of one request, or those that a model in memory was loaded with.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct LoadOptions {
    /// The length of context, in tokens (`num_ctx`), at most `u32::MAX`; `None`: the engine's own choice.
    pub context: Option<u64>,
    /// The others, by their name in Ollama's `options` (`num_gpu`, `num_batch`, `use_mmap` and their kin); values
    /// are JSON as the client wrote them.
    pub others: BTreeMap<String, String>,
}

impl LoadOptions {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.context.is_none() && self.others.is_empty()
    }

    /// The load options in a request's `body`; none if it is no JSON object.
    ///
    /// A value that is null, 0 for the context, or of the wrong type counts as none: what to say about it is the
    /// backend's to decide.
    pub fn of(body: &[u8]) -> Self {
        Members::read(body).map(|members| Self::read(members.num_ctx, members.options)).unwrap_or_default()
    }

    /// The same from the two members of a body that can hold any.
    pub(crate) fn read(num_ctx: Option<&RawValue>, options: Option<&RawValue>) -> Self {
        let mut load = Self { context: num_ctx.and_then(context), others: BTreeMap::new() };
        let Some(options) = options.and_then(|options| Layout::read(options.get().as_bytes())) else {
            return load;
        };
        let mut inner_context = None;
        for member in options.members {
            match (member.name().as_deref(), member.value.get()) {
                (Some(CONTEXT), _) => inner_context = context(member.value),
                (Some(name), value) => match sort_of(name) {
                    Some(sort) if sort.takes(value) => {
                        load.others.insert(name.to_owned(), value.to_owned());
                    }
                    // The last of two counts, and this one says nothing.
                    Some(_) => {
                        load.others.remove(name);
                    }
                    None => {}
                },
                (None, _) => {}
            }
        }
        load.context = inner_context.or(load.context);
        load
    }
}

/// Whether a member of `options` with this name is a load option.
pub(crate) fn is_load_option(name: &str) -> bool {
    name == CONTEXT || sort_of(name).is_some()
}

fn sort_of(name: &str) -> Option<Sort> {
    let place = OTHERS.binary_search_by_key(&name, |(other, _)| other).ok()?;
    Some(OTHERS[place].1)
}

fn context(value: &RawValue) -> Option<u64> {
    whole_number(value).filter(|context| (1..=u64::from(u32::MAX)).contains(context))
}

/// What to do with the load options of a request body before it goes to the engine.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LoadEdit {
    /// They stay as the client wrote them.
    #[default]
    Keep,
    /// They are taken out, and these are put in.
    Set(LoadOptions),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(context: Option<u64>, others: &[(&str, &str)]) -> LoadOptions {
        let others = others.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        LoadOptions { context, others }
    }

    #[test]
    fn the_names_are_in_order_so_that_each_is_found() {
        assert!(OTHERS.is_sorted_by_key(|(name, _)| name));
        assert!(OTHERS.iter().all(|(name, _)| is_load_option(name)) && is_load_option("num_ctx"));
        for other in ["keep_alive", "temperature", "num_predict", "num_keep", "seed", ""] {
            assert!(!is_load_option(other), "{other}");
        }
    }

    #[test]
    fn options_are_read_in_both_places() {
        for (body, expected) in [
            (r#"{"num_ctx":8192}"#, load(Some(8192), &[])),
            (r#"{"num_ctx":4096.0,"options":{"temperature":1}}"#, load(Some(4096), &[])),
            (r#"{"options":{"num_ctx":2048},"num_ctx":1}"#, load(Some(2048), &[])),
            (r#"{"num_ctx":1,"options":{"num_ctx":null}}"#, load(Some(1), &[])),
            (
                r#"{"options":{"num_gpu":0,"use_mmap":false,"num\u005fthread": 8 ,"keep_alive":"5m"}}"#,
                load(None, &[("num_gpu", "0"), ("num_thread", "8"), ("use_mmap", "false")]),
            ),
        ] {
            assert_eq!(LoadOptions::of(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn what_says_nothing_or_makes_no_sense_is_none() {
        let long = format!(r#"{{"options":{{"num_batch":{}}}}}"#, "1".repeat(33));
        for body in [
            "",
            "[]",
            "{",
            r#"{"num_ctx":0}"#,
            r#"{"num_ctx":-1}"#,
            r#"{"num_ctx":1.5}"#,
            r#"{"num_ctx":4294967296}"#,
            r#"{"num_ctx":"8192"}"#,
            r#"{"options":null}"#,
            r#"{"options":[8192]}"#,
            r#"{"options":"num_ctx"}"#,
            r#"{"options":{"num_ctx":null,"num_gpu":"all","use_mmap":1,"num_batch":[1],"num_thread":null}}"#,
            r#"{"options":{"num_gpu":-1}}"#,
            r#"{"options":{"num_gpu":3,"num_gpu":null}}"#,
            r#"{"options":{"num_ctx":5,"num_ctx":0}}"#,
            r#"{"options":{"num_ctx":5},"options":{}}"#,
            r#"{"messages":[{"num_ctx":5,"options":{"num_ctx":5}}]}"#,
            &long,
        ] {
            assert!(LoadOptions::of(body.as_bytes()).is_empty(), "{body}");
        }
    }
}
