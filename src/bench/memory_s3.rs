//! An S3 server that keeps only keys, in memory, in a process of its own: the fastest store there is, so
//! that a benchmark shows the pipeline and not the disk. Signatures are checked as on any store.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context;
use parking_lot::Mutex;
use s3s::auth::SimpleAuth;
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    GetBucketVersioningInput, GetBucketVersioningOutput, HeadBucketInput, HeadBucketOutput,
    ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectsV2Input, ListObjectsV2Output,
    Object, PutObjectInput, PutObjectOutput,
};
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Request, S3Response, S3Result};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::embedded::serve_s3;

/// The one access key.
pub const ACCESS_KEY: &str = "bench";
/// Its secret; the server listens on the loopback alone.
pub const SECRET_KEY: &str = "bench-secret";
/// Keys on one page of a listing, as on S3.
const MAX_PAGE_KEYS: usize = 1_000;

struct Memory(Arc<Mutex<HashSet<String>>>);

#[async_trait::async_trait]
impl S3 for Memory {
    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.0.lock().insert(request.input.key);
        Ok(S3Response::new(PutObjectOutput::default()))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.0.lock().remove(&request.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let mut keys = self.0.lock();
        let deleted = request
            .input
            .delete
            .objects
            .into_iter()
            .map(|object| {
                keys.remove(&object.key);
                DeletedObject {
                    key: Some(object.key),
                    ..DeletedObject::default()
                }
            })
            .collect();
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: Some(deleted),
            ..DeleteObjectsOutput::default()
        }))
    }

    async fn head_bucket(
        &self,
        _request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_versioning(
        &self,
        _request: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        Ok(S3Response::new(GetBucketVersioningOutput::default()))
    }

    async fn list_multipart_uploads(
        &self,
        _request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        Ok(S3Response::new(ListMultipartUploadsOutput::default()))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let prefix = request.input.prefix.unwrap_or_default();
        let after = request.input.continuation_token.unwrap_or_default();
        let mut keys: Vec<String> = (self.0.lock().iter())
            .filter(|key| key.starts_with(&prefix) && **key > after)
            .cloned()
            .collect();
        keys.sort_unstable();
        let is_truncated = keys.len() > MAX_PAGE_KEYS;
        keys.truncate(MAX_PAGE_KEYS);
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: i32::try_from(keys.len()).ok(),
            is_truncated: Some(is_truncated),
            next_continuation_token: keys.last().filter(|_| is_truncated).cloned(),
            contents: Some(keys.into_iter().map(listed).collect()),
            ..ListObjectsV2Output::default()
        }))
    }
}

fn listed(key: String) -> Object {
    Object {
        key: Some(key),
        ..Object::default()
    }
}

/// Serves until its standard input ends. Prints its URL in its first line; the line `fill PREFIX COUNT` puts
/// the keys `PREFIX0` to `PREFIX<COUNT-1>` there and is answered with `filled`, so that a million keys need no
/// million requests.
///
/// # Errors
/// When no port can be had.
pub async fn run() -> anyhow::Result<()> {
    let keys = Arc::new(Mutex::new(HashSet::new()));
    let mut service = S3ServiceBuilder::new(Memory(keys.clone()));
    service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    let service = service.build();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .context("no port for the S3 server")?;
    let mut out = tokio::io::stdout();
    let greeting = format!("http://{}\n", listener.local_addr()?);
    out.write_all(greeting.as_bytes()).await?;
    out.flush().await?;
    tokio::spawn(serve_s3(listener, service, CancellationToken::new()));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let mut words = line.split(' ');
        if let (Some("fill"), Some(prefix), Some(Ok(count))) = (
            words.next(),
            words.next(),
            words.next().map(str::parse::<u64>),
        ) {
            keys.lock()
                .extend((0..count).map(|n| format!("{prefix}{n}")));
            out.write_all(b"filled\n").await?;
            out.flush().await?;
        }
    }
    Ok(())
}
