//! Does two things that the SDK does not do: it finds out whether an answer was read to its end, and it sends
//! Content-MD5.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use super::classify::Failure;
use crate::vocabulary::ErrorClass;

/// Finds out whether the last answer ended with the closing tag of its root. If a proxy cut a body but framed it
/// correctly, the SDK takes it for a shorter list.
#[derive(Debug)]
pub(super) struct ReadToEnd {
    root: &'static str,
    complete: Arc<AtomicBool>,
}

/// The result of a [`ReadToEnd`]. It is valid after the call.
pub(super) struct Complete(Arc<AtomicBool>);

impl Complete {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Returns a failure with this message if the answer broke off.
    pub(super) fn require(&self, message: &str) -> Result<(), Failure> {
        if self.get() {
            return Ok(());
        }
        let class = ErrorClass::Transient;
        Err(Failure::new(class, "IncompleteAnswer", message))
    }
}

impl ReadToEnd {
    /// Makes an interceptor for one call, and the place where its result can be read.
    pub(super) fn watch(root: &'static str) -> (Self, Complete) {
        let complete = Arc::new(AtomicBool::new(false));
        let finding = Complete(complete.clone());
        (Self { root, complete }, finding)
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for ReadToEnd {
    fn name(&self) -> &'static str {
        "ReadToEnd"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().unwrap_or_default();
        self.complete
            .store(closes(body, self.root), Ordering::Release);
        Ok(())
    }
}

/// Whether a document ends with `</root>` or `</prefix:root>`, or is nothing but `<root/>`.
fn closes(body: &[u8], root: &str) -> bool {
    let Some(tag) = body.trim_ascii_end().strip_suffix(b">") else {
        return false;
    };
    let Some(start) = tag.iter().rposition(|&byte| byte == b'<') else {
        return false;
    };
    let tag = &tag[start + 1..];
    if let Some(name) = tag.strip_prefix(b"/") {
        let local = name.rsplit(|&byte| byte == b':').next().unwrap_or(name);
        return local.trim_ascii() == root.as_bytes();
    }
    tag.ends_with(b"/") && tag.starts_with(root.as_bytes())
}

/// Sends Content-MD5 in place of the newer checksums, which some stores do not know.
#[derive(Debug)]
pub(super) struct ContentMd5;

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for ContentMd5 {
    fn name(&self) -> &'static str {
        "ContentMd5"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let body = request
            .body()
            .bytes()
            .ok_or("Content-MD5 needs a body in memory")?;
        let digest = STANDARD.encode(Md5::digest(body));
        let checksums: Vec<String> = request
            .headers()
            .iter()
            .map(|(name, _)| name)
            .filter(|name| {
                name.starts_with("x-amz-checksum-") || *name == "x-amz-sdk-checksum-algorithm"
            })
            .map(str::to_owned)
            .collect();
        let headers = request.headers_mut();
        for name in checksums {
            headers.remove(name);
        }
        headers.insert("content-md5", digest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::closes;

    #[test]
    fn an_answer_is_complete_when_its_root_is_closed() {
        for whole in [
            "<?xml version=\"1.0\"?><DeleteResult><Deleted/></DeleteResult>\n",
            "<s3:DeleteResult xmlns:s3=\"x\"></s3:DeleteResult>",
            "<DeleteResult xmlns=\"x\"/>",
        ] {
            assert!(closes(whole.as_bytes(), "DeleteResult"), "{whole}");
        }
        for cut in [
            "",
            "<DeleteResult>",
            "<DeleteResult><Deleted><Key>a</Key></Deleted>",
            "<DeleteResult><Deleted><Key>a</Key></Deleted></DeleteResult",
            "<DeleteResult><Deleted/>",
            "<DeleteResult><Deleted><Key>DeleteResult>",
        ] {
            assert!(!closes(cut.as_bytes(), "DeleteResult"), "{cut}");
        }
    }
}
