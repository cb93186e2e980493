//! Deletes a sample, restores it, deletes it for good, erases its user and reads the receipt, with a client that is
//! generated from openapi/openapi.json.

use std::env::var;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use uuid::Uuid;

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

    restore_sample(&lethe, sample_id).await?;
    delete_sample(&lethe, sample_id).await?;
    match lethe.get_task("999999999").await {
        Err(Error::ErrorResponse(problem)) => ensure!(
            problem.code == types::ProblemCode::TaskNotFound,
            "no task: {}",
            problem.code
        ),
        other => anyhow::bail!("no task: {other:?}"),
    }
    erase_user(&lethe, &user_id).await
}

fn reason(text: &str) -> types::PauseReason {
    types::PauseReason { reason: text.to_owned() }
}

/// Whether the sample is in the list of what is deleted and not purged yet.
async fn is_listed(lethe: &Client, sample_id: Uuid) -> anyhow::Result<bool> {
    let id = sample_id.to_string();
    let page = lethe.list_deleted(None, None, None, None, Some(&id), None, None, None, None).await?;
    Ok(page.items.iter().any(|item| item.id == id))
}

/// While claiming is paused, the deletion waits and can be taken back.
async fn restore_sample(lethe: &Client, sample_id: Uuid) -> anyhow::Result<()> {
    let paused = lethe.pause(&reason("a test of the generated client")).await?;
    ensure!(paused.paused, "it is not paused");
    let task = lethe.delete_sample(&sample_id).await?;
    ensure!(task.status == types::TaskStatus::Pending, "the task is {}", task.status);
    ensure!(is_listed(lethe, sample_id).await?, "the sample is not listed");
    let restored = lethe.restore_sample(&sample_id).await?;
    ensure!(restored.id == sample_id, "another sample is restored");
    ensure!(!is_listed(lethe, sample_id).await?, "the sample is not restored");
    Ok(())
}

async fn delete_sample(lethe: &Client, sample_id: Uuid) -> anyhow::Result<()> {
    let task = lethe.delete_sample(&sample_id).await?.into_inner();
    println!("task {}: {} of {} {}", task.id, task.kind, task.entity_type, task.entity_id);
    lethe.resume(&reason("the test is over")).await?;
    let mut status = task.status;
    for _ in 0..MAX_POLLS {
        status = lethe.get_sample_deletion(&sample_id).await?.into_inner().status;
        if status == types::TaskStatus::Completed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ensure!(status == types::TaskStatus::Completed, "the task is {status}");

    ensure!(!is_listed(lethe, sample_id).await?, "the sample is still there");
    Ok(())
}

async fn erase_user(lethe: &Client, user_id: &str) -> anyhow::Result<()> {
    let erasure = lethe.erase_user(user_id, Some("a test of the generated client")).await?;
    ensure!(erasure.user_known, "nobody knows {user_id}");
    let mut receipt = None;
    for _ in 0..MAX_POLLS {
        let now = lethe.get_erasure(user_id).await?.into_inner();
        if now.status == types::ErasureStatus::Complete {
            receipt = Some(now);
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let receipt = receipt.context("the erasure is not complete")?;
    let complete = Some(types::ErasureStatus::Complete);
    let erasures = lethe.list_erasures(None, None, None, None, None, complete).await?;
    ensure!(erasures.items.iter().any(|item| item.user_id == user_id), "the erasure is not listed");
    println!("{user_id}: {}, {} objects", receipt.status, receipt.objects_deleted);
    Ok(())
}
