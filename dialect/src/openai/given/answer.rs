//! Writes a whole answer.

use serde::Serialize;

use crate::hub::{
    Answer, Choice, Json, Part, PartKind, Provider, Request, Signature, ToolCall, custom_tools,
};
use crate::openai::finish;
use crate::openai::thoughts::Detail;
use crate::translate::Terms;

use super::Manner;
use super::annotations::{self, Annotation};
use super::counts::Counts;

/// Writes `answer` to the client of `request`.
pub(crate) fn write_answer(answer: &Answer, request: &Request, terms: &Terms) -> Vec<u8> {
    let manner = Manner::of(request);
    let mut choices: Vec<_> =
        (0..).zip(&answer.choices).map(|(index, choice)| written(index, choice, &manner)).collect();
    let silent = Choice::default();
    if choices.is_empty() {
        choices.push(written(0, &silent, &manner));
    }
    let body = Body {
        id: manner.id(&terms.label),
        object: manner.object(false),
        created: terms.now,
        model: answer.model.as_deref().unwrap_or(&manner.model),
        choices,
        usage: Counts::of(&answer.usage, manner.prompt_tokens),
        service_tier: answer.service_tier.as_deref(),
    };
    serde_json::to_vec(&body).expect("our own types are always JSON")
}

#[derive(Serialize)]
struct Body<'a> {
    id: String,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: Vec<Written<'a>>,
    usage: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
}

#[derive(Serialize)]
struct Written<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    logprobs: Option<&'a Json>,
    finish_reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_finish_reason: Option<&'static str>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<String>,
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasoning_details: Vec<Detail>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Function<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Image>,
}

/// A call of a tool.
#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<Function<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<Custom<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<Extra<'a>>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct Custom<'a> {
    name: &'a str,
    input: String,
}

/// Google's signature on a call, where Google's own API of this dialect has it.
#[derive(Serialize)]
pub(super) struct Extra<'a> {
    google: Google<'a>,
}

#[derive(Serialize)]
struct Google<'a> {
    thought_signature: &'a str,
}

impl<'a> Extra<'a> {
    /// The member for the signature of a call.
    pub(super) fn of(signature: Option<&'a Signature>) -> Option<Self> {
        let signature = signature.filter(|signature| signature.provider == Provider::Gemini)?;
        Some(Self { google: Google { thought_signature: &signature.data } })
    }
}

/// A picture in an answer.
#[derive(Serialize)]
pub(super) struct Image {
    r#type: &'static str,
    index: usize,
    #[serde(rename = "image_url")]
    address: Address,
}

#[derive(Serialize)]
struct Address {
    url: String,
}

impl Image {
    /// The picture number `index` at `url`.
    pub(super) fn new(index: usize, url: String) -> Self {
        Self { r#type: "image_url", index, address: Address { url } }
    }
}

fn written<'a>(index: u32, choice: &'a Choice, manner: &Manner) -> Written<'a> {
    let mut message = message(&choice.parts, manner);
    let text = manner.is_bare.then(|| message.content.take().unwrap_or_default());
    Written {
        index,
        message: (!manner.is_bare).then_some(message),
        text,
        logprobs: choice.logprobs.as_ref(),
        finish_reason: finish::word(&choice.finish, manner.is_legacy),
        stop_reason: choice.finish.stop_sequence.as_deref(),
        native_finish_reason: finish::native_word(&choice.finish),
    }
}

fn message<'a>(parts: &'a [Part], manner: &Manner) -> Message<'a> {
    let mut message = Message {
        role: "assistant",
        content: None,
        refusal: None,
        reasoning_content: None,
        reasoning_details: Vec::new(),
        tool_calls: Vec::new(),
        function_call: None,
        annotations: Vec::new(),
        images: Vec::new(),
    };
    for part in parts {
        add(&mut message, &part.kind, manner);
    }
    let is_empty = message.content.is_none() && message.refusal.is_none();
    if is_empty && message.tool_calls.is_empty() && message.function_call.is_none() {
        message.content = Some(String::new());
    }
    message
}

fn add<'a>(message: &mut Message<'a>, kind: &'a PartKind, manner: &Manner) {
    match kind {
        PartKind::Text { text, sources } => {
            let content = message.content.get_or_insert_default();
            let start = content.chars().count();
            content.push_str(text);
            if let Some(sources) = sources {
                let end = content.chars().count();
                message.annotations.extend(annotations::of(sources, start, end));
            }
        }
        PartKind::Refusal(text) => message.refusal.get_or_insert_default().push_str(text),
        PartKind::Thinking { .. } | PartKind::SealedThinking { .. } if manner.hides_thoughts => {}
        PartKind::Thinking { .. } | PartKind::SealedThinking { .. } => {
            if let PartKind::Thinking { text, .. } = kind
                && !text.is_empty()
            {
                message.reasoning_content.get_or_insert_default().push_str(text);
            }
            let index = u32::try_from(message.reasoning_details.len()).unwrap_or(u32::MAX);
            message.reasoning_details.extend(Detail::of(index, kind));
        }
        PartKind::ToolCall(call) if manner.is_legacy => {
            message.function_call.get_or_insert(Function { name: &call.name, arguments: &call.arguments });
        }
        PartKind::ToolCall(call) => message.tool_calls.push(written_call(call, manner)),
        PartKind::Image { source, .. } => {
            let url = source.to_url("image/png");
            message.images.extend(url.map(|url| Image::new(message.images.len(), url)));
        }
        PartKind::Foreign { text: Some(text), .. } => message.content.get_or_insert_default().push_str(text),
        _ => {}
    }
}

fn written_call<'a>(call: &'a ToolCall, manner: &Manner) -> Call<'a> {
    let is_emulated = manner.is_emulated(&call.name, call.is_custom);
    let is_custom = call.is_custom || is_emulated;
    let input = || {
        let unwrapped = is_emulated.then(|| custom_tools::unwrapped(&call.arguments)).flatten();
        unwrapped.unwrap_or_else(|| call.arguments.clone())
    };
    Call {
        id: &call.id,
        r#type: if is_custom { "custom" } else { "function" },
        function: (!is_custom).then(|| Function { name: &call.name, arguments: &call.arguments }),
        custom: is_custom.then(|| Custom { name: &call.name, input: input() }),
        extra_content: Extra::of(call.signature.as_ref()),
    }
}
