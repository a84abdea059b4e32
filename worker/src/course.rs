//! What an answer goes through on its way to the client: a watch that lets every byte pass, or a translator.

use dialect::translate::Translator;
use dialect::watch::{BackendError, StreamWatch};
use dialect::{Dialect, Usage};

/// What is to happen with the answer to a call.
pub(crate) enum Course {
    /// It passes as it is, watched for its beginning, its end and its tokens.
    Straight {
        /// Whether we asked for usage that the client did not ask for.
        hide_usage: bool,
    },
    /// It is put into the client's dialect.
    Translated(Translated),
    /// It passes as it is, whatever it is.
    Native,
}

impl Course {
    /// Whether the answer is translated.
    pub(crate) fn is_translated(&self) -> bool {
        matches!(self, Self::Translated(_))
    }
}

/// What puts an answer into the client's dialect.
pub(crate) struct Translated {
    /// The translator.
    pub(crate) translator: Box<Translator>,
    /// The dialect that the backend speaks.
    pub(crate) spoken: Dialect,
}

/// One stream on its way.
pub(crate) enum Flow {
    /// Its bytes pass as they are.
    Watched(Box<StreamWatch>),
    /// It is put into the client's dialect.
    Translated(Box<Translator>),
}

impl Flow {
    /// Takes the next bytes from the backend and appends to `out` what goes to the client.
    pub(crate) fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Watched(watch) => watch.feed(bytes, out),
            Self::Translated(translator) => translator.feed(bytes, out),
        }
    }

    /// Appends what is left when the backend's bytes are over.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Watched(watch) => watch.finish(out),
            Self::Translated(translator) => translator.finish(out),
        }
    }

    /// Whether anything of the answer has come.
    pub(crate) fn has_begun(&self) -> bool {
        match self {
            Self::Watched(watch) => watch.has_begun(),
            Self::Translated(translator) => translator.has_begun(),
        }
    }

    /// Whether the backend has said that this is all.
    pub(crate) fn is_complete(&self) -> bool {
        match self {
            Self::Watched(watch) => watch.is_complete(),
            Self::Translated(translator) => translator.is_complete(),
        }
    }

    /// Whether what the client has got so far ends between two events. What is translated comes in whole events.
    pub(crate) fn is_between_events(&self) -> bool {
        match self {
            Self::Watched(watch) => watch.is_between_events(),
            Self::Translated(_) => true,
        }
    }

    /// The error that the backend told of, or that its stream is, if there is one.
    pub(crate) fn error(&self) -> Option<&BackendError> {
        match self {
            Self::Watched(watch) => watch.error(),
            Self::Translated(translator) => translator.error(),
        }
    }

    /// The tokens reported so far.
    pub(crate) fn usage(&self) -> Usage {
        match self {
            Self::Watched(watch) => watch.usage(),
            Self::Translated(translator) => translator.usage(),
        }
    }
}
