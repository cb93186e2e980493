//! The headers of an HTML page that asks for a token: it runs only its own scripts, talks to its own server only, and
//! is shown in no other page.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use sha2::{Digest as _, Sha256};

/// The headers of one page. Its scripts and styles stand in the page itself, and the browser runs those scripts only
/// whose digest the policy names.
pub(super) fn secure(html: &str) -> Vec<(&'static str, String)> {
    let scripts = digests_of_scripts(html).join(" ");
    let policy = format!(
        "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src 'self' data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    vec![
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff".to_owned()),
        ("x-frame-options", "DENY".to_owned()),
        ("referrer-policy", "no-referrer".to_owned()),
    ]
}

/// What Content-Security-Policy calls each script of the page.
fn digests_of_scripts(html: &str) -> Vec<String> {
    let mut digests = Vec::new();
    let mut rest = html;
    // A script ends at the first `</script`, whatever else stands in it.
    while let Some((_, after)) = rest.split_once("<script")
        && let Some((_attributes, after)) = after.split_once('>')
        && let Some((script, after)) = after.split_once("</script")
    {
        // A browser reads every line ending of a page as a line feed.
        let script = script.replace("\r\n", "\n").replace('\r', "\n");
        digests.push(format!(
            "'sha256-{}'",
            BASE64.encode(Sha256::digest(script))
        ));
        rest = after;
    }
    digests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_script_is_named_by_its_digest() {
        let html = "<p>x</p><script charset=\"UTF-8\">alert(1)</script>\n<script>\r\nx('<script>')</script>";
        // printf 'alert(1)' | openssl dgst -sha256 -binary | base64, and the same for the other.
        assert_eq!(
            digests_of_scripts(html),
            [
                "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='",
                "'sha256-nzg0uTYztGXKU4O6BZrc463XKaKvO8bHMpQ6sH0VHZA='",
            ]
        );
    }
}
