//! What a backend's error body says, in whatever form it comes, and the same said to a client of another dialect.

use serde_json::Value;

use super::Words;
use crate::Dialect;

/// The longest message that is passed on, in bytes.
const LONGEST_MESSAGE: usize = 8 * 1024;

/// The longest text taken out of a body that is no JSON, in bytes.
const LONGEST_TEXT: usize = 1024;

/// What a backend's error says.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Told {
    /// Its message; a sentence that names the status where the backend says nothing.
    pub message: String,
    /// Its code, for example `context_length_exceeded`. A number is written as its digits.
    pub code: Option<String>,
    /// The backend's own word for the kind of error: `type`, or Gemini's `status`.
    pub kind: Option<String>,
    /// The field at fault.
    pub param: Option<String>,
}

/// Reads the `body` of an answer with `status` from a backend that speaks `dialect`.
///
/// Proxies and gateways answer in words of their own, so every form is looked for, whatever the dialect: JSON with the
/// error as an object, as a text or as a list of complaints, a page of HTML, plain text, nothing.
pub fn read(dialect: Dialect, status: u16, body: &[u8]) -> Told {
    let mut told = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Array(list)) if !list.is_empty() => told_in(&list[0], dialect),
        Ok(Value::String(text)) => Told { message: text, ..Told::default() },
        Ok(value) => told_in(&value, dialect),
        Err(_) => Told { message: plain(body), ..Told::default() },
    };
    cut(&mut told.message, LONGEST_MESSAGE);
    if told.message.trim().is_empty() {
        told.message = match &told.kind {
            Some(kind) => format!("{kind} (HTTP status {status})"),
            None => format!("the backend answered with HTTP status {status} and said no more"),
        };
    }
    told
}

/// The body of the same error for a client of `to`: with the backend's message, and its code where `to` has one; the
/// type is the one that `to` has for the status. `label` is the request's id, for dialects that tell it.
pub fn retold(from: Dialect, to: Dialect, status: u16, body: &[u8], label: &str) -> Vec<u8> {
    let told = read(from, status, body);
    let is_word = |code: &&str| !code.is_empty() && !code.bytes().all(|byte| byte.is_ascii_digit());
    let words = Words {
        status: super::status_for(to, status),
        code: told.code.as_deref().filter(is_word),
        message: &told.message,
        param: told.param.as_deref(),
        request_id: label,
    };
    words.body(to)
}

fn told_in(value: &Value, dialect: Dialect) -> Told {
    let error = match &value["error"] {
        Value::Null => &value["errors"][0],
        error => error,
    };
    match error {
        Value::Object(_) => {
            let mut told = told_of(error, dialect);
            if told.message.is_empty() {
                told.message = message_of(value);
            }
            told
        }
        Value::String(text) => {
            let beside = told_of(value, dialect);
            // Some say a mere word there, and the sentence beside it.
            let says_more = !beside.message.is_empty() && !text.contains(' ');
            let (message, kind) = if says_more {
                (beside.message, beside.kind.or_else(|| Some(text.clone())))
            } else {
                (text.clone(), beside.kind)
            };
            Told { message, kind, ..beside }
        }
        _ => told_of(value, dialect),
    }
}

fn told_of(error: &Value, dialect: Dialect) -> Told {
    let reason = error["details"].as_array().into_iter().flatten().find_map(|detail| word(&detail["reason"]));
    let kind = match dialect {
        Dialect::Gemini => word(&error["status"]).or_else(|| word(&error["type"])),
        _ => word(&error["type"])
            .or_else(|| word(&error["status"]).filter(|word| word.parse::<u16>().is_err())),
    };
    let field = error["details"].as_array().into_iter().flatten().find_map(|detail| {
        word(&detail["fieldViolations"][0]["field"]).or_else(|| word(&detail["metadata"]["field"]))
    });
    Told {
        message: message_of(error),
        code: reason.or_else(|| word(&error["code"])),
        kind: kind.filter(|kind| kind != "error"),
        param: word(&error["param"]).or(field),
    }
}

/// The message in an object that tells of an error; empty if there is none.
fn message_of(error: &Value) -> String {
    let named = ["message", "detail", "msg", "error_description", "title"];
    named.iter().map(|name| sentence(&error[*name])).find(|text| !text.is_empty()).unwrap_or_default()
}

/// A message as one text: a list of complaints about fields (the form of `FastAPI`) becomes a line.
fn sentence(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(complaints) => {
            complaints.iter().map(complaint).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")
        }
        Value::Object(_) if value["error"].is_object() => message_of(&value["error"]),
        Value::Object(_) if value["error"].is_string() => sentence(&value["error"]),
        Value::Object(_) => message_of(value),
        _ => String::new(),
    }
}

fn complaint(value: &Value) -> String {
    let text = sentence(value);
    let place: Vec<_> = value["loc"].as_array().into_iter().flatten().filter_map(word).collect();
    if place.is_empty() || text.is_empty() { text } else { format!("{}: {text}", place.join(".")) }
}

/// A text or a number, as a text.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The text of a body that is no JSON: without tags, in one line, not too long.
fn plain(body: &[u8]) -> String {
    let body = &body[..body.len().min(64 * LONGEST_TEXT)];
    let text = String::from_utf8_lossy(body);
    let mut words = without_tags(&text).split_whitespace().collect::<Vec<_>>().join(" ");
    words.retain(|c| !c.is_control());
    cut(&mut words, LONGEST_TEXT);
    words
}

/// `text` without what stands in angle brackets, if it is a page; styles and scripts go as a whole.
fn without_tags(text: &str) -> String {
    let is_page = text.trim_start().starts_with('<');
    if !is_page {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        shown.push_str(&rest[..open]);
        shown.push(' ');
        rest = &rest[open..];
        let hidden = ["style", "script", "!--"].iter().find(|name| starts_with_name(&rest[1..], name));
        let end = match hidden {
            Some(&"!--") => "-->",
            Some(&"style") => "</style>",
            Some(_) => "</script>",
            None => ">",
        };
        rest = match find_ignoring_case(rest, end) {
            Some(place) => &rest[place + end.len()..],
            None => "",
        };
    }
    shown.push_str(rest);
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")]
        .iter()
        .fold(shown, |text, (name, sign)| text.replace(name, sign))
}

fn starts_with_name(text: &str, name: &str) -> bool {
    text.as_bytes().get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name.as_bytes()))
}

fn find_ignoring_case(text: &str, wanted: &str) -> Option<usize> {
    text.as_bytes().windows(wanted.len()).position(|window| window.eq_ignore_ascii_case(wanted.as_bytes()))
}

fn cut(text: &mut String, length: usize) {
    if text.len() > length {
        text.truncate(text.floor_char_boundary(length));
        text.push('…');
    }
}
