//! Warnings about requests and connections that were refused. In a flood there are thousands a second, so each kind is
//! logged once a second at most, with its number.

use std::{net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::sleep;

/// The time between two lines about one kind of refusal.
const WINDOW: Duration = Duration::from_secs(1);

/// Of what there were too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Requests,
    Bodies,
    Answers,
    Connections,
}

impl Refusal {
    const ALL: [Self; 4] = [
        Self::Requests,
        Self::Bodies,
        Self::Answers,
        Self::Connections,
    ];

    fn message(self) -> &'static str {
        match self {
            Self::Requests => {
                "answered with 503: too many requests of this class, or of one client, are under way"
            }
            Self::Bodies => "answered with 503: too many request bodies are on their way",
            Self::Answers => "answered with 503: too many answers wait to be read",
            Self::Connections => {
                "closed a connection for a new one: too many are open, or too many of one client"
            }
        }
    }
}

/// The log of refusals of one server.
#[derive(Default)]
pub(super) struct RefusalLog {
    /// For each kind, the refusals that were not logged yet. `None` if no line was logged within the last second.
    waiting: Mutex<[Option<u64>; Refusal::ALL.len()]>,
}

impl RefusalLog {
    /// Logs a refusal at once if it is the first of its kind for a second. Else it is counted for the line at the end of
    /// that second.
    pub(super) fn note(self: &Arc<Self>, refusal: Refusal, client: IpAddr) {
        let mut waiting = self.waiting.lock();
        let count = &mut waiting[refusal as usize];
        match count {
            Some(count) => *count += 1,
            None => {
                *count = Some(0);
                tracing::warn!(%client, count = 1, "{}", refusal.message());
                tokio::spawn(Arc::clone(self).end_windows(refusal));
            }
        }
    }

    /// Logs what was counted in each second, until there was nothing in one.
    async fn end_windows(self: Arc<Self>, refusal: Refusal) {
        loop {
            sleep(WINDOW).await;
            let mut waiting = self.waiting.lock();
            let count = &mut waiting[refusal as usize];
            match count.take() {
                None | Some(0) => return,
                Some(counted) => {
                    *count = Some(0);
                    tracing::warn!(count = counted, "{}", refusal.message());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::Ipv4Addr;
    use std::time::Instant;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_flood_is_one_line_for_each_second_and_kind_with_its_number() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let counts = || -> Vec<u64> {
            let text = String::from_utf8(written.0.lock().clone()).unwrap();
            text.lines()
                .filter(|line| line.contains(Refusal::Requests.message()))
                .map(|line| line.rsplit_once("count=").unwrap().1.parse().unwrap())
                .collect()
        };
        let log = Arc::new(RefusalLog::default());
        let begun = Instant::now();
        for _ in 0..5 {
            for _ in 0..1000 {
                log.note(Refusal::Requests, Ipv4Addr::LOCALHOST.into());
            }
            sleep(WINDOW / 4).await;
        }
        log.note(Refusal::Answers, Ipv4Addr::LOCALHOST.into());
        while counts().iter().sum::<u64>() < 5000 {
            assert!(begun.elapsed() < 30 * WINDOW, "{:?}", counts());
            sleep(WINDOW / 20).await;
        }
        let windows = begun.elapsed().as_secs() + 2;
        assert!(counts().len() as u64 <= windows, "{:?}", counts());
        assert_eq!(counts().iter().sum::<u64>(), 5000, "{:?}", counts());
        let text = String::from_utf8(written.0.lock().clone()).unwrap();
        assert_eq!(
            text.matches(Refusal::Answers.message()).count(),
            1,
            "{text}"
        );
    }
}
