//! A value that costs a query and that anyone may ask for often, so it is kept for a moment.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// A value that is read again only when the last one is older than `max_age`, however many ask for it. Whoever asks
/// during a reading waits for its result.
#[derive(Debug)]
pub struct Recent<T> {
    max_age: Duration,
    last: Mutex<Option<(Instant, T)>>,
}

impl<T: Clone> Recent<T> {
    #[must_use]
    pub fn new(max_age: Duration) -> Self {
        Self {
            max_age,
            last: Mutex::new(None),
        }
    }

    /// The last value, or what `read` returns.
    pub async fn get(&self, read: impl Future<Output = T>) -> T {
        let mut last = self.last.lock().await;
        if let Some((at, value)) = last.as_ref()
            && at.elapsed() < self.max_age
        {
            return value.clone();
        }
        let value = read.await;
        *last = Some((Instant::now(), value.clone()));
        value
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_value_is_read_once_in_its_time() {
        let reads = AtomicU32::new(0);
        let read = async || {
            tokio::task::yield_now().await;
            reads.fetch_add(1, Ordering::SeqCst) + 1
        };
        let long = Recent::new(Duration::from_secs(3600));
        let asked = tokio::join!(long.get(read()), long.get(read()), long.get(read()));
        assert_eq!((asked, long.get(read()).await), ((1, 1, 1), 1));
        let never = Recent::new(Duration::ZERO);
        assert_eq!((never.get(read()).await, never.get(read()).await), (2, 3));
    }
}
