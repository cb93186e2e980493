//! What stands in `deploy/` fits the program: its metrics, its variables, its tables and its runbooks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{copy, create_dir_all, read_dir, read_to_string, remove_dir_all};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lethe::config::variables;
use lethe::embedded::{PostgresOptions, PrivatePostgres};
use serde_yaml_ng::Value;
use sqlx::{Connection as _, PgConnection};

use crate::support::service::{ADMIN_TOKEN, ISSUER, Service, WEBHOOK_SECRET, signer};
use crate::support::world::{PATIENCE, World};

/// Variables that a library reads.
const OF_LIBRARIES: [&str; 1] = ["AWS_EC2_METADATA_DISABLED"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: impl AsRef<Path>) -> Vec<Value> {
    let text = text(&path);
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|document| {
            let mut value: Value = serde::Deserialize::deserialize(document).unwrap();
            value.apply_merge().unwrap();
            value
        })
        .collect()
}

/// The files of a folder and its folders.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

/// All values of a key, however deep.
fn values_of<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Mapping(mapping) => {
            for (name, value) in mapping {
                if name.as_str() == Some(key) {
                    found.push(value);
                }
                values_of(value, key, found);
            }
        }
        Value::Sequence(values) => values.iter().for_each(|value| values_of(value, key, found)),
        _ => {}
    }
}

/// The queries of the alerts and of the dashboard, and the series that the alerts are tested with.
fn queries() -> Vec<String> {
    let mut found = series_of_tests();
    for path in ["deploy/prometheus/alerts.yml", "deploy/grafana/lethe.json"] {
        // JSON is YAML, too.
        for document in yaml(path) {
            let mut values = Vec::new();
            values_of(&document, "expr", &mut values);
            assert!(values.len() > 10, "{path}: {} queries", values.len());
            found.extend(
                values
                    .iter()
                    .map(|value| value.as_str().unwrap().to_owned()),
            );
        }
    }
    found
}

/// What Prometheus adds to a series by itself, what differs from one process to another, and an answer that no process
/// here gives.
const NOT_SHOWN: [&str; 5] = ["job", "instance", "version", "worker", "status=\"500\""];

fn series_of_tests() -> Vec<String> {
    let documents = yaml("deploy/prometheus/alerts_test.yml");
    let mut values = Vec::new();
    for document in &documents {
        values_of(document, "series", &mut values);
    }
    assert!(values.len() > 20, "{} series", values.len());
    let mut found = Vec::new();
    for value in values {
        let series = value.as_str().unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.trim_end_matches('}').split(',');
        let shown: Vec<_> = labels
            .filter(|label| !NOT_SHOWN.iter().any(|name| label.trim().starts_with(name)))
            .collect();
        found.push(format!("{name}{{{}}}", shown.join(",")));
    }
    found
}

#[test]
fn every_alert_fires_in_a_test() {
    let (rules, tests) = (
        yaml("deploy/prometheus/alerts.yml"),
        yaml("deploy/prometheus/alerts_test.yml"),
    );
    let (mut alerts, mut tested) = (Vec::new(), Vec::new());
    for document in &rules {
        values_of(document, "alert", &mut alerts);
    }
    for document in &tests {
        values_of(document, "alert_rule_test", &mut tested);
    }
    let fires: BTreeSet<_> = tested
        .iter()
        .flat_map(|cases| cases.as_sequence().unwrap())
        .filter(|case| {
            case["exp_alerts"]
                .as_sequence()
                .is_some_and(|fired| !fired.is_empty())
        })
        .map(|case| case["alertname"].as_str().unwrap())
        .collect();
    for alert in &alerts {
        let name = alert.as_str().unwrap();
        assert!(fires.contains(name), "no test lets {name} fire");
    }
    assert!(alerts.len() > 10, "{} alerts", alerts.len());
}

/// The names of the metrics in a query, each with what stands in braces behind it.
fn selectors(query: &str) -> Vec<(&str, &str)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(start) = rest.find(is_name) {
        rest = &rest[start..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let labels = behind
            .strip_prefix('{')
            .and_then(|labels| labels.split_once('}'));
        if name.starts_with("lethe_") || name.starts_with("process_") {
            found.push((name, labels.map_or("", |(labels, _)| labels)));
        }
        rest = labels.map_or(behind, |(_, behind)| behind);
    }
    found
}

/// What a selector asks for that no process shows.
fn missing(name: &str, labels: &str, shown: &BTreeMap<String, Vec<String>>) -> Option<String> {
    let Some(series) = shown.get(name) else {
        return Some(name.to_owned());
    };
    for label in labels.split(',').filter(|label| !label.is_empty()) {
        let (key, pattern) = label.split_once(['=']).unwrap();
        let alternatives = pattern.trim_start_matches('~').trim_matches('"');
        // A real pattern, such as 5.*, cannot be looked up.
        for value in alternatives.split('|').filter(|value| !value.contains('.')) {
            let wanted = format!("{key}=\"{value}\"");
            if !series.iter().any(|labels| labels.contains(&wanted)) {
                return Some(format!("{name}{{{wanted}}}"));
            }
        }
    }
    None
}

async fn scrape(url: &str, shown: &mut BTreeMap<String, Vec<String>>) {
    let begun = Instant::now();
    let text = loop {
        // A worker shows what is in the database only once it has reached it.
        if let Ok(answer) = reqwest::get(format!("{url}/metrics")).await {
            let text = answer.text().await.unwrap();
            if text.contains("lethe_database_up 1") {
                break text;
            }
        }
        assert!(begun.elapsed() < PATIENCE, "no metrics at {url}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let end = line.find(['{', ' ']).unwrap();
        let (name, labels) = line.split_at(end);
        shown
            .entry(name.to_owned())
            .or_default()
            .push(labels.to_owned());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_the_alerts_and_of_the_dashboard_is_shown_by_a_process() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    // A family with an operation's name has a series once that was called.
    service.get("/admin/stats").await;
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = format!("127.0.0.1:{port}");
    let _worker = world.process(&["worker"], &[("METRICS_ADDR", &address)]);
    let queries = queries();
    let asked: BTreeSet<_> = queries.iter().flat_map(|query| selectors(query)).collect();
    assert!(asked.len() > 20, "{asked:?}");
    let begun = Instant::now();
    let (faults, shown) = loop {
        let mut shown = BTreeMap::new();
        scrape(&service.url, &mut shown).await;
        scrape(&format!("http://{address}"), &mut shown).await;
        let missing = |(name, labels): &(&str, &str)| missing(name, labels, &shown);
        let faults: Vec<_> = asked.iter().filter_map(missing).collect();
        // Some are shown only once the worker has tried what they are about.
        if faults.is_empty() || begun.elapsed() > PATIENCE {
            break (faults, shown);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(
        faults.is_empty(),
        "no process shows {faults:#?}; they show {:#?}",
        shown.keys()
    );
}

#[test]
fn selectors_are_found_in_a_query() {
    assert_eq!(
        selectors("sum(rate(lethe_a_total{x=~\"b|c\", y=\"d\"}[5m])) and on (job) process_e > 0.5"),
        [("lethe_a_total", "x=~\"b|c\", y=\"d\""), ("process_e", "")]
    );
}

#[test]
fn every_alert_says_what_to_do_and_has_a_runbook() {
    let mut alerts = BTreeSet::new();
    for group in yaml("deploy/prometheus/alerts.yml") {
        let mut rules = Vec::new();
        values_of(&group, "rules", &mut rules);
        for rule in rules.iter().flat_map(|rules| rules.as_sequence().unwrap()) {
            let name = rule["alert"].as_str().unwrap();
            let annotations = &rule["annotations"];
            for key in ["summary", "action"] {
                let words = annotations[key].as_str();
                assert!(
                    words.is_some_and(|words| words.ends_with('.')),
                    "{name}: {key}: {words:?}"
                );
            }
            let severity = rule["labels"]["severity"].as_str().unwrap();
            assert!(
                ["critical", "warning"].contains(&severity),
                "{name}: {severity}"
            );
            let runbook = format!("docs/operations.md#{}", name.to_lowercase());
            assert_eq!(
                annotations["runbook"].as_str(),
                Some(runbook.as_str()),
                "{name}"
            );
            assert!(alerts.insert(name.to_owned()), "{name} stands there twice");
        }
    }
    let page = text("docs/operations.md");
    let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
    let runbooks: BTreeSet<_> = headings.map(str::to_owned).collect();
    assert_eq!(
        runbooks, alerts,
        "docs/operations.md (left) and the alerts (right)"
    );
}

/// The variables that the files of `deploy/` and `docker-compose.yml` set for Lethe, each with its file.
fn variables_set() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in files("deploy/systemd") {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        for line in text(&path)
            .lines()
            .filter_map(|line| line.strip_prefix("Environment="))
        {
            found.extend(line.split(' ').map(|pair| (name.clone(), pair.to_owned())));
        }
    }
    for path in files("deploy/kubernetes") {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        for document in yaml(&path) {
            let mut lists = Vec::new();
            values_of(&document, "literals", &mut lists);
            values_of(&document, "env", &mut lists);
            for value in lists.iter().flat_map(|list| list.as_sequence().unwrap()) {
                let variable = value.as_str().or_else(|| value["name"].as_str()).unwrap();
                found.push((name.clone(), variable.to_owned()));
            }
        }
    }
    for document in yaml("docker-compose.yml") {
        for role in ["migrate", "serve", "worker"] {
            let environment = document["services"][role]["environment"]
                .as_mapping()
                .unwrap();
            let names = environment
                .keys()
                .map(|name| name.as_str().unwrap().to_owned());
            found.extend(names.map(|name| ("docker-compose.yml".to_owned(), name)));
        }
    }
    found
}

#[test]
fn every_variable_that_a_deployment_sets_is_one_that_lethe_reads() {
    let known: BTreeSet<String> = variables::ALL
        .iter()
        .flat_map(|variable| [Some(variable.name.to_owned()), variable.file_name()])
        .flatten()
        .chain(OF_LIBRARIES.map(str::to_owned))
        .collect();
    let set = variables_set();
    assert!(set.len() > 30, "{set:?}");
    let unknown: Vec<_> = set
        .iter()
        .filter(|(_, pair)| !known.contains(pair.split('=').next().unwrap()))
        .collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// What KEDA asks of the database.
fn query_of_scaling() -> String {
    let documents = yaml("deploy/kubernetes/keda/scaling.yaml");
    let mut queries = Vec::new();
    for document in &documents {
        values_of(document, "query", &mut queries);
    }
    let [query] = queries[..] else {
        panic!("{queries:?}")
    };
    query.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scaling_counts_what_is_due() {
    let query = query_of_scaling();
    let world = World::new().await;
    world.user("user_a").await;
    for grace in ["0", "1 day"] {
        let sample = world.sample("user_a", &["a/1"]).await;
        let delete = format!("select lethe.delete_sample('{sample}', 'test', '{grace}')");
        world.execute(&delete).await;
    }
    assert_eq!(world.one::<i64>(&query).await, 1, "{query}");
    world
        .execute("update lethe.settings set paused_at = now(), paused_by = 'test'")
        .await;
    assert_eq!(world.one::<i64>(&query).await, 0, "{query}");
}

/// Runs `scripts/compose-secrets` in a folder of its own, and returns that of the secrets.
fn secrets_of_compose(folder: &Path) -> PathBuf {
    create_dir_all(folder.join("scripts")).unwrap();
    for name in ["compose.env.example", "scripts/compose-secrets"] {
        copy(root().join(name), folder.join(name)).unwrap();
    }
    let script = folder.join("scripts/compose-secrets");
    let made = std::process::Command::new(script).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    folder.join("compose.secrets")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_accounts_of_compose_have_the_rights_of_their_roles_and_no_others() {
    let world = World::new().await;
    let postgres = PrivatePostgres::start(PostgresOptions::temporary())
        .await
        .unwrap();
    postgres.create_database("lethe").await.unwrap();
    let folder = std::env::temp_dir().join(format!("lethe-compose-{}", postgres.port()));
    let secrets = secrets_of_compose(&folder);
    let here = format!("@127.0.0.1:{}/", postgres.port());
    let secret = |name: &str| {
        let text = read_to_string(secrets.join(name)).unwrap();
        text.replace("@postgres:5432/", &here)
            .replace("@pgbouncer:6432/", &here)
    };
    let mut superuser = PgConnection::connect(&postgres.url("lethe")).await.unwrap();
    let logins = sqlx::raw_sql(sqlx::AssertSqlSafe(secret("logins.sql")));
    logins.execute(&mut superuser).await.unwrap();

    let owner = secret("owner-database-url");
    let migrated = world.run(&["migrate"], &[("DATABASE_URL", &owner)]).await;
    assert!(migrated.status.success(), "{migrated:?}");
    let rights = sqlx::raw_sql(sqlx::AssertSqlSafe(text("sql/roles.sql")));
    rights.execute(&mut superuser).await.unwrap();

    let (signer, tokens) = (signer(), format!("ops:{ADMIN_TOKEN}"));
    for role in ["serve", "worker"] {
        let url = secret(&format!("{role}-database-url"));
        let environment = [
            ("DATABASE_URL", url.as_str()),
            ("CLERK_WEBHOOK_SIGNING_SECRET", WEBHOOK_SECRET),
            ("CLERK_JWT_KEY", signer.public_key()),
            ("CLERK_ISSUER", ISSUER),
            ("ADMIN_API_TOKENS", &tokens),
        ];
        let checked = world.run(&["check", "--role", role], &environment).await;
        let table = String::from_utf8(checked.stdout).unwrap();
        assert!(checked.status.success(), "{role}: {table}");
    }
    // What the scaling by KEDA asks, it asks as the reader.
    let mut reader = PgConnection::connect(&secret("reader-database-url"))
        .await
        .unwrap();
    let count = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(query_of_scaling()));
    assert_eq!(count.fetch_one(&mut reader).await.unwrap(), 0);
    remove_dir_all(folder).unwrap();
    postgres.stop().await.unwrap();
}
