//! What engines tell of their memory: the models in it, their context, and how many requests and models fit. Pure.
//!
//! What cannot be read is left out, never an error: engines change, and a proxy works without these answers, too.

use std::collections::{BTreeMap, BTreeSet};

use ipc_proto::control::LoadedModel;
use ipc_proto::ids::ModelName;
use serde_json::Value;

use crate::shapes::Listed;

/// More slots or models than this are a mistake somewhere.
const MOST: u64 = 4096;
/// The context and slots of llama.cpp, as its command line names them.
const CONTEXT_FLAGS: [&str; 3] = ["-c", "--ctx-size", "-ctx"];
const SLOT_FLAGS: [&str; 3] = ["-np", "--parallel", "--n-parallel"];

/// What a backend has in memory, as far as it tells.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Residency {
    /// The models in memory.
    pub(crate) loaded: Option<Vec<LoadedModel>>,
    /// Requests at once.
    pub(crate) slots: Option<u32>,
    /// Models at once.
    pub(crate) max_models: Option<u32>,
}

/// Ollama's `/api/ps`. Its context is there since 0.6; slots and models at once it keeps to itself.
pub(crate) fn ollama(answer: &Value, offered: &[Listed]) -> Option<Residency> {
    let known = Names::of(offered);
    let mut loaded = Resident::default();
    for model in list(answer, "models")? {
        let names: Vec<_> = [text(model, "name"), text(model, "model")].into_iter().flatten().collect();
        if let Some(name) = known.known(&names) {
            loaded.add(name, context(model.get("context_length")));
        }
    }
    Some(Residency { loaded: Some(loaded.models()), ..Residency::default() })
}

/// LM Studio's `/api/v1/models`: each model with its loaded instances. An instance that clients can name is a model
/// of its own.
pub(crate) fn lm_studio(answer: &Value, offered: &[Listed]) -> Option<Residency> {
    let known = Names::of(offered);
    let mut loaded = Resident::default();
    let mut slots = None;
    for model in list(answer, "models")? {
        let Some(key) = text(model, "key") else { continue };
        for instance in list(model, "loaded_instances").unwrap_or_default() {
            let config = instance.get("config").unwrap_or(&Value::Null);
            let own = text(instance, "id").filter(|id| known.exact.contains(id));
            loaded.add(ModelName::new(own.unwrap_or(key)), context(config.get("context_length")));
            slots = fewer(slots, number(config.get("parallel")));
        }
    }
    Some(Residency { loaded: Some(loaded.models()), slots, max_models: None })
}

/// LM Studio's `/api/v0/models`, of builds before 0.4.
pub(crate) fn lm_studio_old(answer: &Value) -> Option<Residency> {
    let mut loaded = Resident::default();
    for model in list(answer, "data")? {
        if let Some(id) = text(model, "id").filter(|_| is_loaded(model.get("state"))) {
            loaded.add(ModelName::new(id), context(model.get("loaded_context_length")));
        }
    }
    Some(Residency { loaded: Some(loaded.models()), ..Residency::default() })
}

/// llama.cpp's `/models` where it is a router, which has a status for each model; `None` where it is not.
///
/// How many models a router holds is not told reliably, so it is not read.
pub(crate) fn llama_router(answer: &Value) -> Option<Residency> {
    let models = list(answer, "data")?;
    if !models.iter().any(|model| model.get("status").is_some()) {
        return None;
    }
    let mut loaded = Resident::default();
    let mut slots = None;
    for model in models {
        let status = model.get("status").unwrap_or(&Value::Null);
        let Some(id) = text(model, "id") else { continue };
        if !is_loaded(Some(status.get("value").unwrap_or(status))) {
            continue;
        }
        let told = context(model.pointer("/meta/n_ctx"));
        let args = status.get("args").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        loaded.add(ModelName::new(id), told.or_else(|| flag(args, &CONTEXT_FLAGS)));
        slots = fewer(slots, flag(args, &SLOT_FLAGS).and_then(few));
    }
    Some(Residency { loaded: Some(loaded.models()), slots, max_models: None })
}

/// llama.cpp's `/props` where it serves one model: that is in memory, unless the server sleeps.
pub(crate) fn llama_single(props: &Value, offered: &[Listed]) -> Option<Residency> {
    let settings = props.get("default_generation_settings");
    if text(props, "role") == Some("router") || (settings.is_none() && props.get("total_slots").is_none()) {
        return None;
    }
    let is_asleep = props.get("is_sleeping") == Some(&Value::Bool(true));
    let n_ctx = context(settings.and_then(|settings| settings.get("n_ctx")));
    let slots = number(props.get("total_slots"));
    Some(one_model(if is_asleep { &[] } else { offered }, n_ctx, slots))
}

/// llama.cpp's `/slots`: one item for each.
pub(crate) fn llama_slots(answer: &Value, offered: &[Listed]) -> Option<Residency> {
    let slots = answer.as_array().filter(|slots| !slots.is_empty())?;
    let n_ctx = context(slots[0].get("n_ctx"));
    Some(one_model(offered, n_ctx, u64::try_from(slots.len()).ok().and_then(few)))
}

/// An engine with one model, under whatever names.
pub(crate) fn one_model(names: &[Listed], context: Option<u64>, slots: Option<u32>) -> Residency {
    let loaded = names.iter().map(|listed| LoadedModel { id: listed.model.id.clone(), context });
    Residency { loaded: Some(loaded.collect()), slots, max_models: Some(1) }
}

/// An engine that has in memory what it lists, and loads nothing else: vLLM, `SGLang`.
pub(crate) fn fixed(offered: &[Listed], slots: Option<u32>) -> Residency {
    let loaded =
        offered.iter().map(|listed| LoadedModel { id: listed.model.id.clone(), context: listed.context });
    let max_models = u64::try_from(offered.len()).ok().and_then(few);
    Residency { loaded: Some(loaded.collect()), slots, max_models }
}

/// The slots in vLLM's `/metrics`: a gauge `vllm:max_num_seqs`, or a label of that name beside another figure. Usual
/// builds have neither, and their figures of cache blocks say nothing about requests.
pub(crate) fn vllm_slots(metrics: &str) -> Option<u32> {
    let mut ours = metrics.lines().filter(|line| line.starts_with("vllm:"));
    ours.find_map(|line| {
        let label = line.split_once("max_num_seqs=\"").and_then(|(_, value)| value.split('"').next());
        let gauge = || line.strip_prefix("vllm:max_num_seqs")?.rsplit(['}', ' ']).next();
        let value: f64 = label.or_else(gauge)?.trim().parse().ok()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, small, over zero"
        )]
        let whole = (value.fract() == 0.0 && (1.0..=1e6).contains(&value)).then_some(value as u64);
        whole.and_then(few)
    })
}

/// The slots in `SGLang`'s `/get_server_info`. There are many secrets in that answer: nothing else is read.
pub(crate) fn sglang_slots(answer: &Value) -> Option<u32> {
    let inner = || answer.pointer("/internal_states/0/max_running_requests");
    number(answer.get("max_running_requests")).or_else(|| number(inner()))
}

/// The models found in memory, each once, in the order found.
#[derive(Default)]
struct Resident {
    order: Vec<ModelName>,
    contexts: BTreeMap<ModelName, Option<u64>>,
}

impl Resident {
    /// One more instance: of two of the same name, the larger context counts.
    fn add(&mut self, id: ModelName, context: Option<u64>) {
        let before = self.contexts.get(&id).copied();
        if before.is_none() {
            self.order.push(id.clone());
        }
        self.contexts.insert(id, before.flatten().max(context));
    }

    fn models(self) -> Vec<LoadedModel> {
        let Self { order, contexts } = self;
        order
            .into_iter()
            .map(|id| {
                let context = contexts.get(&id).copied().flatten();
                LoadedModel { id, context }
            })
            .collect()
    }
}

/// The list `member` of `object`; null is an empty one.
fn list<'a>(object: &'a Value, member: &str) -> Option<&'a [Value]> {
    match object.get(member)? {
        Value::Null => Some(&[]),
        Value::Array(items) => Some(items),
        _ => None,
    }
}

fn text<'a>(object: &'a Value, member: &str) -> Option<&'a str> {
    object.get(member).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn is_loaded(state: Option<&Value>) -> bool {
    state.and_then(Value::as_str).is_some_and(|state| state.eq_ignore_ascii_case("loaded"))
}

fn context(value: Option<&Value>) -> Option<u64> {
    value?.as_u64().filter(|context| (1..=u64::from(u32::MAX)).contains(context))
}

fn number(value: Option<&Value>) -> Option<u32> {
    few(value?.as_u64()?)
}

fn few(number: u64) -> Option<u32> {
    u32::try_from(number).ok().filter(|_| (1..=MOST).contains(&number))
}

/// The lower of two numbers that may be missing: what holds for every model in memory.
fn fewer(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The number behind one of `names` in a command line; the last one counts.
fn flag(args: &[Value], names: &[&str]) -> Option<u64> {
    let mut pairs = args.windows(2).rev();
    let (_, value) = pairs.find_map(|pair| {
        let name = pair[0].as_str().filter(|name| names.contains(name))?;
        Some((name, &pair[1]))
    })?;
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    (1..=u64::from(u32::MAX)).contains(&number).then_some(number)
}

/// The names under which clients know the models: looked up as often as an answer likes, so kept in order.
struct Names<'a> {
    exact: BTreeSet<&'a str>,
    /// Without the usual tag.
    plain: BTreeMap<&'a str, &'a ModelName>,
}

impl<'a> Names<'a> {
    fn of(offered: &'a [Listed]) -> Self {
        let ids = || offered.iter().map(|listed| &listed.model.id);
        let plain = ids().map(|id| (without_tag(id.as_str()), id)).collect();
        Self { exact: ids().map(ModelName::as_str).collect(), plain }
    }

    /// The name of the model that the engine calls by one of `names`: a tag `:latest` may be missing on either side.
    fn known(&self, names: &[&str]) -> Option<ModelName> {
        let exact = names.iter().find(|name| self.exact.contains(*name)).copied().map(ModelName::new);
        let alike = || names.iter().find_map(|name| self.plain.get(without_tag(name)).copied().cloned());
        exact.or_else(alike).or_else(|| names.first().copied().map(ModelName::new))
    }
}

fn without_tag(name: &str) -> &str {
    name.strip_suffix(":latest").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use ipc_proto::control::OfferedModel;
    use serde_json::json;

    use super::*;

    fn offered(names: &[&str]) -> Vec<Listed> {
        let model = |name| OfferedModel { id: ModelName::new(name), created: None, owned_by: None };
        names.iter().map(|name| Listed { model: model(name), context: None }).collect()
    }

    type Found = (Vec<(String, Option<u64>)>, Option<u32>, Option<u32>);

    fn found(residency: Option<Residency>) -> Option<Found> {
        let Residency { loaded, slots, max_models } = residency?;
        let loaded = loaded?.into_iter().map(|model| (model.id.to_string(), model.context)).collect();
        Some((loaded, slots, max_models))
    }

    fn is(loaded: &[(&str, Option<u64>)], slots: Option<u32>, max_models: Option<u32>) -> Found {
        let loaded = loaded.iter().map(|&(name, context)| (name.to_owned(), context)).collect();
        (loaded, slots, max_models)
    }

    #[test]
    fn dis_06_ollama_with_and_without_the_usual_tag() {
        let answer = json!({"models": [
            {"name": "a:latest", "context_length": 8192}, {"model": "b:7b"}, {"name": "c", "context_length": 0},
        ]});
        let expected = Some(is(&[("a", Some(8192)), ("b:7b", None), ("c:latest", None)], None, None));
        assert_eq!(found(ollama(&answer, &offered(&["a", "b:7b", "c:latest"]))), expected);
        let copy = json!({"models": [{"name": "stranger", "model": "known"}]});
        assert_eq!(found(ollama(&copy, &offered(&["known"]))), Some(is(&[("known", None)], None, None)));
        assert_eq!(found(ollama(&copy, &[])), Some(is(&[("stranger", None)], None, None)));
        assert_eq!(found(ollama(&json!({"models": null}), &[])), Some(is(&[], None, None)));
        assert_eq!(ollama(&json!({"models": 7}), &[]), None);
    }

    #[test]
    fn dis_07_lm_studio_tells_context_and_slots_of_each_instance() {
        let answer = json!({"models": [
            {"key": "a", "loaded_instances": [
                {"id": "a", "config": {"context_length": 4096, "parallel": 4}},
                {"id": "a:2", "config": {"context_length": 8192, "parallel": 2}},
            ]},
            {"key": "b", "loaded_instances": []},
            {"key": "c", "loaded_instances": [{"id": "mine", "config": {"context_length": 1}}, {}]},
            {"loaded_instances": [{}]},
            {"key": "d"},
        ]});
        let expected = Some(is(&[("a", Some(8192)), ("mine", Some(1)), ("c", None)], Some(2), None));
        assert_eq!(found(lm_studio(&answer, &offered(&["a", "b", "c", "mine"]))), expected);
        assert_eq!(lm_studio(&json!({"data": []}), &[]), None);
        let old = json!({"data": [
            {"id": "a", "state": "loaded", "loaded_context_length": 4096}, {"id": "b", "state": "not-loaded"},
            {"id": "c", "state": "Loaded"},
        ]});
        assert_eq!(found(lm_studio_old(&old)), Some(is(&[("a", Some(4096)), ("c", None)], None, None)));
    }

    #[test]
    fn dis_07_a_router_of_llama_cpp_tells_by_status() {
        let answer = json!({"data": [
            {"id": "a", "status": {"value": "loaded", "args": ["llama-server", "-c", "4096", "-np", "4"]}},
            {"id": "b", "status": {"value": "loaded", "args": ["--parallel", "2"]}, "meta": {"n_ctx": 512}},
            {"id": "c", "status": {"value": "loading", "args": ["-np", "1"]}},
            {"id": "d", "status": {"value": "sleeping"}},
            {"id": "e", "status": {"value": "unloaded", "failed": true}},
            {"id": "f", "status": "LOADED"},
            {"id": "g"},
            {"status": {"value": "loaded"}},
        ]});
        let expected = Some(is(&[("a", Some(4096)), ("b", Some(512)), ("f", None)], Some(2), None));
        assert_eq!(found(llama_router(&answer)), expected);
        let odd =
            json!({"data": [{"id": "a", "status": {"value": "loaded", "args": ["-c", "-np", "x", "-c"]}}]});
        assert_eq!(found(llama_router(&odd)), Some(is(&[("a", None)], None, None)));
        assert_eq!(llama_router(&json!({"data": [{"id": "a"}]})), None);
        assert_eq!(llama_router(&json!([])), None);
    }

    #[test]
    fn dis_07_a_single_model_of_llama_cpp_is_in_memory_unless_it_sleeps() {
        let names = offered(&["m"]);
        let props = json!({"default_generation_settings": {"n_ctx": 1024}, "total_slots": 2});
        assert_eq!(found(llama_single(&props, &names)), Some(is(&[("m", Some(1024))], Some(2), Some(1))));
        let asleep = json!({"total_slots": 2, "is_sleeping": true});
        assert_eq!(found(llama_single(&asleep, &names)), Some(is(&[], Some(2), Some(1))));
        for other in [json!({"role": "router", "total_slots": 1}), json!({}), json!([]), json!(null)] {
            assert_eq!(llama_single(&other, &names), None, "{other}");
        }
        let slots = json!([{"id": 0, "n_ctx": 2048}, {"id": 1, "n_ctx": 2048}, {"id": 2}]);
        assert_eq!(found(llama_slots(&slots, &names)), Some(is(&[("m", Some(2048))], Some(3), Some(1))));
        for other in [json!([]), json!({"error": {}}), json!("x")] {
            assert_eq!(llama_slots(&other, &names), None, "{other}");
        }
    }

    #[test]
    fn slots_of_vllm_and_sglang_are_read_where_they_are_told() {
        let usual = "# HELP vllm:num_requests_running x\nvllm:num_requests_running{model_name=\"m\"} 3.0\n\
            vllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"573\"} 1.0\n";
        assert_eq!(vllm_slots(usual), None);
        assert_eq!(vllm_slots(&format!("{usual}vllm:max_num_seqs{{engine=\"0\"}} 256.0\n")), Some(256));
        assert_eq!(vllm_slots("vllm:max_num_seqs 64"), Some(64));
        assert_eq!(vllm_slots("vllm:cache_config_info{max_num_seqs=\"128\",x=\"1\"} 1.0"), Some(128));
        for odd in
            ["", "vllm:max_num_seqs", "vllm:max_num_seqs NaN", "vllm:max_num_seqs -1", "max_num_seqs 4"]
        {
            assert_eq!(vllm_slots(odd), None, "{odd}");
        }
        assert_eq!(sglang_slots(&json!({"max_running_requests": 48, "api_key": "x"})), Some(48));
        let inner = json!({"max_running_requests": null, "internal_states": [{"max_running_requests": 7}]});
        assert_eq!(sglang_slots(&inner), Some(7));
        for odd in [json!({"max_running_requests": 0}), json!({"max_running_requests": 1e9}), json!([1])] {
            assert_eq!(sglang_slots(&odd), None, "{odd}");
        }
    }
}
