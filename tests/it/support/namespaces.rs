//! Tests that change file systems or networks do it in namespaces of their own. Whatever they mount or link
//! there is seen by nobody else, and goes with them however they end.

use std::process::Stdio;

use nix::unistd::geteuid;
use tokio::process::Command;

/// Set for the test that runs inside.
const INSIDE: &str = "LETHE_TEST_INSIDE";

/// Runs the body of the test of this name in new namespaces: those that `unshare` makes when given `kinds`,
/// and without root one of users too, in which this user may mount and link. For that the test is started
/// again as a process of its own.
pub async fn in_namespaces(kinds: &[&str], test: &str, body: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_some() {
        return body.await;
    }
    let mut command = Command::new("unshare");
    if !geteuid().is_root() {
        command.args(["--user", "--map-current-user", "--keep-caps"]);
    }
    command
        .args(kinds)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.expect("unshare, of util-linux");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
