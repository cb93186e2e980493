//! Stops PostgreSQL when this process is killed.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Waits for the end of its input. A line means that all is well; the end without a line means
/// that Lethe was killed: then PostgreSQL is told to stop (SIGINT, "fast"), and what was only
/// temporary is removed. The wait for PostgreSQL's end is bounded to ten seconds.
const SCRIPT: &str = r#"
read -r released && exit 0
pid=$1; cluster=$2; shift 2
kill -INT "$pid" 2>/dev/null
[ $# -gt 0 ] || exit 0
tries=0
while [ -e "$cluster/postmaster.pid" ] && [ $tries -lt 100 ]; do
  sleep 0.1
  tries=$((tries + 1))
done
rm -rf -- "$@"
"#;

/// A small shell that outlives us, tied to us by a pipe: no signal handler runs at `kill -9`, but
/// the kernel closes our end of the pipe.
#[derive(Debug)]
pub(super) struct Guardian {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Guardian {
    /// Watches over the postmaster `pid` of `cluster`; `remove` goes with it.
    pub(super) fn watch(pid: u32, cluster: &Path, remove: &[&Path]) -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "lethe-guardian"])
            .arg(pid.to_string())
            .arg(cluster)
            .args(remove)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }

    /// Ends the watch: PostgreSQL has stopped in good order.
    pub(super) fn release(mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            // A guardian that is gone needs no release.
            let _ = pipe.write_all(b"released\n");
        }
        let _ = self.shell.wait();
    }
}
