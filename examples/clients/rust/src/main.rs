//! Deletes a sample, watches its task, lists what is deleted, erases a user and reads the receipt, with a
//! client that is generated from openapi/openapi.json.

use std::env::var;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::header::{AUTHORIZATION, HeaderMap};

progenitor::generate_api!("openapi.json");

/// Polls are a tenth of a second apart; 300 of them are 30 seconds.
const MAX_POLLS: u32 = 300;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (sample_id, user_id) = (var("SAMPLE_ID")?.parse()?, var("USER_ID")?);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {}", var("ADMIN_TOKEN")?).parse()?);
    let http = reqwest::Client::builder().default_headers(headers).build()?;
    let lethe = Client::new_with_client(&var("BASE_URL")?, http);

    let task = lethe.delete_sample(&sample_id).await?.into_inner();
    println!("task {}: {} of {} {}", task.id, task.kind, task.entity_type, task.entity_id);

    let mut status = task.status;
    for _ in 0..MAX_POLLS {
        status = lethe.get_sample_deletion(&sample_id).await?.into_inner().status;
        if status == types::TaskStatus::Completed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ensure!(status == types::TaskStatus::Completed, "the task is {status}");

    let deleted = lethe.list_deleted(None, None, None, None, None, None, None, Some(&user_id)).await?;
    let sample = sample_id.to_string();
    ensure!(deleted.items.iter().all(|item| item.id != sample), "the sample is still there");

    match lethe.get_task("999999999").await {
        Err(Error::ErrorResponse(problem)) => ensure!(
            problem.code == types::ProblemCode::TaskNotFound,
            "no task: {}",
            problem.code
        ),
        other => anyhow::bail!("no task: {other:?}"),
    }

    let erasure = lethe.erase_user(&user_id, Some("a test of the generated client")).await?;
    ensure!(erasure.user_known, "nobody knows {user_id}");
    let mut receipt = None;
    for _ in 0..MAX_POLLS {
        let now = lethe.get_erasure(&user_id).await?.into_inner();
        if now.status == types::ErasureStatus::Complete {
            receipt = Some(now);
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let receipt = receipt.context("the erasure is not complete")?;
    println!("{user_id}: {}, {} objects", receipt.status, receipt.objects_deleted);
    Ok(())
}
