//! Brings a tree of values into the shape the schema asks for: the right keys, kinds, words and bounds.
//!
//! The schema comes from the types of `file.rs`, so editors and this program refuse the same things. Everything
//! that does not fit is reported, with its place, and left out; what remains can be read into those types.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::error::Problem;
use super::later;
use super::tree::{Key, Node, Place, Value};
use super::wants::{Bounds, Wants};

/// A tree in the shape of the schema.
#[derive(Default)]
pub(super) struct Conformed {
    /// The values that fit.
    pub(super) json: Json,
    /// Where each key's value stands.
    pub(super) places: BTreeMap<String, Place>,
    /// What did not fit.
    pub(super) problems: Vec<Problem>,
    /// Whether a key's text stands in the file itself.
    pub(super) holds_keys: bool,
}

/// The name of the entry `name` below `key`.
pub(super) fn below(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

/// Brings `root` into the shape of `schema`, which must hold no references.
pub(super) fn conform(root: &Node, schema: &Json) -> Conformed {
    let mut conformed = Conformed::default();
    let spot = Spot { root: schema, key: String::new(), pattern: String::new(), place: root.place };
    let empty = Node { place: root.place, value: Value::Map(Vec::new()) };
    let root = if root.value == Value::Null { &empty } else { root };
    conformed.json = conformed.fit(root, schema, &spot).unwrap_or_else(|| Json::Object(Map::new()));
    conformed
}

/// Where a value is.
struct Spot<'a> {
    /// The schema of the whole file.
    root: &'a Json,
    /// Its name, as in `backends[0].url`.
    key: String,
    /// The same for every element: `backends[].url`.
    pattern: String,
    place: Option<Place>,
}

impl Spot<'_> {
    fn entry(&self, name: &str, schema_name: &str, place: Option<Place>) -> Self {
        Self {
            root: self.root,
            key: below(&self.key, name),
            pattern: below(&self.pattern, schema_name),
            place: place.or(self.place),
        }
    }

    fn element(&self, index: usize, place: Option<Place>) -> Self {
        let (key, pattern) = (format!("{}[{index}]", self.key), format!("{}[]", self.pattern));
        Self { root: self.root, key, pattern, place: place.or(self.place) }
    }

    fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(&self.key, message).at(self.place)
    }
}

impl Conformed {
    /// The value of `node` in the shape of `schema`; `None`, with a problem, if it does not fit.
    fn fit(&mut self, node: &Node, schema: &Json, spot: &Spot<'_>) -> Option<Json> {
        if let Some(place) = spot.place {
            self.places.insert(spot.key.clone(), place);
        }
        let wants = Wants::of(schema);
        let fitted = match &node.value {
            Value::Map(entries) => match (&wants.entries, &wants.any_entry) {
                (Some(schemas), _) => Ok(self.fit_entries(entries, schemas, spot)),
                (None, Some(schema)) => Ok(self.fit_any_entries(entries, schema, spot)),
                (None, None) => Err(wants.expected()),
            },
            Value::List(list) => match wants.elements {
                Some(schema) => Ok(self.fit_elements(list, schema, spot)),
                None => Err(wants.expected()),
            },
            Value::Text(text) => self.fit_text(text, &wants, spot),
            Value::Substituted(text) => fit_substituted(text, &wants),
            Value::Flag(flag) if wants.flag => Ok(Json::Bool(*flag)),
            Value::Whole(number) => fit_whole(*number, &wants),
            Value::Number(number) => fit_number(*number, &wants),
            Value::Flag(_) | Value::Null => Err(wants.expected()),
        };
        fitted.map_err(|message| self.problems.push(spot.problem(message))).ok()
    }

    fn fit_entries(&mut self, entries: &[(Key, Node)], schemas: &Map<String, Json>, spot: &Spot<'_>) -> Json {
        let mut object = Map::new();
        for (key, node) in entries {
            let spot = spot.entry(&key.name, &key.name, key.place);
            match schemas.get(&key.name) {
                // Nothing after the colon is the same as no such key.
                Some(_) if node.value == Value::Null => {}
                Some(schema) => {
                    let value_spot = Spot { place: node.place.or(spot.place), ..spot };
                    if let Some(value) = self.fit(node, schema, &value_spot) {
                        object.insert(key.name.clone(), value);
                    }
                }
                None => self.problems.push(unknown_key(&key.name, schemas, &spot)),
            }
        }
        Json::Object(object)
    }

    fn fit_any_entries(&mut self, entries: &[(Key, Node)], schema: &Json, spot: &Spot<'_>) -> Json {
        let mut object = Map::new();
        for (key, node) in entries {
            let spot = spot.entry(&key.name, "*", key.place);
            if let Some(value) = self.fit(node, schema, &spot) {
                object.insert(key.name.clone(), value);
            }
        }
        Json::Object(object)
    }

    /// The elements; one that does not fit is replaced by an empty one, so that the others keep their numbers.
    fn fit_elements(&mut self, list: &[Node], schema: &Json, spot: &Spot<'_>) -> Json {
        let wants = Wants::of(schema);
        let empty = || match wants.words.first() {
            _ if wants.entries.is_some() => Json::Object(Map::new()),
            Some(word) => Json::String((*word).to_owned()),
            None => Json::String(String::new()),
        };
        let fitted = list.iter().enumerate().map(|(index, node)| {
            self.fit(node, schema, &spot.element(index, node.place)).unwrap_or_else(empty)
        });
        Json::Array(fitted.collect())
    }

    fn fit_text(&mut self, text: &str, wants: &Wants<'_>, spot: &Spot<'_>) -> Result<Json, String> {
        if wants.text {
            self.holds_keys |= wants.secret && !text.is_empty();
            return Ok(Json::String(text.to_owned()));
        }
        if wants.words.is_empty() {
            return Err(wants.expected());
        }
        match wants.word(text) {
            Some(word) => Ok(Json::String(word.to_owned())),
            None if later::is_later_word(&spot.pattern, &text.to_ascii_lowercase()) => {
                Err(format!("{text} is not available in this version of proxylm; {}", wants.expected()))
            }
            None => Err(match nearest(text, wants.words.iter().copied()) {
                Some(word) => format!("unknown value {text:?}; did you mean {word}?"),
                None => format!("unknown value {text:?}; {}", wants.expected()),
            }),
        }
    }
}

/// Text from the environment: it may be meant as a number or a flag, and is not shown.
fn fit_substituted(text: &str, wants: &Wants<'_>) -> Result<Json, String> {
    if wants.text {
        return Ok(Json::String(text.to_owned()));
    }
    if let Some(word) = wants.word(text) {
        return Ok(Json::String(word.to_owned()));
    }
    let trimmed = text.trim();
    let flag = wants.flag.then(|| trimmed.parse::<bool>().ok()).flatten().map(Json::Bool);
    let whole = || trimmed.parse::<i128>().ok().and_then(|number| fit_whole(number, wants).ok());
    let number = || trimmed.parse::<f64>().ok().and_then(|number| fit_number(number, wants).ok());
    let bounds = || wants.whole.as_ref().or(wants.number.as_ref()).map(|bounds| format!(" {bounds}"));
    flag.or_else(whole).or_else(number).ok_or_else(|| {
        format!("{}{}, and the environment's text is not one", wants.expected(), bounds().unwrap_or_default())
    })
}

fn fit_whole(number: i128, wants: &Wants<'_>) -> Result<Json, String> {
    let Some(bounds) = wants.whole.as_ref().or(wants.number.as_ref()) else {
        return Err(wants.expected());
    };
    #[expect(clippy::cast_precision_loss, reason = "bounds are small whole numbers")]
    let fits = bounds.hold(number as f64);
    match i64::try_from(number) {
        Ok(number) if fits => Ok(Json::from(number)),
        _ => Err(format!("must be {bounds}{}, got {number}", wants.or_words())),
    }
}

fn fit_number(number: f64, wants: &Wants<'_>) -> Result<Json, String> {
    match &wants.number {
        Some(bounds) if bounds.hold(number) => Ok(Json::from(number)),
        Some(bounds) => Err(format!("must be {bounds}{}, got {number}", wants.or_words())),
        None => Err(wants.expected()),
    }
}

fn unknown_key(name: &str, schemas: &Map<String, Json>, spot: &Spot<'_>) -> Problem {
    if later::is_later_key(&spot.pattern) {
        return spot.problem(format!("{} is not available in this version of proxylm", spot.pattern));
    }
    if let Some(known) = nearest(name, schemas.keys().map(String::as_str)) {
        return spot.problem(format!("unknown key; did you mean {known}?"));
    }
    // In a list a key of the same name means something else.
    let elsewhere = if spot.pattern.contains("[]") { None } else { section_with(name, spot.root) };
    if let Some(section) = elsewhere {
        return spot.problem(format!("unknown key here; did you mean {section}.{name}?"));
    }
    let known = schemas.keys().map(String::as_str).filter(|known| !known.starts_with('$'));
    spot.problem(format!("unknown key; the keys here are {}", known.collect::<Vec<_>>().join(", ")))
}

/// The section at the top of the file that has a key called `name`.
fn section_with<'a>(name: &str, root: &'a Json) -> Option<&'a str> {
    let sections = root.get("properties").and_then(Json::as_object)?;
    let has_key = |section: &Json| section.get("properties").is_some_and(|keys| keys.get(name).is_some());
    sections.iter().find(|(_, section)| has_key(section)).map(|(known, _)| known.as_str())
}

/// The one of `known` that `text` is most likely a misspelling of.
pub(super) fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase().replace('-', "_");
    let allowed = (text.chars().count() / 3).clamp(1, 3);
    let distance = |known: &str| match known.to_lowercase().replace('-', "_") {
        // The beginning of a long key is as good as a misspelling of it.
        known if text.len() >= 4 && known.starts_with(&text) => allowed,
        known => strsim::damerau_levenshtein(&text, &known),
    };
    let known = known.filter(|known| !known.is_empty()).map(|known| (distance(known), known));
    let (distance, nearest) = known.min_by_key(|(distance, _)| *distance)?;
    (distance <= allowed).then_some(nearest)
}

impl Bounds {
    fn hold(&self, number: f64) -> bool {
        self.least.is_none_or(|least| number >= least) && self.most.is_none_or(|most| number <= most)
    }
}
