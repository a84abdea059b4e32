//! Parameters that local engines take beside the dialect's own, by the names that they have in the body.
//!
//! Clients of any dialect may put them on top of their body. Engines pass over what they do not know, so a name goes only to
//! those that have it.

use crate::translate::Engine;

/// Of LM Studio.
const LM_STUDIO: [&str; 9] = [
    "top_k",
    "min_p",
    "repeat_penalty",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "logit_bias",
    "ttl",
];

/// Of llama.cpp's server.
const LLAMA_CPP: [&str; 40] = [
    "top_k",
    "min_p",
    "repeat_penalty",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "logit_bias",
    "repeat_last_n",
    "typical_p",
    "top_n_sigma",
    "dynatemp_range",
    "dynatemp_exponent",
    "xtc_probability",
    "xtc_threshold",
    "dry_multiplier",
    "dry_base",
    "dry_allowed_length",
    "dry_penalty_last_n",
    "dry_sequence_breakers",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
    "adaptive_target",
    "adaptive_decay",
    "samplers",
    "grammar",
    "json_schema",
    "ignore_eos",
    "n_probs",
    "n_keep",
    "min_keep",
    "n_indent",
    "t_max_predict_ms",
    "cache_prompt",
    "id_slot",
    "lora",
    "chat_template_kwargs",
    "reasoning_format",
    "thinking_forced_open",
];

/// Of vLLM.
const VLLM: [&str; 39] = [
    "top_k",
    "min_p",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "logit_bias",
    "length_penalty",
    "min_tokens",
    "ignore_eos",
    "stop_token_ids",
    "bad_words",
    "allowed_token_ids",
    "include_stop_str_in_output",
    "skip_special_tokens",
    "spaces_between_special_tokens",
    "truncate_prompt_tokens",
    "prompt_logprobs",
    "use_beam_search",
    "add_generation_prompt",
    "continue_final_message",
    "add_special_tokens",
    "documents",
    "chat_template",
    "chat_template_kwargs",
    "mm_processor_kwargs",
    "structured_outputs",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "guided_decoding_backend",
    "guided_whitespace_pattern",
    "structural_tag",
    "priority",
    "cache_salt",
    "kv_transfer_params",
    "vllm_xargs",
];

/// Whether `engine` has the parameter `name`.
pub(super) fn takes(engine: Engine, name: &str) -> bool {
    let known: &[&str] = match engine {
        Engine::LmStudio => &LM_STUDIO,
        Engine::LlamaCpp => &LLAMA_CPP,
        Engine::Vllm => &VLLM,
        // What Ollama takes beside the dialect goes by its own API.
        Engine::Ollama | Engine::Provider | Engine::Other => &[],
    };
    known.contains(&name)
}
