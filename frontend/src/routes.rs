//! Path and method to what is asked. One flat table; nothing is looked up.
//!
//! Clients put the version into their base URL or leave it out, some twice; all of that means the same here, and so
//! does a slash at the end. Only `/v1beta` and `/v1alpha` tell something: that the caller speaks Gemini.

use dialect::{Dialect, Endpoint};
use http::{HeaderMap, Method};

use crate::call::{Call, Named};

/// What a request asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Route {
    /// A model is to do something.
    Ask(Box<Call>),
    /// The models there are.
    Models,
    /// This model.
    Model(String),
    /// A model that the body names, as Ollama describes models.
    Show,
    /// The models that are loaded, as Ollama lists them.
    Running,
    /// Which version of Ollama's API this is.
    Version,
    /// What Ollama says to whoever looks whether it is there.
    Greeting,
    /// Something that Ollama does to models, which nobody does through us.
    Unmanaged,
    /// An answer of the Responses API that was given before.
    Unstored,
    /// An operation of Gemini's that we do not have.
    NoOperation(String),
    /// Whether the process lives.
    Alive,
    /// The same, with a little more.
    Health,
    /// Whether the instance can serve.
    Ready,
    /// The admin API.
    Admin,
    /// Something known, by a method it does not take; these it takes.
    WrongMethod(&'static str),
    /// Nothing we have.
    Unknown,
}

const READ: &str = "GET, HEAD";
const SUBMIT: &str = "POST";

/// Where Gemini has its models.
const COLLECTIONS: [&str; 2] = ["/models/", "/tunedModels/"];

/// The first pieces of paths below `/api` that change which models Ollama has.
const MANAGEMENT: [&str; 6] = ["pull", "push", "create", "copy", "delete", "blobs"];

impl Route {
    /// What `method` and `path` ask for.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        let ask = |endpoint| (Self::Ask(Box::new(Call::of(endpoint))), SUBMIT);
        let below = Below::of(path);
        let (route, takes) = match below.path {
            "/chat/completions" => ask(Endpoint::ChatCompletions),
            "/completions" => ask(Endpoint::Completions),
            "/embeddings" => ask(Endpoint::Embeddings),
            "/responses" => ask(Endpoint::Responses),
            "/messages" => ask(Endpoint::Messages),
            "/messages/count_tokens" => ask(Endpoint::CountTokens),
            "/api/chat" => ask(Endpoint::OllamaChat),
            "/api/generate" => ask(Endpoint::OllamaGenerate),
            "/api/embed" => ask(Endpoint::OllamaEmbed),
            "/api/embeddings" => ask(Endpoint::OllamaEmbeddings),
            "/api/show" => (Self::Show, SUBMIT),
            "/models" | "/api/tags" => (Self::Models, READ),
            "/api/ps" => (Self::Running, READ),
            "/api/version" => (Self::Version, READ),
            "/healthz" => (Self::Alive, READ),
            "/health" => (Self::Health, READ),
            "/readyz" => (Self::Ready, READ),
            "" if path == "/" => (Self::Greeting, READ),
            _ => match Self::of_longer(method, below.path) {
                Ok(found) => found,
                Err(route) => return route,
            },
        };
        let fits = match takes {
            SUBMIT => method == Method::POST,
            _ => method == Method::GET || method == Method::HEAD,
        };
        if fits { route } else { Self::WrongMethod(takes) }
    }

    /// The same for paths of which only the beginning is fixed; `Err` where the method does not matter.
    fn of_longer(method: &Method, path: &str) -> Result<(Self, &'static str), Self> {
        if let Some(model) = COLLECTIONS.iter().find_map(|collection| path.strip_prefix(collection)) {
            return of_model(method, &percent_decoded(model));
        }
        let pieces: Vec<&str> = path.splitn(4, '/').skip(1).collect();
        Err(match pieces[..] {
            ["admin", ..] => Self::Admin,
            ["api", piece, ..] if MANAGEMENT.contains(&piece) => Self::Unmanaged,
            // These two are about a request that is still to come, and not about an answer.
            ["responses", "compact" | "input_tokens", ..] => Self::Unknown,
            ["responses", _, ..] => Self::Unstored,
            _ => Self::Unknown,
        })
    }
}

/// What is asked of a model whose name stands in the path, with an operation behind its last colon or without.
fn of_model(method: &Method, text: &str) -> Result<(Route, &'static str), Route> {
    let Some((model, operation)) = text.rsplit_once(':') else {
        return Ok((Route::Model(text.to_owned()), READ));
    };
    let endpoint = match operation {
        "generateContent" | "streamGenerateContent" => Endpoint::GenerateContent,
        "countTokens" => Endpoint::GeminiCountTokens,
        "embedContent" => Endpoint::EmbedContent,
        "batchEmbedContents" => Endpoint::BatchEmbedContents,
        _ => {
            // Nothing but an operation is asked for in this way; what is read may be a model with a tag.
            let is_word = !operation.is_empty() && operation.bytes().all(|byte| byte.is_ascii_alphabetic());
            return if method == Method::POST && is_word {
                Err(Route::NoOperation(operation.to_owned()))
            } else {
                Ok((Route::Model(text.to_owned()), READ))
            };
        }
    };
    let named = Named { model: model.to_owned(), stream: operation.starts_with("stream") };
    Ok((Route::Ask(Box::new(Call { named: Some(named), ..Call::of(endpoint) })), SUBMIT))
}

/// Whether a client key is needed before anything is told about this path: everything under `/v1` and its like and
/// under `/api`, and the same without the version.
pub(crate) fn wants_key(route: &Route, path: &str) -> bool {
    match route {
        Route::Alive | Route::Health | Route::Ready | Route::Admin | Route::Greeting => false,
        Route::WrongMethod(_) | Route::Unknown => {
            let below = Below::of(path);
            below.version != Version::None || is_ollamas(below.path)
        }
        _ => true,
    }
}

/// The dialect in which this caller understands errors and lists.
pub(crate) fn dialect_of(route: &Route, path: &str, headers: &HeaderMap) -> Dialect {
    let below = Below::of(path);
    match route {
        Route::Ask(call) => call.dialect(),
        Route::Greeting => Dialect::Ollama,
        Route::NoOperation(_) => Dialect::Gemini,
        _ if below.version == Version::Gemini => Dialect::Gemini,
        _ if is_ollamas(below.path) => Dialect::Ollama,
        _ if headers.contains_key("anthropic-version") || below.path.starts_with("/messages") => {
            Dialect::Anthropic
        }
        _ if below.path.starts_with("/responses") => Dialect::Responses,
        _ if headers.contains_key("x-goog-api-key") || headers.contains_key("x-goog-api-client") => {
            Dialect::Gemini
        }
        _ => Dialect::OpenAi,
    }
}

fn is_ollamas(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// What the version in a path tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    /// There is none.
    None,
    /// Nothing: `/v1` means the same to all dialects that have versions.
    Common,
    /// That the caller speaks Gemini.
    Gemini,
}

/// A path taken apart.
struct Below<'a> {
    version: Version,
    /// What comes below the version, without a slash at the end.
    path: &'a str,
}

impl<'a> Below<'a> {
    fn of(path: &'a str) -> Self {
        let mut below = Self { version: Version::None, path };
        while let Some((rest, version)) = without_version(below.path) {
            let version = if below.version == Version::Gemini { Version::Gemini } else { version };
            below = Self { version, path: rest };
        }
        // Where Google's own servers speak OpenAI's dialect.
        if below.version == Version::Gemini
            && let Some(rest) = below.path.strip_prefix("/openai").filter(|rest| rest.starts_with('/'))
        {
            below = Self { version: Version::Common, path: rest };
        }
        below.path = below.path.strip_suffix('/').unwrap_or(below.path);
        below
    }
}

/// The path below its first piece, if that is a version.
fn without_version(path: &str) -> Option<(&str, Version)> {
    // Where hosted services that speak OpenAI's dialect have it; nothing of Ollama's own has a version.
    if let Some(rest) = path.strip_prefix("/api/v1").filter(|rest| rest.starts_with('/')) {
        return Some((rest, Version::Common));
    }
    let piece = path.strip_prefix('/')?.split('/').next()?;
    let version = match piece {
        "v1" => Version::Common,
        "v1beta" | "v1alpha" => Version::Gemini,
        _ => return None,
    };
    Some((&path[piece.len() + 1..], version))
}

/// `text` with `%2F` and its like read; what is no escape stays as it is.
pub(crate) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let value = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(value.unwrap_or(byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(endpoint: Endpoint) -> Route {
        Route::Ask(Box::new(Call::of(endpoint)))
    }

    fn ask_of(endpoint: Endpoint, model: &str, stream: bool) -> Route {
        let named = Some(Named { model: model.to_owned(), stream });
        Route::Ask(Box::new(Call { named, ..Call::of(endpoint) }))
    }

    #[test]
    fn the_version_may_be_there_or_not_or_twice() {
        for path in
            ["/v1/chat/completions", "/chat/completions", "/v1/v1/chat/completions", "/v1/chat/completions/"]
        {
            assert_eq!(Route::of(&Method::POST, path), ask(Endpoint::ChatCompletions), "{path}");
        }
        assert_eq!(Route::of(&Method::POST, "/v1/messages"), ask(Endpoint::Messages));
        for path in ["/v1beta/openai/chat/completions", "/api/v1/chat/completions"] {
            assert_eq!(Route::of(&Method::POST, path), ask(Endpoint::ChatCompletions), "{path}");
            assert!(wants_key(&Route::Unknown, path), "{path}");
        }
        assert_eq!(Route::of(&Method::GET, "/v1beta/openai/models/m"), Route::Model("m".to_owned()));
        assert_eq!(Route::of(&Method::GET, "/api/v1/models"), Route::Models);
        assert_eq!(Route::of(&Method::POST, "/api/v1"), Route::Unknown);
        assert_eq!(Route::of(&Method::POST, "/v1beta/openai"), Route::Unknown);
        assert_eq!(Route::of(&Method::POST, "/v11/messages"), Route::Unknown);
        assert_eq!(Route::of(&Method::GET, "/v1"), Route::Unknown);
        assert_eq!(Route::of(&Method::GET, "/v1/"), Route::Unknown);
        assert_eq!(Route::of(&Method::GET, "/v1x"), Route::Unknown);
        assert_eq!(Route::of(&Method::GET, ""), Route::Unknown);
    }

    #[test]
    fn every_endpoint_has_its_path() {
        for endpoint in Endpoint::ALL.into_iter().filter(|endpoint| *endpoint != Endpoint::Native) {
            for stream in [false, true] {
                let path = endpoint.path("org/n:7b", stream);
                let of_model = endpoint.names_model_in_path();
                let wanted = if of_model {
                    ask_of(endpoint, "org/n:7b", stream && endpoint.generates())
                } else {
                    ask(endpoint)
                };
                assert_eq!(Route::of(&Method::POST, &path), wanted, "{path}");
                assert_eq!(Route::of(&Method::GET, &path), Route::WrongMethod("POST"), "{path}");
            }
        }
    }

    #[test]
    fn methods_are_checked() {
        assert_eq!(Route::of(&Method::GET, "/v1/embeddings"), Route::WrongMethod("POST"));
        assert_eq!(Route::of(&Method::OPTIONS, "/v1/messages"), Route::WrongMethod("POST"));
        assert_eq!(Route::of(&Method::POST, "/v1/models"), Route::WrongMethod("GET, HEAD"));
        assert_eq!(Route::of(&Method::HEAD, "/healthz"), Route::Alive);
        assert_eq!(Route::of(&Method::DELETE, "/admin/x"), Route::Admin);
        assert_eq!(Route::of(&Method::DELETE, "/admin"), Route::Admin);
        assert_eq!(Route::of(&Method::GET, "/api/show"), Route::WrongMethod("POST"));
        assert_eq!(Route::of(&Method::POST, "/api/tags"), Route::WrongMethod("GET, HEAD"));
    }

    #[test]
    fn model_names_may_hold_slashes_and_escapes() {
        let model = |path| Route::of(&Method::GET, path);
        assert_eq!(model("/v1/models/org/name:7b"), Route::Model("org/name:7b".to_owned()));
        assert_eq!(model("/models/org%2Fname%"), Route::Model("org/name%".to_owned()));
        assert_eq!(model("/v1beta/models/org/name:latest"), Route::Model("org/name:latest".to_owned()));
        assert_eq!(model("/models/"), Route::Models);
        assert_eq!(model("/v1beta/models"), Route::Models);
    }

    #[test]
    fn gemini_paths_name_the_model_and_what_it_is_to_do() {
        let post = |path| Route::of(&Method::POST, path);
        let generate = |model, stream| ask_of(Endpoint::GenerateContent, model, stream);
        for path in [
            "/v1beta/models/a/b:7b:streamGenerateContent",
            "/v1alpha/models/a%2Fb%3A7b:streamGenerateContent",
            "/v1/models/a/b:7b%3AstreamGenerateContent",
            "/v1/v1beta/models/a/b:7b:streamGenerateContent/",
            "/v1beta/tunedModels/a/b:7b:streamGenerateContent",
        ] {
            assert_eq!(post(path), generate("a/b:7b", true), "{path}");
        }
        assert_eq!(post("/v1beta/models/g:generateContent"), generate("g", false));
        assert_eq!(post("/v1beta/models/g:predict"), Route::NoOperation("predict".to_owned()));
        assert_eq!(post("/v1/models/qwen3:8b"), Route::WrongMethod("GET, HEAD"));
        assert_eq!(post("/v1/models/g"), Route::WrongMethod("GET, HEAD"));
    }

    #[test]
    fn what_ollama_and_the_responses_have_beside_is_known() {
        let get = |path| Route::of(&Method::GET, path);
        assert_eq!((get("/"), get("/api/ps")), (Route::Greeting, Route::Running));
        assert_eq!((get("/api/version/"), get("/api/what")), (Route::Version, Route::Unknown));
        for path in ["/api/pull", "/api/blobs/sha256:ab", "/api/delete"] {
            assert_eq!(Route::of(&Method::DELETE, path), Route::Unmanaged, "{path}");
        }
        assert_eq!(get("/v1/responses/resp_1"), Route::Unstored);
        assert_eq!(get("/v1/responses/resp_1/input_items"), Route::Unstored);
        assert_eq!(Route::of(&Method::POST, "/v1/responses/compact"), Route::Unknown);
    }

    #[test]
    fn unknown_paths_under_the_version_need_a_key() {
        for path in ["/v1/what", "/v1beta/what", "/api/what", "/api"] {
            assert!(wants_key(&Route::Unknown, path), "{path}");
        }
        assert!(!wants_key(&Route::Unknown, "/what"));
        assert!(!wants_key(&Route::Unknown, "/apis"));
        assert!(wants_key(&Route::Models, "/models"));
    }

    #[test]
    fn callers_are_known_by_path_and_by_header() {
        let dialect = |method: Method, path: &str, header: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.extend(header.map(|name| (http::HeaderName::from_static(name), "x".parse().unwrap())));
            dialect_of(&Route::of(&method, path), path, &headers)
        };
        for (method, path, header, wanted) in [
            (Method::GET, "/v1/models", None, Dialect::OpenAi),
            (Method::GET, "/v1/models", Some("anthropic-version"), Dialect::Anthropic),
            (Method::GET, "/v1/models", Some("x-goog-api-key"), Dialect::Gemini),
            (Method::GET, "/v1beta/models", Some("anthropic-version"), Dialect::Gemini),
            (Method::GET, "/v1beta/openai/models", None, Dialect::OpenAi),
            (Method::GET, "/api/v1/models", None, Dialect::OpenAi),
            (Method::GET, "/v1beta/what", None, Dialect::Gemini),
            (Method::POST, "/v1/models/g:predict", None, Dialect::Gemini),
            (Method::GET, "/v1/messages/batches", None, Dialect::Anthropic),
            (Method::GET, "/v1/responses/resp_1", None, Dialect::Responses),
            (Method::GET, "/api/tags", None, Dialect::Ollama),
            (Method::GET, "/api/what", None, Dialect::Ollama),
            (Method::POST, "/v1/messages", Some("x-goog-api-key"), Dialect::Anthropic),
            (Method::GET, "/what", None, Dialect::OpenAi),
        ] {
            assert_eq!(dialect(method, path, header), wanted, "{path}");
        }
    }
}
