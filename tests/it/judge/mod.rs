//! Random schemas, maps and rows from a seed, and a judge that works out by itself what an erasure must do to them.
//! What Lethe says and does is compared with it. `JUDGE_SEED` tries one seed again, and makes what fails smaller;
//! `JUDGE_SCHEMAS` and `JUDGE_ERASURES` say how many seeds there are, from `JUDGE_FIRST` on, and `JUDGE_LIMIT_MS` when an
//! erasure is taken for one that does not end.

mod case;
mod draft;
mod draft_objects;
mod draft_references;
mod draft_rows;
mod draft_rules;
mod erasure;
mod keys;
mod lane;
mod mutants;
mod plan;
mod seen;
mod shrink;
mod sql;
mod toml;
mod verdict;
mod waiting;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures::future::join_all;

use case::Case;
use draft::random_case;
use erasure::Erasures;
use lane::{Court, Difference, Lane, tell};
use seen::Seen;

/// How many seeds are tried, if nothing else is said.
const DEFAULT_SCHEMAS: u64 = 1_000;
const DEFAULT_ERASURES: u64 = 300;
/// So many cases have everything in them that there is to be seen.
const ENOUGH: u64 = 1_000;
/// Databases that work at the same time.
const LANES: usize = 4;
/// A case is made smaller by so many tries at most.
const MAX_TRIES: usize = 2_000;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_and_the_plan_say_of_random_maps_what_the_judge_says() {
    let count = from_environment("JUDGE_SCHEMAS").unwrap_or(DEFAULT_SCHEMAS);
    try_seeds::<Lane>("schemas", count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_under_a_random_map_does_what_the_judge_says() {
    let count = from_environment("JUDGE_ERASURES").unwrap_or(DEFAULT_ERASURES);
    try_seeds::<Erasures>("erasures", count).await;
}

async fn try_seeds<C: Court>(what: &str, count: u64) {
    let first = from_environment("JUDGE_FIRST").unwrap_or(1);
    let (first, count) = match from_environment("JUDGE_SEED") {
        Some(seed) => (seed, 1),
        None => (first, count),
    };
    let (began, next) = (Instant::now(), AtomicU64::new(first));
    let lanes = (0..LANES).map(|_| try_lane::<C>(&next, first + count));
    let (mut seen, mut failures) = (Seen::default(), Vec::new());
    for (of_lane, failed) in join_all(lanes).await {
        seen.add(&of_lane);
        failures.extend(failed);
    }
    println!(
        "judge: {count} {what} from seed {first} in {:.1} s: {seen}",
        began.elapsed().as_secs_f64()
    );
    failures.sort_by_key(|(seed, _)| *seed);
    if let Some((seed, difference)) = failures.first() {
        let (mut case, mut difference) = (random_case(*seed), difference.clone());
        if count == 1 {
            (case, difference) = make_smaller::<C>(case, difference).await;
        }
        let case = tell(&case, *seed, &difference);
        panic!("{} of {count} seeds, the first:\n{case}", failures.len());
    }
    if count >= ENOUGH {
        seen.expect_everything();
    }
}

async fn try_lane<C: Court>(next: &AtomicU64, end: u64) -> (Seen, Vec<(u64, Difference)>) {
    let mut court = C::open().await;
    let (mut seen, mut failures) = (Seen::default(), Vec::new());
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return (seen, failures);
        }
        let case = random_case(seed);
        match court.compare(&case).await {
            Ok(verdict) => seen.count(&case, &verdict),
            Err(difference) => {
                let Difference { what, details } = &difference;
                println!("JUDGE_SEED={seed}: {what}: {details:?}");
                failures.push((seed, difference));
            }
        }
    }
}

/// Takes away what the difference does not need.
async fn make_smaller<C: Court>(mut case: Case, mut difference: Difference) -> (Case, Difference) {
    let mut court = C::open().await;
    let mut tries = 0;
    'smaller: loop {
        for less in shrink::smaller(&case) {
            tries += 1;
            if tries > MAX_TRIES {
                return (case, difference);
            }
            match court.compare(&less).await {
                Err(still) if still.what == difference.what => {
                    (case, difference) = (less, still);
                    continue 'smaller;
                }
                _ => {}
            }
        }
        return (case, difference);
    }
}
