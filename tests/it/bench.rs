//! `lethe bench` does what it says: cases run, and write down what they measured.

use crate::support::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_benchmark_measures_beside_its_floor_and_draws_charts() {
    let world = World::new().await;
    let folder =
        std::env::temp_dir().join(format!("lethe-bench-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&folder).unwrap();
    let json = folder.join("bench.json");
    let output = world
        .run(
            &[
                "bench",
                "queue",
                "samples",
                "--scale",
                "smoke",
                "--workers",
                "1",
                "--json",
                json.to_str().unwrap(),
                "--charts",
                folder.to_str().unwrap(),
            ],
            &[],
        )
        .await;
    assert!(output.status.success(), "{output:?}");
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let figures = report["figures"].as_array().unwrap();
    assert_eq!(figures.len(), 2, "{report}");
    for figure in figures {
        assert!(figure["value"].as_f64().unwrap() > 0.0, "{figure}");
        assert!(figure["floor"].as_f64().unwrap() > 0.0, "{figure}");
    }
    for chart in ["queue.svg", "single-samples.svg"] {
        let chart = std::fs::read_to_string(folder.join(chart)).unwrap();
        assert!(chart.starts_with("<svg"), "{chart}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// Runs a case at the smallest scale. Returns how many figures came out.
async fn measure(case: &str) -> usize {
    let world = World::new().await;
    let name = format!("lethe-bench-{}.json", uuid::Uuid::new_v4().simple());
    let json = std::env::temp_dir().join(name);
    let path = json.to_str().unwrap();
    let arguments = ["bench", case, "--scale", "smoke", "--json", path];
    let output = world.run(&arguments, &[]).await;
    assert!(output.status.success(), "{case}: {output:?}");
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    std::fs::remove_file(json).unwrap();
    let figures = report["figures"].as_array().unwrap();
    for figure in figures {
        assert!(figure["value"].as_f64().unwrap() > 0.0, "{figure}");
    }
    figures.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_the_panel_is_measured() {
    assert_eq!(measure("pages").await, 14);
}

#[tokio::test(flavor = "multi_thread")]
async fn unkind_cases_are_measured() {
    assert_eq!(measure("small-users").await, 3);
    assert_eq!(measure("many-images").await, 1);
}
