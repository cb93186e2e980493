//! The list of open uploads, which s3s-fs does not have: for each it keeps a file whose name holds bucket, key and id.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    EncodingType, ListMultipartUploadsInput, ListMultipartUploadsOutput, MultipartUpload,
};

/// Of one page, as on S3: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html>.
const MAX_UPLOADS: usize = 1_000;

/// Key and id of each open upload of a bucket, in their order.
fn open_uploads(root: &Path, bucket: &str) -> std::io::Result<Vec<(String, String)>> {
    let start = format!(".bucket-{}.object-", URL_SAFE_NO_PAD.encode(bucket));
    let mut uploads = Vec::new();
    for entry in root.read_dir()? {
        let name = entry?.file_name();
        let parts = name
            .to_str()
            .and_then(|name| name.strip_prefix(&start)?.strip_suffix(".metadata.json"))
            .and_then(|name| name.split_once(".upload-"));
        let Some((key, id)) = parts else { continue };
        let key = URL_SAFE_NO_PAD.decode(key).ok();
        if let Some(key) = key.and_then(|key| String::from_utf8(key).ok()) {
            uploads.push((key, id.to_owned()));
        }
    }
    uploads.sort_unstable();
    Ok(uploads)
}

/// The page that is asked for.
pub(super) fn page(
    root: &Path,
    input: ListMultipartUploadsInput,
) -> std::io::Result<ListMultipartUploadsOutput> {
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let after = input.key_marker.as_deref().unwrap_or_default();
    // Without an id, all uploads of the marker's key are behind it.
    let after_id = input.upload_id_marker.as_deref();
    let mut waiting = open_uploads(root, &input.bucket)?;
    waiting.retain(|(key, id)| {
        let is_behind = key.as_str() > after
            || key.as_str() == after && after_id.is_some_and(|after| id.as_str() > after);
        key.starts_with(prefix) && is_behind
    });
    let asked = input.max_uploads.and_then(|max| usize::try_from(max).ok());
    let size = asked.map_or(MAX_UPLOADS, |asked| asked.min(MAX_UPLOADS));
    let is_truncated = waiting.len() > size;
    waiting.truncate(size);
    let is_encoded = input
        .encoding_type
        .as_ref()
        .is_some_and(|encoding| encoding.as_str() == EncodingType::URL);
    let shown = |key: &str| {
        if is_encoded {
            utf8_percent_encode(key, NON_ALPHANUMERIC).to_string()
        } else {
            key.to_owned()
        }
    };
    let last = waiting.last().filter(|_| is_truncated);
    Ok(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        next_key_marker: last.map(|(key, _)| shown(key)),
        next_upload_id_marker: last.map(|(_, id)| id.clone()),
        is_truncated: Some(is_truncated),
        encoding_type: input.encoding_type,
        uploads: Some(
            waiting
                .iter()
                .map(|(key, id)| MultipartUpload {
                    key: Some(shown(key)),
                    upload_id: Some(id.clone()),
                    ..MultipartUpload::default()
                })
                .collect(),
        ),
        ..ListMultipartUploadsOutput::default()
    })
}
