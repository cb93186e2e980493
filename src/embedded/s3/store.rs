//! s3s-fs, with the deletions that Lethe needs.
//!
//! s3s-fs answers for a bucket that does not exist as if everything had been deleted, fails a
//! whole request for one key, and keeps files that name a key after its object is gone. Here each
//! key is answered for by itself, and nothing of an erased object stays behind.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    Error as KeyError, GetBucketLocationInput, GetBucketLocationOutput, GetBucketVersioningInput,
    GetBucketVersioningOutput, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput,
    HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput,
    ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectsInput, ListObjectsOutput,
    ListObjectsV2Input, ListObjectsV2Output, PutObjectInput, PutObjectOutput, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;

use super::uploads;

/// As on S3: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>.
const KEYS_PER_REQUEST: usize = 1_000;

/// The files of the embedded server: a folder for each bucket.
pub(super) struct FileStore {
    files: FileSystem,
    root: PathBuf,
}

impl FileStore {
    pub(super) fn new(root: PathBuf) -> Result<Self, s3s_fs::Error> {
        Ok(Self {
            files: FileSystem::new(&root)?,
            root,
        })
    }

    fn demand_bucket(&self, bucket: &str) -> S3Result<()> {
        if self.root.join(bucket).is_dir() {
            Ok(())
        } else {
            Err(s3_error!(NoSuchBucket))
        }
    }

    async fn delete(&self, request: S3Request<DeleteObjectInput>) -> S3Result<()> {
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        if !is_plain(&key) {
            return Ok(());
        }
        // A folder on the way to other objects is no object: to S3 there is nothing at this key.
        let is_folder = self.root.join(&bucket).join(&key).is_dir();
        if !is_folder || key.ends_with('/') {
            self.files.delete_object(request).await?;
        }
        self.forget(&bucket, &key).await;
        Ok(())
    }

    /// Removes what s3s-fs wrote about a key: metadata and checksums, in files named after it.
    async fn forget(&self, bucket: &str, key: &str) {
        let (bucket, key) = (URL_SAFE_NO_PAD.encode(bucket), URL_SAFE_NO_PAD.encode(key));
        for kind in ["metadata", "internal"] {
            let name = format!(".bucket-{bucket}.object-{key}.{kind}.json");
            // Most often it is missing because the object was.
            let _ = tokio::fs::remove_file(self.root.join(name)).await;
        }
    }
}

/// Whether the key is a path as it stands. s3s-fs would take `a/./b` for `a/b`, and deleting the one
/// would delete the other; so such keys are refused when they are put, and nothing is ever there.
fn is_plain(key: &str) -> bool {
    let key = key.strip_suffix('/').unwrap_or(key);
    key.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn demand_plain(key: &str) -> S3Result<()> {
    if is_plain(key) {
        return Ok(());
    }
    let message = "the embedded store keeps objects as files: no empty, `.` or `..` part in a key";
    Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message))
}

fn key_error(key: String, error: &S3Error) -> KeyError {
    KeyError {
        code: Some(error.code().as_str().to_owned()),
        key: Some(key),
        message: error.message().map(str::to_owned),
        ..KeyError::default()
    }
}

/// Deletions and the list of open uploads are ours; every other operation goes to s3s-fs as it is, and what is not listed
/// answers NotImplemented (501).
#[async_trait::async_trait]
impl S3 for FileStore {
    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.demand_bucket(&request.input.bucket)?;
        self.delete(request).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let S3Request {
            input,
            method,
            uri,
            headers,
            credentials,
            region,
            service,
            ..
        } = request;
        self.demand_bucket(&input.bucket)?;
        if input.delete.objects.len() > KEYS_PER_REQUEST {
            return Err(s3_error!(MalformedXML, "more than 1,000 keys"));
        }
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in input.delete.objects {
            let one = DeleteObjectInput {
                bucket: input.bucket.clone(),
                key: object.key.clone(),
                ..DeleteObjectInput::default()
            };
            let one = S3Request {
                input: one,
                method: method.clone(),
                uri: uri.clone(),
                headers: headers.clone(),
                extensions: http::Extensions::new(),
                credentials: credentials.clone(),
                region: region.clone(),
                service: service.clone(),
                trailing_headers: None,
            };
            match self.delete(one).await {
                Ok(()) => {
                    deleted.push(DeletedObject {
                        key: Some(object.key),
                        ..Default::default()
                    });
                }
                Err(error) => errors.push(key_error(object.key, &error)),
            }
        }
        let quiet = input.delete.quiet.unwrap_or(false);
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!quiet).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..DeleteObjectsOutput::default()
        }))
    }

    async fn get_bucket_versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        self.demand_bucket(&request.input.bucket)?;
        Ok(S3Response::new(GetBucketVersioningOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.files.get_bucket_location(request).await
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.files.head_bucket(request).await
    }

    async fn list_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        self.files.list_buckets(request).await
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        self.files.list_objects(request).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.files.list_objects_v2(request).await
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.files.head_object(request).await
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.files.get_object(request).await
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.demand_bucket(&request.input.bucket)?;
        demand_plain(&request.input.key)?;
        self.files.put_object(request).await
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.demand_bucket(&request.input.bucket)?;
        demand_plain(&request.input.key)?;
        self.files.create_multipart_upload(request).await
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.files.upload_part(request).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.files.complete_multipart_upload(request).await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.files.abort_multipart_upload(request).await
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.demand_bucket(&request.input.bucket)?;
        let root = self.root.clone();
        let page = tokio::task::spawn_blocking(move || uploads::page(&root, request.input)).await;
        let page = page.map_err(S3Error::internal_error)?;
        Ok(S3Response::new(page.map_err(S3Error::internal_error)?))
    }
}
