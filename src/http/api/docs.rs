//! Swagger UI at `/docs`, without a CDN. poem-openapi brings it; what a browser and a careful operator miss in its
//! page is added here.

use super::specification::{raw_specification, specification_json, swagger_ui};

/// A doctype, a language, a width for phones, and dark colours for those who prefer them: Swagger UI has only light
/// ones, so they are inverted. The blocks of code are dark already.
const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n    \
                    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n    \
                    <link rel=\"icon\" href=\"data:,\">\n    \
                    <style>@media (prefers-color-scheme: dark) {\
                    html { background: #fff; filter: invert(0.92) hue-rotate(180deg); } \
                    .swagger-ui .microlight { filter: invert(1) hue-rotate(180deg); }\
                    }</style>";

/// The page with the document as it is printed, not as poem-openapi writes it.
pub(super) fn html() -> String {
    let page = swagger_ui()
        .replacen("<html charset=\"UTF-8\">\n<head>", HEAD, 1)
        .replacen("<title>Swagger UI</title>", "<title>Lethe: API</title>", 1);
    // Inside a script, `</script>` in a text of the document would end it.
    let document = specification_json().replace("</", "<\\/");
    page.replacen(raw_specification().as_str(), document.trim_end(), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_html_for_phones_with_the_printed_document() {
        let page = html();
        assert!(
            page.trim_start()
                .starts_with("<!doctype html>\n<html lang=\"en\">")
        );
        assert!(page.contains("name=\"viewport\""));
        assert!(page.contains("prefers-color-scheme: dark"));
        assert!(page.contains("<title>Lethe: API</title>"));
        let document = specification_json().replace("</", "<\\/");
        assert!(
            page.contains(document.trim_end()),
            "the document is not in the page"
        );
        assert!(!page.contains("application/json; charset=utf-8"));
    }
}
