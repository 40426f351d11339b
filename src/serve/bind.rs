//! The sockets: several for HTTP that share one port, and one for the admin listener.
//!
//! In: two addresses and a number of threads. Out: listening sockets, each to be given to the thread that accepts on it.
//! The kernel spreads connections over the sockets of a port (SO_REUSEPORT), so the threads share nothing.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::limits::HTTP_BACKLOG;

/// Both listeners, bound and not yet accepting.
#[derive(Debug)]
pub struct Listeners {
    /// One socket for each HTTP thread, for [`run_http`](super::run_http).
    pub http: Vec<HttpSocket>,
    /// For [`run_admin`](super::run_admin).
    pub admin: AdminSocket,
    http_addr: SocketAddr,
    admin_addr: SocketAddr,
}

/// A listening socket of one HTTP thread.
#[derive(Debug)]
pub struct HttpSocket(pub(super) TcpListener);

/// The listening socket of the admin thread.
#[derive(Debug)]
pub struct AdminSocket(pub(super) TcpListener);

/// An address that cannot be listened on. Says in one line which, why and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody listens there.
    #[error("{address} is in use: stop the other program or give another {flag}")]
    InUse {
        /// Where.
        address: SocketAddr,
        /// The flag that names another one.
        flag: &'static str,
    },
    /// A port below 1024, as a rule.
    #[error(
        "{address} may not be bound by this user: give a port above 1023 with {flag}, or the right to bind this one"
    )]
    Forbidden {
        /// Where.
        address: SocketAddr,
        /// The flag that names another one.
        flag: &'static str,
    },
    /// No interface of this machine has it.
    #[error("{address} is no address of this machine: give one that is with {flag}")]
    NotHere {
        /// Where.
        address: SocketAddr,
        /// The flag that names another one.
        flag: &'static str,
    },
    /// Whatever else the system says.
    #[error("{address} cannot be listened on ({error}): give another {flag}")]
    Other {
        /// Where.
        address: SocketAddr,
        /// The flag that names another one.
        flag: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl BindError {
    fn new(address: SocketAddr, flag: &'static str, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address, flag },
            io::ErrorKind::PermissionDenied => Self::Forbidden { address, flag },
            io::ErrorKind::AddrNotAvailable => Self::NotHere { address, flag },
            _ => Self::Other { address, flag, error },
        }
    }
}

impl Listeners {
    /// Binds `threads` sockets (at least one) to `http`, and one to `admin`. Port 0 lets the system choose; all HTTP
    /// sockets then share the port that the first one got.
    ///
    /// # Errors
    /// Names the address and what to do.
    pub fn bind(http: SocketAddr, threads: usize, admin: SocketAddr) -> Result<Self, BindError> {
        let shared = bind_shared(http, threads.max(1)).map_err(|error| BindError::new(http, "--listen", error))?;
        let alone = bind_alone(admin).map_err(|error| BindError::new(admin, "--admin-listen", error))?;
        let address =
            |socket: &TcpListener, asked, flag| socket.local_addr().map_err(|error| BindError::new(asked, flag, error));
        Ok(Self {
            http_addr: address(&shared[0], http, "--listen")?,
            admin_addr: address(&alone, admin, "--admin-listen")?,
            http: shared.into_iter().map(HttpSocket).collect(),
            admin: AdminSocket(alone),
        })
    }

    /// Where HTTP is listened for, with the port that was chosen.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Where the admin listener is, with the port that was chosen.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }
}

/// Several sockets on one port.
fn bind_shared(address: SocketAddr, sockets: usize) -> io::Result<Vec<TcpListener>> {
    if address.port() != 0 {
        // With SO_REUSEPORT a second program of the same user would silently take half of the connections. A socket
        // without it cannot be bound beside one that listens: so it finds out, and is closed again. (A port that the
        // system chooses is never one that is shared.)
        drop(bind_alone(address)?);
    }
    let first = listen(address, true)?;
    let chosen = first.local_addr()?;
    let mut all = vec![first];
    for _ in 1..sockets {
        all.push(listen(chosen, true)?);
    }
    Ok(all)
}

fn bind_alone(address: SocketAddr) -> io::Result<TcpListener> {
    listen(address, false)
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the connections of the last run to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(HTTP_BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn all_sockets_share_the_port_that_was_chosen() {
        let listeners = Listeners::bind(ANY, 3, ANY).expect("port 0 is free");
        assert_eq!(listeners.http.len(), 3);
        assert_ne!(listeners.http_addr().port(), 0);
        assert_ne!(listeners.http_addr(), listeners.admin_addr());
        for socket in &listeners.http {
            assert_eq!(socket.0.local_addr().expect("bound"), listeners.http_addr());
        }
    }

    #[test]
    fn a_port_in_use_is_found_though_ports_can_be_shared() {
        let first = Listeners::bind(ANY, 2, ANY).expect("port 0 is free");
        let taken = first.http_addr();
        let error = Listeners::bind(taken, 2, ANY).expect_err("shared by two programs");
        assert_eq!(error.to_string(), format!("{taken} is in use: stop the other program or give another --listen"));
        let taken = first.admin_addr();
        let error = Listeners::bind(ANY, 1, taken).expect_err("in use");
        assert_eq!(
            error.to_string(),
            format!("{taken} is in use: stop the other program or give another --admin-listen")
        );
        let http = first.http_addr();
        drop(first);
        Listeners::bind(http, 2, taken).expect("both are free again");
    }

    #[test]
    fn one_address_for_both_listeners_is_refused() {
        let free = Listeners::bind(ANY, 1, ANY).expect("port 0 is free").http_addr();
        let error = Listeners::bind(free, 1, free).expect_err("the same address twice");
        assert!(matches!(error, BindError::InUse { flag: "--admin-listen", .. }), "{error}");
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let elsewhere = "192.0.2.1:0".parse().expect("an address");
        let error = Listeners::bind(elsewhere, 1, ANY).expect_err("TEST-NET-1 is nobody's");
        assert!(matches!(error, BindError::NotHere { flag: "--listen", .. }), "{error}");
    }
}
