//! What a request says without asking for anything: what happens anyway, and hints on which no answer depends.
//!
//! A writer carries such a wish like any other where its dialect has a word for it. Where it has none, nothing is lost by
//! leaving it out, so it is not named: clients send many of them with every request.

use super::{Extra, Request, Said, ToolChoice};

/// The places in the client's body that say no more than this.
pub(crate) fn places(request: &Request) -> Vec<&str> {
    let sampling = &request.sampling;
    let numbers = [
        (&sampling.temperature, 1.0),
        (&sampling.top_p, 1.0),
        (&sampling.min_p, 0.0),
        (&sampling.frequency_penalty, 0.0),
        (&sampling.presence_penalty, 0.0),
        (&sampling.repeat_penalty, 1.0),
    ];
    let numbers =
        numbers.map(|(said, usual)| at(said.as_ref(), |value| (value - usual).abs() < f64::EPSILON));
    let others = [
        at(sampling.top_k.as_ref(), |count| *count == 0),
        at(sampling.n.as_ref(), |count| *count == 1),
        at(sampling.logprobs.as_ref(), |wanted| !wanted),
        at(sampling.top_logprobs.as_ref(), |count| *count == 0),
        at(sampling.logit_bias.as_ref(), |weights| weights.as_str() == "{}"),
        at(request.metadata.as_ref(), |notes| notes.as_str() == "{}"),
        at(request.user.as_ref(), String::is_empty),
        at(request.verbosity.as_ref(), |word| word == "medium"),
        at(request.service_tier.as_ref(), |word| matches!(word.as_str(), "auto" | "default")),
        at(request.tool_choice.as_ref(), |choice| *choice == ToolChoice::Auto),
        at(request.parallel_tool_calls.as_ref(), |wanted| *wanted),
        // The reader's own wish, not the client's.
        at(request.parallel_tool_calls.as_ref().filter(|said| said.at == "functions"), |_| true),
        // Only the price of the answer depends on it.
        at(request.cache_key.as_ref(), |_| true),
    ];
    let extras = request.extras.iter().filter(|extra| is_usual(extra)).map(|extra| extra.at.as_str());
    numbers.into_iter().chain(others).flatten().chain(extras).collect()
}

fn at<T>(said: Option<&Said<T>>, is_usual: impl Fn(&T) -> bool) -> Option<&str> {
    said.filter(|said| is_usual(&said.value)).map(|said| said.at.as_str())
}

/// Whether a member that the hub has no word for asks for nothing.
fn is_usual(extra: &Extra) -> bool {
    let value = extra.value.as_str();
    match extra.name.as_str() {
        _ if matches!(value, "[]" | "{}") => true,
        "store" | "background" | "echo" => value == "false",
        "best_of" => value == "1",
        "truncation" => value == "\"disabled\"",
        // Ollama's own.
        "truncate" | "shift" => value == "true",
        "modalities" => extra.value.to::<Vec<String>>().is_some_and(|list| list == ["text"]),
        "include" => value == r#"["reasoning.encrypted_content"]"#,
        "prompt_cache_retention" | "prompt_cache_options" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Endpoint;
    use crate::hub::Json;

    fn extra(name: &str, value: &str) -> Extra {
        Extra { name: name.to_owned(), at: format!("x.{name}"), value: Json::parse(value).unwrap() }
    }

    #[test]
    fn only_what_asks_for_nothing_is_found() {
        let mut request = Request::new(Endpoint::ChatCompletions);
        assert!(places(&request).is_empty());
        request.sampling.temperature = Some(Said::new("temperature", 1.0));
        request.sampling.top_p = Some(Said::new("top_p", 0.9));
        request.parallel_tool_calls = Some(Said::new("parallel", true));
        request.tool_choice = Some(Said::new("choice", ToolChoice::None));
        request.cache_key = Some(Said::new("key", "k".to_owned()));
        request.extras = vec![
            extra("store", "false"),
            extra("store", "true"),
            extra("anything", "[]"),
            extra("anything", "false"),
            extra("truncation", "\"auto\""),
        ];
        assert_eq!(places(&request), ["temperature", "parallel", "key", "x.store", "x.anything"]);
    }
}
