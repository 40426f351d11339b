//! The reader's door: a network of simulated hosts, and the place where everybody else gets a turn.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use atrarium::fact::{Cursor, GapReason};
use atrarium::ingest::lanes::Lanes;
use atrarium::ingest::reader::{Network, Pressure, Sink};
use atrarium::limits::CLOCK_AHEAD_MICROS;
use atrarium::telemetry::Reason;
use atrarium::wire::endpoint::{Ask, Endpoint};
use atrarium::wire::event;

use crate::faults::Fault;
use crate::host::{Conn, Ending};
use crate::sim::Sim;

/// See the module.
pub struct Door(pub Rc<RefCell<Sim>>);

/// The reader's end of a connection.
pub struct Pipe {
    sim: Rc<RefCell<Sim>>,
    number: u64,
}

impl Network for Door {
    type Address = usize;
    type Stream = Pipe;

    fn resolve(&mut self, endpoint: &Endpoint) -> io::Result<Vec<usize>> {
        let sim = self.0.borrow();
        let host = sim.hosts.iter().position(|host| host.endpoint == *endpoint).expect("a host of this network");
        Ok(vec![host])
    }

    fn begin(&mut self, _: &Endpoint, host: usize) -> io::Result<Pipe> {
        let mut sim = self.0.borrow_mut();
        let sim = &mut *sim;
        sim.conns += 1;
        sim.trace.note(sim.conns ^ host as u64);
        let quiet = match sim.plan.while_connecting(&mut sim.rng) {
            Some(fault @ Fault::Refused) => {
                sim.tally.fire(fault);
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            fault => fault.filter(|fault| matches!(fault, Fault::NeverUp | Fault::NoAnswer)),
        };
        assert!(sim.conn.is_none(), "the reader has one connection at a time");
        sim.conn = Some((sim.conns, Conn::new(host, sim.clock.monotonic(), quiet)));
        Ok(Pipe { sim: Rc::clone(&self.0), number: sim.conns })
    }

    fn is_up(&mut self, _: &mut Pipe) -> io::Result<bool> {
        let mut sim = self.0.borrow_mut();
        let quiet = sim.conn.as_ref().and_then(|(_, conn)| conn.quiet);
        Ok(!matches!(quiet, Some((Fault::NeverUp, _))) && sim.rng.u8(..4) > 0)
    }

    fn end(&mut self, stream: Pipe) {
        let mut sim = self.0.borrow_mut();
        assert_eq!(sim.conn.as_ref().map(|(number, _)| *number), Some(stream.number));
        sim.hang_up();
    }

    fn rest(&mut self, time: Duration) -> bool {
        self.0.borrow_mut().rest(time)
    }

    fn waker(&self) -> Option<Arc<mio::Waker>> {
        None
    }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut sim = self.sim.borrow_mut();
        let sim = &mut *sim;
        while sim.rng.u8(..3) == 0 {
            sim.turn();
        }
        let micros = sim.rng.i64(0..sim.life.pace);
        sim.advance(micros);
        let most = sim.rng.usize(1..=sim.life.chunk).min(into.len());
        let Some((_, conn)) = sim.conn.as_mut().filter(|_| sim.ending.is_none()) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        match conn.read(&mut into[..most], &mut sim.tally) {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            Ok(count) => {
                sim.life.has_news();
                sim.trace.note(count as u64);
                Ok(count)
            }
            Err(Ending::Closed) => Ok(0),
            Err(Ending::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sim = self.sim.borrow_mut();
        let count = sim.rng.usize(1..=bytes.len());
        if sim.rng.u8(..8) == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if let Some((_, conn)) = &mut sim.conn {
            conn.inbox.extend_from_slice(&bytes[..count]);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lanes, and somebody who sees what they are told.
pub struct Watched {
    pub lanes: Lanes,
    pub sim: Rc<RefCell<Sim>>,
}

impl Sink for Watched {
    fn frame(&mut self, frame: &[u8], endpoint: &Endpoint) -> Pressure {
        let pressure = self.lanes.frame(frame, endpoint);
        let mut sim = self.sim.borrow_mut();
        // What makes it ask anew is not taken.
        if pressure != Pressure::Rewind
            && let Some(position) = event::position(frame)
            && position.time.micros() <= sim.wall() + CLOCK_AHEAD_MICROS
        {
            let read = sim.world.before(position.time.micros() + 1);
            sim.newest = sim.newest.max(read.checked_sub(1));
        }
        pressure
    }

    fn pause(&mut self, last: Option<&[u8]>) {
        self.lanes.pause(last);
    }

    fn idle(&mut self) {
        self.lanes.idle();
    }

    fn tick(&mut self) {
        self.lanes.tick();
    }

    fn ready(&mut self) -> bool {
        self.lanes.ready()
    }

    fn resume(&self) -> Option<Cursor> {
        self.lanes.resume()
    }

    fn refused(&mut self, reason: Reason) {
        self.lanes.refused(reason);
    }

    fn gap(&mut self, endpoint: &Endpoint, reason: GapReason) {
        self.lanes.gap(endpoint, reason);
    }

    fn connected(&mut self, endpoint: &Endpoint, ask: &Ask) {
        self.sim.borrow_mut().connected(self.lanes.resume().as_ref());
        self.lanes.connected(endpoint, ask);
    }

    fn disconnected(&mut self, endpoint: &Endpoint, why: &str) {
        self.lanes.disconnected(endpoint, why);
    }
}
