//! Trying the store, for `lethe check`.

use uuid::Uuid;

use super::delete::KeyOutcome;
use super::{Store, classify, versions};

/// One thing that was tried.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What was tried.
    pub name: &'static str,
    /// Whether it works.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do when it does not work.
    pub remedy: &'static str,
}

impl Store {
    /// Tries the bucket, the permission to delete (with a key that never existed) and versioning.
    pub async fn probe(&self) -> Vec<Probe> {
        let head = self.client.head_bucket().bucket(self.bucket()).send().await;
        let bucket = Probe {
            name: "bucket",
            ok: head.is_ok(),
            detail: match &head {
                Ok(_) => format!("{} is there", self.bucket()),
                Err(error) => classify::of_sdk_error(error).to_string(),
            },
            remedy: "check S3_BUCKET, AWS_ENDPOINT_URL_S3, AWS_REGION and the credentials; s3:ListBucket",
        };
        let key = format!("lethe-probe-{}", Uuid::new_v4());
        let deletion = self.delete(std::slice::from_ref(&key)).await;
        let failed = deletion.outcomes.first().and_then(|outcome| match outcome {
            KeyOutcome::Gone => None,
            KeyOutcome::Failed(failure) => Some(failure.to_string()),
        });
        let delete = Probe {
            name: "delete permission",
            ok: failed.is_none(),
            detail: failed.unwrap_or_else(|| "DeleteObjects is allowed".to_owned()),
            remedy: "grant s3:DeleteObject (and s3:DeleteObjectVersion) on the bucket's objects",
        };
        let kept = versions::are_kept(self).await;
        let versioning = Probe {
            name: "versioning",
            ok: true,
            detail: if kept {
                "versions are kept: every version and marker of a key is deleted".to_owned()
            } else {
                "no versions are kept".to_owned()
            },
            remedy: "grant s3:GetBucketVersioning, s3:ListBucketVersions and s3:DeleteObjectVersion",
        };
        vec![bucket, delete, versioning]
    }
}
