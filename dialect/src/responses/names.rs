//! The names of the request's tools as the client knows them: in their namespaces, and custom ones as custom ones.

use serde::Deserialize;

use crate::hub::{Json, Request, ToolKind};

/// The tools of one request.
#[derive(Default)]
pub(super) struct Names {
    namespaces: Vec<String>,
    /// By their names in the hub.
    customs: Vec<String>,
}

impl Names {
    /// The tools of `request`.
    pub(super) fn of(request: &Request) -> Self {
        let mut names = Self::default();
        for tool in &request.tools {
            match &tool.kind {
                ToolKind::Function(function) => names.add_namespace(function.namespace.as_deref()),
                ToolKind::Custom { name, .. } => names.customs.push(name.clone()),
                ToolKind::Provider { .. } => {}
            }
        }
        // A namespace may hold custom tools only.
        let defined = request.repeated.iter().find(|extra| extra.name == "tools");
        let defined: Option<Vec<Json>> = defined.and_then(|extra| extra.value.to());
        for tool in defined.into_iter().flatten() {
            let namespace = tool.to::<Defined>().filter(|tool| tool.r#type == "namespace");
            names.add_namespace(namespace.as_ref().map(|tool| tool.name.as_str()));
        }
        names
    }

    fn add_namespace(&mut self, namespace: Option<&str>) {
        if let Some(namespace) = namespace.filter(|new| self.namespaces.iter().all(|known| known != new)) {
            self.namespaces.push(namespace.to_owned());
        }
    }

    /// The namespace of the tool that the hub calls `name`, and its name there. Of two namespaces that fit it is the longer.
    pub(super) fn split<'a>(&self, name: &'a str) -> (Option<String>, &'a str) {
        let within = |namespace: &'_ String| {
            let rest = name.strip_prefix(namespace.as_str())?.strip_prefix("__")?;
            Some((namespace.clone(), rest))
        };
        match self.namespaces.iter().filter_map(within).max_by_key(|(namespace, _)| namespace.len()) {
            Some((namespace, rest)) if !rest.is_empty() => (Some(namespace), rest),
            _ => (None, name),
        }
    }

    /// Whether the tool that the hub calls `name` is a custom one.
    pub(super) fn is_custom(&self, name: &str) -> bool {
        self.customs.iter().any(|custom| custom == name)
    }
}

#[derive(Deserialize)]
struct Defined {
    r#type: String,
    #[serde(default)]
    name: String,
}
