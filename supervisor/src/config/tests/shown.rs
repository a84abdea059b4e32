//! What people and editors are shown: the configuration in force, and the schema.

use super::*;

#[test]
fn what_is_shown_reads_back_as_the_same_configuration_without_keys() {
    let text = format!(
        "{VALID}    api_key: secret-key\n    models: ['yes', 'a: b', '7']\n  \
         - {{name: f, type: fake, max_concurrency: 2, fake: {{models: [m], load_seconds: 0.2}}}}\n\
         routing: {{models: {{'gpt 4': {{model: m, backend: f}}}}}}\n\
         scheduler: {{max_wait: off, turn: 2.5, record: /var/r.jsonl}}\n"
    );
    let config = loaded(&text).config;
    let shown = show(&config);
    assert!(!shown.contains("secret"), "{shown}");
    let lines = [
        "key: \"***\"",
        "slots: auto",
        "slots: 2",
        "max_models: auto",
        "serialize_by_model: auto",
        "overflow_after: auto",
        "host: 0.0.0.0",
        "load_seconds: 0.2",
        "strategy: model_turns",
        "max_wait: \"off\"",
        "turn: 2.5",
        "pace: 1\n",
        "record: /var/r.jsonl",
        "heartbeat_seconds: 10\n",
        "load_options: bucket",
        "class: interactive",
    ];
    for line in lines {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    let masked =
        [("name: b\n      key: \"***\"", "name: b\n      key: k2"), ("admin_key: \"***\"", "admin_key: k3")];
    let shown_again = masked.iter().fold(shown.clone(), |text, (from, to)| text.replace(from, to));
    let again = loaded(&shown_again).config;
    assert_eq!(show(&again), shown);
    assert_eq!(again.catalog(), config.catalog());
}

#[test]
fn the_schema_knows_every_key_its_default_and_its_comment() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(schema.get("$defs").is_none() && !schema.to_string().contains("$ref"), "it holds no references");
    let port = &schema["properties"]["proxy"]["properties"]["port"];
    assert_eq!((&port["maximum"], &port["default"]), (&json!(65535), &json!(8080)));
    let backend = &schema["properties"]["backends"]["items"];
    assert_eq!(backend["additionalProperties"], false);
    assert_eq!(backend["properties"]["api_key"]["writeOnly"], true);
    check_comments("", &schema);
}

/// Every key has a comment, and nothing is found whose kind the check does not know.
fn check_comments(name: &str, schema: &serde_json::Value) {
    assert_ne!(wants::Wants::of(schema).expected(), "expected ", "{name}: {schema}");
    for (key, value) in schema["properties"].as_object().into_iter().flatten() {
        assert!(value["description"].is_string(), "{name}.{key} has no comment");
        check_comments(&format!("{name}.{key}"), value);
    }
    if schema["items"].is_object() {
        check_comments(&format!("{name}[]"), &schema["items"]);
    }
}
