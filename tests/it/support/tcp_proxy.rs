//! A way to a server that can vanish without a word, and lead somewhere else.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy)]
struct Way {
    /// The port on this machine to which new connections lead.
    port: u16,
    /// Nothing is forwarded, and nothing is closed.
    silent: bool,
}

/// Stops with the test.
pub struct TcpProxy {
    pub address: SocketAddr,
    way: watch::Sender<Way>,
    accepting: tokio::task::JoinHandle<()>,
}

impl TcpProxy {
    pub fn start(port: u16) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Self::start_on(listener, port)
    }

    /// A proxy that is reached at this socket, wherever that is.
    pub fn start_on(listener: std::net::TcpListener, port: u16) -> Self {
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let address = listener.local_addr().unwrap();
        let way = watch::Sender::new(Way {
            port,
            silent: false,
        });
        let seen = way.subscribe();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, seen.clone()));
            }
        });
        Self {
            address,
            way,
            accepting,
        }
    }

    /// No byte goes through any more in either direction, and nobody is told.
    pub fn vanish(&self) {
        self.way.send_modify(|way| way.silent = true);
    }

    /// New connections go through again. What was open before stays silent for ever, as after a reboot
    /// whose resets are lost.
    pub fn come_back(&self) {
        self.way.send_modify(|way| way.silent = false);
    }

    /// New connections lead to this port.
    pub fn lead_to(&self, port: u16) {
        self.way.send_modify(|way| way.port = port);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Ends with either side, or when the proxy is gone.
async fn carry(mut client: TcpStream, mut way: watch::Receiver<Way>) {
    let Way { port, silent } = *way.borrow();
    if !silent {
        let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else {
            return;
        };
        tokio::select! {
            // What comes after the silence began is not carried, however late we learn of it.
            biased;
            gone = way.wait_for(|way| way.silent) => if gone.is_err() { return },
            _ = copy_bidirectional(&mut client, &mut server) => return,
        }
        // Both ends stay open, and hear nothing.
        while way.changed().await.is_ok() {}
        drop(server);
    }
    while way.changed().await.is_ok() {}
}
