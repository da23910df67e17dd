//! Files compiled into the binary: stylesheet, script, icon and API description.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::conditional::names;
use crate::digest::Sha256Digest;

/// Nothing here is personal, and an hour bounds how long an old file meets a new page.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=3600");

struct Asset {
    content_type: HeaderValue,
    body: &'static [u8],
    /// Strong: the same tag means the same bytes.
    etag: HeaderValue,
}

/// The palette is also that of the load report, which is a template and a file of its own.
static STYLESHEET: LazyLock<Asset> = LazyLock::new(|| {
    let sheet = concat!(
        include_str!("../../templates/palette.css"),
        include_str!("../../static/style.css")
    );
    Asset::new("text/css; charset=utf-8", sheet.as_bytes())
});

static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("text/javascript; charset=utf-8", include_bytes!("../../static/page.js"))
});

static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("image/svg+xml", include_bytes!("../../static/icon.svg")));

static OPENAPI: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("application/json", include_bytes!("../../static/openapi.json")));

/// `/static/style.css`, or 304 if the request's `If-None-Match` has it already.
#[must_use]
pub(super) fn stylesheet(request: &HeaderMap) -> Response {
    STYLESHEET.answer(request)
}

/// `/static/page.js`, or 304 if the request's `If-None-Match` has it already.
#[must_use]
pub(super) fn script(request: &HeaderMap) -> Response {
    SCRIPT.answer(request)
}

/// `/static/icon.svg`, or 304 if the request's `If-None-Match` has it already.
#[must_use]
pub(super) fn icon(request: &HeaderMap) -> Response {
    ICON.answer(request)
}

/// `/api/v1/openapi.json`, or 304 if the request's `If-None-Match` has it already.
#[must_use]
pub(super) fn openapi(request: &HeaderMap) -> Response {
    OPENAPI.answer(request)
}

impl Asset {
    fn new(content_type: &'static str, body: &'static [u8]) -> Self {
        let tag = format!("\"{:.32}\"", Sha256Digest::of(body).to_string());
        Self {
            content_type: HeaderValue::from_static(content_type),
            body,
            etag: HeaderValue::try_from(tag).expect("hex digits and quotes are valid in a header"),
        }
    }

    fn answer(&self, request: &HeaderMap) -> Response {
        let headers = [
            (header::ETAG, self.etag.clone()),
            (header::CACHE_CONTROL, CACHE_CONTROL),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        if names(request, &self.etag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let content_type = [(header::CONTENT_TYPE, self.content_type.clone())];
        (headers, content_type, self.body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Map, Value};

    use super::*;
    use crate::http::site::transcript;

    fn description() -> Value {
        serde_json::from_slice(OPENAPI.body).unwrap()
    }

    fn keys(object: &Value) -> BTreeSet<&str> {
        object.as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn a_file_comes_with_its_tag_and_once() {
        for (asset, content_type) in [
            (stylesheet as fn(&HeaderMap) -> Response, "text/css; charset=utf-8"),
            (script, "text/javascript; charset=utf-8"),
            (icon, "image/svg+xml"),
            (openapi, "application/json"),
        ] {
            let first = asset(&HeaderMap::new());
            assert_eq!(first.status(), StatusCode::OK);
            assert_eq!(first.headers()[header::CONTENT_TYPE], content_type);
            let etag = first.headers()[header::ETAG].clone();
            assert!(etag.to_str().unwrap().starts_with('"'), "{etag:?} is not strong");

            let again = asset(&HeaderMap::from_iter([(header::IF_NONE_MATCH, etag.clone())]));
            assert_eq!(
                transcript(again),
                format!(
                    "304 Not Modified\ncache-control: public, max-age=3600\netag: {}\nx-content-type-options: nosniff\n\n",
                    etag.to_str().unwrap()
                )
            );
        }
    }

    #[test]
    fn no_file_of_a_page_loads_another() {
        let stylesheet = std::str::from_utf8(STYLESHEET.body).unwrap();
        for word in ["url(", "@import", "http:", "https:"] {
            assert!(!stylesheet.contains(word), "{word}");
        }
        let script = std::str::from_utf8(SCRIPT.body).unwrap();
        for word in ["import", "fetch", "XMLHttp", "http:", "https:", "eval", "HTML"] {
            assert!(!script.contains(word), "{word}");
        }
        let icon = std::str::from_utf8(ICON.body).unwrap();
        for word in ["href", "style", "<script"] {
            assert!(!icon.contains(word), "{word}");
        }
    }

    #[test]
    fn the_description_refers_only_to_what_it_defines() {
        fn visit(value: &Value, root: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(reference)) = members.get("$ref") {
                        let pointer = reference.strip_prefix('#').unwrap();
                        assert!(root.pointer(pointer).is_some(), "{reference} leads nowhere");
                    }
                    members.values().for_each(|member| visit(member, root));
                }
                Value::Array(elements) => elements.iter().for_each(|element| visit(element, root)),
                _ => {}
            }
        }
        let description = description();
        visit(&description, &description);
    }

    #[test]
    fn the_schema_has_the_fields_of_the_model_with_their_types() {
        fn compare(model: &Map<String, Value>, schema: &Value, schemas: &Value) {
            assert_eq!(schema["type"], "object");
            assert_ne!(schema["additionalProperties"], Value::Bool(false));
            let fields: BTreeSet<&str> = model.keys().map(String::as_str).collect();
            assert_eq!(keys(&schema["properties"]), fields);
            let required = schema["required"].as_array().unwrap().iter();
            assert_eq!(
                required.map(|name| name.as_str().unwrap()).collect::<BTreeSet<_>>(),
                fields
            );

            for (name, value) in model {
                let property = &schema["properties"][name];
                let referred = |property: &Value| {
                    let reference = property["$ref"].as_str().unwrap();
                    schemas[reference.rsplit('/').next().unwrap()].clone()
                };
                match value {
                    Value::String(_) => assert_eq!(property["type"], "string", "{name}"),
                    Value::Number(_) => assert_eq!(property["type"], "integer", "{name}"),
                    Value::Object(part) => compare(part, &referred(property), schemas),
                    Value::Array(elements) => {
                        assert_eq!(property["type"], "array", "{name}");
                        compare(
                            elements[0].as_object().unwrap(),
                            &referred(&property["items"]),
                            schemas,
                        );
                    }
                    Value::Bool(_) | Value::Null => panic!("{name} is of a type the model has not"),
                }
            }
        }
        let description = description();
        let model: Value = serde_json::from_slice(include_bytes!("../../data/model.json")).unwrap();
        let schemas = &description["components"]["schemas"];
        compare(model.as_object().unwrap(), &schemas["Order"], schemas);
    }
}
