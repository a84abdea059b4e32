//! The JSON Schema of the configuration, for editors and for our own check.

use schemars::generate::SchemaSettings;
use serde_json::Value as Json;

use super::file::File;

/// The JSON Schema (draft 2020-12) of a configuration file. It holds no references.
pub fn schema() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<File>().to_value()
}
