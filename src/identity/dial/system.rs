//! The machine's own names and sockets.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use tokio::net::{TcpStream, lookup_host};

use super::Net;

/// Names as the system's resolver knows them, sockets as the kernel gives them. Needs a runtime of tokio with I/O and time.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Net for System {
    fn lookup<'a>(&'a self, name: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        Box::pin(async move {
            // The port is not looked up: it is the target's.
            Ok(lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
        })
    }

    fn connect(&self, address: SocketAddr) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send + '_>> {
        Box::pin(TcpStream::connect(address))
    }
}
