//! A network behind a link that a test may cut: no packet goes through any more, and nobody is told. Only in
//! a network namespace of the test's own.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::process::Command;

use nix::sched::{CloneFlags, setns, unshare};

/// Of the network for examples (RFC 5737), on this side and on that.
const NEAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Both ends of the link go with it.
pub struct FarNetwork {
    namespace: File,
}

impl FarNetwork {
    pub fn new() -> Self {
        let namespace = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        let far = Self {
            namespace: namespace.join().unwrap(),
        };
        let here = std::process::id();
        far.over_there(|| {
            ip(&format!(
                "link add far type veth peer name near netns {here}"
            ));
            ip(&format!("address add {FAR}/24 dev far"));
            ip("link set far up");
        });
        ip("link set lo up");
        ip(&format!("address add {NEAR}/24 dev near"));
        ip("link set near up");
        far
    }

    /// A socket over there, on a free port.
    pub fn listen(&self) -> TcpListener {
        self.over_there(|| TcpListener::bind((IpAddr::from(FAR), 0)).unwrap())
    }

    pub fn cut(&self) {
        self.over_there(|| ip("link set far down"));
    }

    pub fn mend(&self) {
        self.over_there(|| ip("link set far up"));
    }

    /// Does this on a thread that lives over there.
    fn over_there<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let act = || {
            setns(&self.namespace, CloneFlags::CLONE_NEWNET).unwrap();
            act()
        };
        std::thread::scope(|scope| scope.spawn(act).join().unwrap())
    }
}

fn ip(arguments: &str) {
    let mut command = Command::new("ip");
    let output = command.args(arguments.split(' ')).output();
    let output = output.expect("ip is missing: apt-get install --no-install-recommends iproute2");
    assert!(output.status.success(), "ip {arguments}: {output:?}");
}
