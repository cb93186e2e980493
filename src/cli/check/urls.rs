//! What may be shown of a URL.

/// A URL without the user and password that some put into it, and without its query.
pub(super) fn without_user(url: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(url) else {
        return url.to_owned();
    };
    // Both fail only for URLs that cannot have a user.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        assert_eq!(
            without_user("http://u:hunter2@s3:9000/?k=v"),
            "http://s3:9000"
        );
    }
}
