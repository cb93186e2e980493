//! `lethe openapi`.

use super::args::SpecFormat;
use crate::http::api;

/// The spec as text with its last line break, as the file `openapi/openapi.json` has it.
pub fn text(format: SpecFormat) -> String {
    let text = match format {
        SpecFormat::Json => api::specification_json(),
        SpecFormat::Yaml => api::specification_yaml(),
    };
    format!("{}\n", text.trim_end())
}
