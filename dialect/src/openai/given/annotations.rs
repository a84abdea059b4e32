//! Where a text comes from, as `annotations` of a message: addresses on the web, which is all that OpenAI's chat has.

use serde::{Deserialize, Serialize};

use crate::hub::Json;

/// One of them.
#[derive(Serialize)]
pub(super) struct Annotation {
    r#type: &'static str,
    url_citation: Citation,
}

#[derive(Serialize)]
struct Citation {
    start_index: usize,
    end_index: usize,
    url: String,
    title: String,
}

/// A source as any of the dialects writes it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Written {
    url: Option<String>,
    title: Option<String>,
    start_index: Option<usize>,
    end_index: Option<usize>,
    url_citation: Option<Box<Written>>,
}

/// The `sources` of a text that stands in the answer from character `start` to `end`. One that has no address has no place
/// here and is left out.
pub(super) fn of(sources: &Json, start: usize, end: usize) -> Vec<Annotation> {
    let list: Vec<Json> = sources.to().unwrap_or_default();
    let annotation = |source: &Json| {
        let written: Written = source.to()?;
        let written = match written.url_citation {
            Some(inner) => *inner,
            None => written,
        };
        Some(Annotation {
            r#type: "url_citation",
            url_citation: Citation {
                start_index: written.start_index.map_or(start, |index| start + index),
                end_index: written.end_index.map_or(end, |index| start + index),
                url: written.url?,
                title: written.title.unwrap_or_default(),
            },
        })
    };
    list.iter().filter_map(annotation).collect()
}
