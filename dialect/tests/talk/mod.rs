//! Talks that every dialect can carry: made by chance, told in each dialect, and understood from each again.

pub(crate) mod answers;
pub(crate) mod requests;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A turn of a talk, or a piece of one.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Item {
    System(String),
    User(String),
    Said(String),
    Call {
        id: String,
        name: String,
        /// The text of an object.
        arguments: String,
    },
    Result {
        id: String,
        text: String,
    },
}

/// A function that may be called: its name, what it is for, and the text of its schema.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) schema: String,
}

/// A talk.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Talk {
    pub(crate) items: Vec<Item>,
    pub(crate) functions: Vec<Function>,
}

impl Talk {
    /// The same with the calls numbered: ids may be written anew, but results must stay with their calls.
    pub(crate) fn numbered(mut self) -> Self {
        let mut known = Vec::new();
        for item in &mut self.items {
            match item {
                Item::Call { id, .. } => {
                    known.push(std::mem::take(id));
                    *id = format!("#{}", known.len());
                }
                Item::Result { id, .. } => {
                    let place = known.iter().position(|known| known == id);
                    *id =
                        place.map_or_else(|| format!("no call has {id}"), |place| format!("#{}", place + 1));
                }
                Item::System(_) | Item::User(_) | Item::Said(_) => {}
            }
        }
        self
    }
}

/// An answer, as every dialect can tell it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Reply {
    pub(crate) text: String,
    /// Names and the text of the arguments.
    pub(crate) calls: Vec<(String, String)>,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
}

fn text() -> impl Strategy<Value = String> {
    "[a-z][a-zäß€😀\"\\\\{} \n]{0,14}[a-z.]"
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        Just(json!(1.5)),
        Just(json!([1, {"z": true, "a": null}])),
    ]
}

/// An object with keys in any order.
fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec(("[a-z]{1,3}", value), 0..4).prop_map(|members| members.into_iter().collect())
}

fn functions() -> impl Strategy<Value = Vec<Function>> {
    let function = ("[a-z]{1,8}", text(), object(Just(json!({"type": "string"})))).prop_map(
        |(name, description, properties)| {
            let required: Vec<_> = properties.keys().cloned().collect();
            let schema = json!({"type": "object", "required": required, "properties": properties});
            Function { name, description, schema: schema.to_string() }
        },
    );
    prop::collection::vec(function, 1..4).prop_map(|mut functions| {
        for (index, function) in functions.iter_mut().enumerate() {
            function.name = format!("{}_{index}", function.name);
        }
        functions
    })
}

/// What the user says, and what comes of it: perhaps words, calls, their results; and an answer.
type Round = (String, Option<String>, Vec<(prop::sample::Index, Map<String, Value>, String)>, String);

fn round() -> impl Strategy<Value = Round> {
    let call = (any::<prop::sample::Index>(), object(scalar()), text());
    (text(), prop::option::of(text()), prop::collection::vec(call, 0..4), text())
}

/// Any talk.
pub(crate) fn talk() -> impl Strategy<Value = Talk> {
    let rounds = prop::collection::vec(round(), 0..4);
    (prop::option::of(text()), functions(), rounds, text()).prop_map(|(system, functions, rounds, last)| {
        let mut items: Vec<_> = system.map(Item::System).into_iter().collect();
        for (number, (asked, before, calls, answer)) in rounds.into_iter().enumerate() {
            items.push(Item::User(asked));
            if !calls.is_empty() {
                items.extend(before.map(Item::Said));
            }
            let id = |index: usize| format!("call_{number}_{index}");
            for (index, (which, arguments, _)) in calls.iter().enumerate() {
                let name = which.get(&functions).name.clone();
                let arguments = Value::from(arguments.clone()).to_string();
                items.push(Item::Call { id: id(index), name, arguments });
            }
            let results = calls.into_iter().enumerate();
            items.extend(results.map(|(index, (_, _, text))| Item::Result { id: id(index), text }));
            items.push(Item::Said(answer));
        }
        items.push(Item::User(last));
        Talk { items, functions }
    })
}

/// Any answer: text, calls, or both.
pub(crate) fn reply() -> impl Strategy<Value = Reply> {
    let calls = prop::collection::vec(("[a-z]{1,8}", object(scalar())), 0..4);
    (prop::option::of(text()), calls, 1..100_000_u64, 1..100_000_u64).prop_map(
        |(text, calls, input_tokens, output_tokens)| {
            let calls: Vec<_> =
                calls.into_iter().map(|(name, object)| (name, Value::from(object).to_string())).collect();
            let text = text.or(calls.is_empty().then(|| "nothing".to_owned())).unwrap_or_default();
            Reply { text, calls, input_tokens, output_tokens }
        },
    )
}
