//! Tests the store, for `lethe check` and for a worker's readiness.

use super::Store;
use super::batch::refusal_of_unknown_key;
use super::calls::Calls;
use super::classify::{self, Failure, TIMED_OUT, UNREACHABLE};
use super::uploads;
use super::versions::{self, Versioning};
use crate::vocabulary::ErrorClass;

/// The result of one test.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What was tested.
    pub name: &'static str,
    /// Whether it works.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do when it does not work.
    pub remedy: &'static str,
}

impl Store {
    /// Tests the bucket, the permission to delete (with a key that never existed), versioning and the
    /// list of open uploads. Changes nothing in the bucket.
    pub async fn probe(&self) -> Vec<Probe> {
        let calls = Calls::new(self);
        let versioning = versions::versioning(&calls).await;
        let kept = versioning.as_ref().is_ok_and(Versioning::is_kept);
        let refusal = refusal_of_unknown_key(&calls, kept).await;
        let mut probes = vec![
            self.probe_bucket().await,
            Probe {
                name: "delete permission",
                ok: refusal.is_none(),
                remedy: remedy(
                    refusal.as_ref(),
                    "grant s3:DeleteObject (and s3:DeleteObjectVersion) on the bucket's objects",
                ),
                detail: detail(refusal, "deletions are allowed"),
            },
            probe_versioning(&versioning),
            probe_uploads(uploads::refusal_of_list(&calls, &self.key_prefixes.unknown_key()).await),
        ];
        if kept {
            let nothing = self.key_prefixes.unknown_key();
            let listed = versions::delete_all(&calls, &[&nothing]).await.pop();
            let failure = listed.and_then(Result::err);
            probes.push(Probe {
                name: "list versions",
                ok: failure.is_none(),
                remedy: remedy(
                    failure.as_ref(),
                    "grant s3:ListBucketVersions on the bucket",
                ),
                detail: detail(failure, "versions can be listed"),
            });
        }
        probes
    }

    /// Asks for the bucket itself (HeadBucket).
    pub async fn probe_bucket(&self) -> Probe {
        let answer = self.client.head_bucket().bucket(&*self.bucket).send().await;
        let failure = answer.err().map(|error| classify::of_sdk_error(&error));
        Probe {
            name: "bucket",
            ok: failure.is_none(),
            remedy: remedy(
                failure.as_ref(),
                "check S3_BUCKET and the credentials; grant s3:ListBucket",
            ),
            detail: detail(failure, &format!("{} is there", self.bucket)),
        }
    }
}

/// A bucket that does not say whether it keeps versions is usable, because a delete marker would show it. A bucket
/// that cannot be reached is not.
fn probe_versioning(versioning: &Result<Versioning, Failure>) -> Probe {
    let (ok, detail) = match versioning {
        Ok(Versioning::Kept) => (
            true,
            "versions are kept: each version and marker of a key is deleted".to_owned(),
        ),
        Ok(Versioning::None) => (true, "no versions are kept".to_owned()),
        Ok(Versioning::Unknown(failure)) => (
            true,
            format!(
                "taken as none until a delete marker shows up, for the bucket does not say ({failure})"
            ),
        ),
        Err(failure) => (false, failure.to_string()),
    };
    Probe {
        name: "versioning",
        ok,
        detail,
        remedy: remedy(
            versioning.as_ref().err(),
            "grant s3:GetBucketVersioning on the bucket",
        ),
    }
}

/// A store without multipart uploads is usable. If a store has them but does not list them, their bytes would remain.
fn probe_uploads(refusal: Option<Failure>) -> Probe {
    let unsupported = refusal
        .as_ref()
        .is_some_and(|failure| uploads::is_unsupported(failure) && !failure.is_denial());
    Probe {
        name: "open uploads",
        ok: refusal.is_none() || unsupported,
        remedy: remedy(
            refusal.as_ref(),
            "grant s3:ListBucketMultipartUploads on the bucket and s3:AbortMultipartUpload on its objects",
        ),
        detail: match refusal {
            Some(failure) if unsupported => format!("this store does not list them ({failure})"),
            refusal => detail(refusal, "they can be listed"),
        },
    }
}

/// A missing permission is a remedy only for a store that answered and denied. A store that was not reached, or
/// refused the credentials or the bucket's name, would refuse again with every permission granted.
fn remedy(failure: Option<&Failure>, grant: &'static str) -> &'static str {
    match failure {
        Some(failure) if matches!(failure.code.as_str(), UNREACHABLE | TIMED_OUT) => {
            "see that the store runs and can be reached from this machine: AWS_ENDPOINT_URL_S3, name \
             resolution, firewalls, proxies, TLS"
        }
        Some(failure) if matches!(failure.class, ErrorClass::Transient | ErrorClass::Throttle) => {
            "try again: the store answers, but is busy or has a fault of its own"
        }
        Some(failure)
            if !matches!(
                failure.code.as_str(),
                "AccessDenied" | "Forbidden" | "Http403"
            ) =>
        {
            "check S3_BUCKET, AWS_ENDPOINT_URL_S3, AWS_REGION, S3_FORCE_PATH_STYLE and the credentials"
        }
        _ => grant,
    }
}

fn detail(failure: Option<Failure>, otherwise: &str) -> String {
    failure.map_or_else(|| otherwise.to_owned(), |failure| failure.to_string())
}
