//! Deletes a sample and closes an account with sqlx, in the application's own transaction.

use sqlx::PgPool;
use uuid::Uuid;

/// The account is closed and its erasure asked for, or neither.
pub async fn close_account(pool: &PgPool, user_id: &str) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("insert into public.closed_accounts (user_id) values ($1)")
        .bind(user_id)
        .execute(&mut *tx)
        .await?;
    sqlx::query("select lethe.delete_user($1, $2)")
        .bind(user_id)
        .bind(format!("user:{user_id}"))
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

/// None if there is no such sample. It can be restored for seven days.
pub async fn delete_sample(
    pool: &PgPool,
    sample_id: Uuid,
    user_id: &str,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("select lethe.delete_sample($1, $2, '7 days')")
        .bind(sample_id)
        .bind(format!("user:{user_id}"))
        .fetch_one(pool)
        .await
}
