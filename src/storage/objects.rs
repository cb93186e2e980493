//! Writes objects and checks whether they exist, for sample data and tests. The service itself only deletes.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};

use super::Store;
use super::classify::{self, Failure};

/// The one region that must not be named when a bucket is made (Amazon S3 API reference,
/// "CreateBucket").
const DEFAULT_REGION: &str = "us-east-1";

impl Store {
    /// Writes an object.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn put(&self, key: String, bytes: Vec<u8>) -> Result<(), Failure> {
        self.client
            .put_object()
            .bucket(&*self.bucket)
            .key(key)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| classify::of_sdk_error(&error))
    }

    /// Whether an object is there to be read. On a bucket that keeps versions, a delete marker hides it.
    /// The answer to a HEAD has no body, so a missing bucket looks like a missing object. Therefore this does not
    /// prove that an object was deleted.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn exists(&self, key: &str) -> Result<bool, Failure> {
        let answer = self
            .client
            .head_object()
            .bucket(&*self.bucket)
            .key(key)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(true),
            Err(error) if classify::status_of(&error) == Some(404) => Ok(false),
            Err(error) => Err(classify::of_sdk_error(&error)),
        }
    }

    /// Creates the bucket, or finds that it is already ours.
    ///
    /// # Errors
    /// What the store answered; also when the name belongs to someone else.
    pub async fn create_bucket(&self) -> Result<(), Failure> {
        let region = self.client.config().region().map(AsRef::as_ref);
        let place = region
            .filter(|region| *region != DEFAULT_REGION)
            .map(|region| {
                CreateBucketConfiguration::builder()
                    .location_constraint(BucketLocationConstraint::from(region))
                    .build()
            });
        let answer = self
            .client
            .create_bucket()
            .bucket(&*self.bucket)
            .set_create_bucket_configuration(place)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => Ok(()),
            Err(error) => Err(classify::of_sdk_error(&error)),
        }
    }
}
