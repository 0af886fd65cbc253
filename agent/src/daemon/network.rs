//! Noticing that the machine's addresses or routes have changed (agent.md B7).
//!
//! The kernel tells it on a netlink socket. What has changed does not matter, only that something did: so nothing is
//! read out of the messages.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use tokio::sync::watch;

use crate::os;

/// Addresses and routes, of both families.
const GROUPS: i32 =
    libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV4_ROUTE | libc::RTMGRP_IPV6_IFADDR | libc::RTMGRP_IPV6_ROUTE;

/// What comes within this after a change is one more change: addresses and routes seldom come alone.
const GATHER: Duration = Duration::from_millis(200);

/// Says that the network has changed, to whoever waits for it.
pub(crate) type Changes = watch::Receiver<()>;

/// Watches the network until nobody listens any more. A kernel that does not tell is no reason not to connect: then
/// nothing is ever said, and waits take their time.
pub(crate) fn watch() -> Changes {
    let (said, changes) = watch::channel(());
    tokio::spawn(async move {
        if let Err(error) = tell(&said).await {
            tracing::warn!(%error, "changes of the network are not noticed");
        }
        // Whoever listens must not take our end for a change.
        said.closed().await;
    });
    changes
}

/// Says every change that the kernel tells.
async fn tell(said: &watch::Sender<()>) -> io::Result<()> {
    let socket = os::watch_readable(open()?)?;
    let mut buffer = [0; 8 * 1024];
    loop {
        let mut ready = tokio::select! {
            ready = socket.readable() => ready?,
            () = said.closed() => return Ok(()),
        };
        let mut is_news = false;
        loop {
            match rustix::io::read(socket.as_fd(), &mut buffer) {
                Ok(0) | Err(rustix::io::Errno::AGAIN) => break,
                // The kernel had more to tell than we have read.
                Ok(_) | Err(rustix::io::Errno::NOBUFS) => is_news = true,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        ready.clear_ready();
        if is_news {
            said.send_replace(());
            tokio::time::sleep(GATHER).await;
        }
    }
}

fn open() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // Without a protocol it is the one of number 0, which is that of addresses and routes.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, GROUPS.cast_unsigned()))?;
    Ok(socket)
}
