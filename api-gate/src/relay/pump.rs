//! Bytes in one direction.
//!
//! Shape:  all connections of the thread read into one buffer; only what the other side does not
//!         take at once is kept, and nothing more is read until it has. So an idle connection has
//!         no buffer, and a slow reader slows its writer down. A pair of sockets that is always
//!         ready would never let the thread go by itself: it waits for its turn now and then.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::Shutdown;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What is read at once.
const CHUNK: usize = 64 * 1024;
/// So many reads, then it is the others' turn: some 100 us of copying.
const TURN: u32 = 4;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK].into());
}

/// Carries what comes until one side ends, and passes the end on.
pub(super) async fn pump(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    let mut reads = 0_u32;
    loop {
        from.readable().await?;
        match step(from, to)? {
            Step::Sent => {}
            Step::Rest(rest) => tokio::select! {
                sent = send(to, &rest) => sent?,
                error = broken(from) => return Err(error),
            },
            Step::Ended => {
                // Whoever is gone needs no word of the end.
                let _ = SockRef::from(to).shutdown(Shutdown::Write);
                return Ok(());
            }
        }
        reads = reads.wrapping_add(1);
        if reads.is_multiple_of(TURN) {
            tokio::task::yield_now().await;
        }
    }
}

/// Waits until a stream has failed, whether or not anybody reads from it.
pub(super) async fn broken(stream: &TcpStream) -> io::Error {
    let ready = stream.ready(Interest::ERROR).await;
    match ready.and_then(|_| stream.take_error()) {
        Ok(error) => error.unwrap_or_else(|| ErrorKind::ConnectionReset.into()),
        Err(error) => error,
    }
}

enum Step {
    Sent,
    Rest(Box<[u8]>),
    Ended,
}

/// Reads once and sends what the other side takes at once.
fn step(from: &TcpStream, to: &TcpStream) -> io::Result<Step> {
    SCRATCH.with_borrow_mut(|scratch| {
        let read = match from.try_read(scratch) {
            Ok(0) => return Ok(Step::Ended),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Step::Sent),
            Err(error) => return Err(error),
        };
        let bytes = scratch.get(..read).unwrap_or_default();
        let sent = match to.try_write(bytes) {
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        Ok(match bytes.get(sent..) {
            None | Some([]) => Step::Sent,
            Some(rest) => Step::Rest(rest.into()),
        })
    })
}

/// Reads what has come onto the end of `into`, at most so much at once.
pub(super) fn take(from: &TcpStream, into: &mut Vec<u8>) -> io::Result<usize> {
    SCRATCH.with_borrow_mut(|scratch| {
        let read = from.try_read(scratch)?;
        into.extend_from_slice(scratch.get(..read).unwrap_or_default());
        Ok(read)
    })
}

/// Sends all of it, as fast as the other side takes it.
pub(super) async fn send(to: &TcpStream, mut rest: &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        to.writable().await?;
        match to.try_write(rest) {
            Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
