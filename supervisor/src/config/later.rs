//! Keys and words that have their place in the configuration, but do nothing in this version: they are refused
//! as such, not as typing errors. `[]` stands for any element of a list, `*` for any name.

/// Whether `pattern` is a key of a later version.
pub(super) fn is_later_key(pattern: &str) -> bool {
    let (section, rest) = pattern.split_once(['.', '[']).unwrap_or((pattern, ""));
    let rest = rest.trim_start_matches([']', '.']);
    KEYS.iter().any(|(known, keys)| *known == section && keys.contains(&rest))
}

/// Whether `word` is a value that `pattern` will take in a later version.
pub(super) fn is_later_word(pattern: &str, word: &str) -> bool {
    WORDS.iter().any(|(key, words)| *key == pattern && words.contains(&word))
}

const KEYS: &[(&str, &[&str])] = &[
    (
        "proxy",
        &[
            "enabled",
            "api_prefix",
            "allow_plaintext",
            "tls",
            "client_gzip",
            "cors",
            "trusted_proxies",
            "metrics",
            "log.bodies",
            "log.redact_headers",
            "journal",
            "request_log",
            "capture",
            "upstream",
        ],
    ),
    (
        "auth",
        &[
            "api_keys[].key_hash",
            "api_keys[].group",
            "api_keys[].enabled",
            "api_keys[].expires_at",
            "api_keys[].allowed_models",
            "api_keys[].rate_limit",
            "api_keys[].cost_limit",
            "api_keys[].redact_pii",
            "api_keys[].allow_streaming",
            "api_keys[].tags",
            "groups",
            "external",
            "key_store",
            "byo_keys",
            "rate_limits",
            "admin",
        ],
    ),
    (
        "routing",
        &[
            "unknown_model",
            "default_backend",
            "auto_model",
            "listing",
            "patterns",
            "fallbacks",
            "groups",
            "defenders",
            "drop_empty_content",
            "models.*.group",
            "models.*.auto",
            "models.*.fallback",
            "models.*.defaults",
            "models.*.clamp",
            "models.*.system_prompt",
            "models.*.inject",
            "models.*.headers",
            "models.*.drop_empty_content",
            "models.*.defenders",
        ],
    ),
    ("scheduler", &["queue", "max_concurrency"]),
    (
        "retry",
        &[
            "exclusion_size",
            "on",
            "swap_to_default_model",
            "rate_limit_retries",
            "max_body_mb",
            "circuit_breaker",
            "timeout_budget",
        ],
    ),
    (
        "discovery",
        &[
            "startup_probe",
            "path",
            "retry_delay_seconds",
            "ramp_up_seconds",
            "alive",
            "metrics_scrape",
            "passive",
        ],
    ),
    ("storage", &["cost", "archive", "rollups", "shared"]),
    (
        "compat",
        &[
            "thinking",
            "ollama_api",
            "meta_urls",
            "error_shape",
            "retired_models",
            "deprecated_warning_header",
            "pii",
            "id_gate",
            "redact_api",
            "fake_upstream",
        ],
    ),
    (
        "backends",
        &[
            "default_model",
            "model_info",
            "group",
            "skip_probe",
            "ports",
            "headers",
            "forward_client_headers",
            "params",
        ],
    ),
];

const WORDS: &[(&str, &[&str])] = &[
    ("auth.mode", &["external", "any"]),
    ("routing.strategy", &["sticky_least_loaded", "least_loaded", "weighted_random", "single"]),
    ("backends[].type", &["bedrock"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_found() {
        for known in [
            "proxy.tls",
            "proxy.log.bodies",
            "auth.api_keys[].group",
            "backends[].ports",
            "routing.models.*.auto",
        ] {
            assert!(is_later_key(known), "{known}");
        }
        for unknown in ["proxy", "proxy.tsl", "backends[].url", "weight", "", "routing.models.auto"] {
            assert!(!is_later_key(unknown), "{unknown}");
        }
        assert!(is_later_word("backends[].type", "bedrock") && !is_later_word("backends[].type", "openai"));
    }
}
