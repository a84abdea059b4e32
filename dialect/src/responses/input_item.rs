//! The items of a request's `input`.

use serde::Serialize;

/// An item.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item {
    /// Somebody says something.
    Message {
        /// Who.
        role: &'static str,
        /// What.
        content: Vec<Content>,
    },
    /// What the model thought.
    Reasoning {
        /// Only where the server insists on one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The thoughts in short.
        summary: Vec<Content>,
        /// The thoughts in full, for servers that take them.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Content>,
        /// The thoughts as only OpenAI can read them.
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<String>,
    },
    /// The model calls a function.
    FunctionCall {
        /// The call's id.
        call_id: String,
        /// The function.
        name: String,
        /// The text of a JSON object.
        arguments: String,
    },
    /// The model calls a custom tool.
    CustomToolCall {
        /// The call's id.
        call_id: String,
        /// The tool.
        name: String,
        /// Any text.
        input: String,
    },
    /// What a function answered.
    FunctionCallOutput {
        /// The call's id.
        call_id: String,
        /// The answer.
        output: Output,
    },
    /// What a custom tool answered.
    CustomToolCallOutput {
        /// The call's id.
        call_id: String,
        /// The answer.
        output: Output,
    },
}

/// What a tool answered: text, or more than text.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Output {
    /// Text.
    Text(String),
    /// Parts.
    List(Vec<Content>),
}

/// A part of an item.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Content {
    /// Text of the client.
    InputText {
        /// The text.
        text: String,
    },
    /// A picture.
    InputImage {
        /// Where it is, or itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        image_url: Option<String>,
        /// Its id at OpenAI.
        #[serde(skip_serializing_if = "Option::is_none")]
        file_id: Option<String>,
        /// How closely to look at it.
        detail: String,
    },
    /// A document.
    InputFile {
        /// Its name.
        #[serde(skip_serializing_if = "Option::is_none")]
        filename: Option<String>,
        /// Itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        file_data: Option<String>,
        /// Where it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        file_url: Option<String>,
        /// Its id at OpenAI.
        #[serde(skip_serializing_if = "Option::is_none")]
        file_id: Option<String>,
    },
    /// Sound.
    InputAudio {
        /// It.
        input_audio: Sound,
    },
    /// Text of the model.
    OutputText {
        /// The text.
        text: String,
        /// None: they are the model's own business.
        annotations: [(); 0],
    },
    /// The model declined.
    Refusal {
        /// In these words.
        refusal: String,
    },
    /// Thoughts in short.
    SummaryText {
        /// The text.
        text: String,
    },
    /// Thoughts in full.
    ReasoningText {
        /// The text.
        text: String,
    },
}

/// Sound.
#[derive(Serialize)]
pub(super) struct Sound {
    /// In base64.
    pub(super) data: String,
    /// `wav`, `mp3`.
    pub(super) format: String,
}
