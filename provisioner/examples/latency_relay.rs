//! A TCP relay that makes a link long: every byte arrives a fixed time after it was sent, in both directions.
//!
//!     latency_relay TARGET ONE_WAY_MS [LISTEN]
//!     latency_relay 10.213.0.2:22 50 127.77.0.1:22
//!
//! Listens on 127.0.0.1 and a free port unless told where, and prints the address it got. Bytes are stamped when they
//! are read and wait side by side, so latency is added and throughput is not taken away. A connection is made after
//! one round trip, as a TCP handshake would take. For measurements and tests; no part of the product.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const USAGE: &str = "usage: latency_relay TARGET ONE_WAY_MS [LISTEN]";
/// Largest piece that is stamped as one.
const PIECE: usize = 64 * 1024;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "latency_relay: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (target, delay, listen) = match args.as_slice() {
        [target, ms] => (target, ms, "127.0.0.1:0"),
        [target, ms, listen] => (target, ms, listen.as_str()),
        _ => return Err(USAGE.into()),
    };
    let target: SocketAddr =
        target.parse().map_err(|_| format!("found `{target}`, expected ADDRESS:PORT; {USAGE}"))?;
    let delay = delay.parse().map(Duration::from_millis);
    let delay = delay.map_err(|_| format!("expected whole milliseconds; {USAGE}"))?;
    let listener = TcpListener::bind(listen).map_err(|e| format!("cannot listen on {listen}: {e}"))?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    let mut out = io::stdout();
    writeln!(out, "{address}").and_then(|()| out.flush()).map_err(|e| e.to_string())?;
    for near in listener.incoming().flatten() {
        thread::spawn(move || {
            // A target that refuses shows as a connection that is closed at once.
            let _ = relay(near, target, delay);
        });
    }
    Ok(())
}

fn relay(near: TcpStream, target: SocketAddr, delay: Duration) -> io::Result<()> {
    // The near side's connection stands already; nothing passes before the far side's would.
    thread::sleep(2 * delay);
    let far = TcpStream::connect(target)?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_again, far_again) = (near.try_clone()?, far.try_clone()?);
    let up = thread::spawn(move || pump(near, far, delay));
    pump(far_again, near_again, delay);
    // Each direction has told the streams themselves how it ended.
    let _ = up.join();
    Ok(())
}

/// Carries bytes from one stream to the other until the first ends and all that it sent has arrived.
fn pump(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (stamped, waiting) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            if stamped.send((Instant::now() + delay, piece[..count].to_vec())).is_err() {
                // Nobody reads at the other end any more.
                let _ = from.shutdown(Shutdown::Both);
                return;
            }
        }
        // The end of the stream takes as long as its bytes.
        let _ = stamped.send((Instant::now() + delay, Vec::new()));
    });
    for (due, bytes) in waiting {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
