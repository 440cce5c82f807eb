//! Addresses of the loopback interface, and connections to them.
//!
//! There is no authentication over TCP yet, so both ends refuse every other address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use sutra_layout::sys::fork::Kept;

use crate::error::ClientError;

/// Whether what names a store is `HOST:PORT` rather than a path.
pub fn is_address(given: &Path) -> bool {
    given.to_str().is_some_and(|given| parse(given).is_some())
}

/// The address, if it is one of the loopback interface.
///
/// # Errors
/// [`ClientError::NotLoopback`].
pub fn loopback(given: &str) -> Result<SocketAddr, ClientError> {
    let address = parse(given).filter(|address| address.ip().is_loopback());
    address.ok_or_else(|| ClientError::NotLoopback { address: given.to_owned() })
}

/// An address in digits, or of `localhost`. No other name is looked up: a name can come to mean
/// another machine.
fn parse(given: &str) -> Option<SocketAddr> {
    match given.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?)),
        None => given.parse().ok(),
    }
}

/// Connects, waiting at most so long for a place in the listener's queue.
pub(crate) fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Kept<TcpStream>> {
    let stream = match timeout {
        Duration::MAX => TcpStream::connect(address)?,
        timeout => TcpStream::connect_timeout(&address, timeout.max(Duration::from_millis(1)))?,
    };
    stream.set_nodelay(true)?;
    Ok(Kept::new(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_loopback_interface_are_taken() {
        for given in ["127.0.0.1:50051", "127.8.9.10:1", "[::1]:7", "localhost:50051"] {
            assert!(is_address(Path::new(given)), "{given}");
            assert!(loopback(given).unwrap().ip().is_loopback(), "{given}");
        }
        for given in ["10.0.0.1:50051", "0.0.0.0:50051", "[::]:7", "[fe80::1]:7"] {
            assert!(is_address(Path::new(given)), "{given}");
            let error = loopback(given).unwrap_err().to_string();
            assert!(error.contains(given) && error.contains("127.0.0.1:PORT"), "{error}");
        }
        for given in ["knowledge", "./127.0.0.1:5", "example.org:80", "localhost:", "127.0.0.1"] {
            assert!(!is_address(Path::new(given)), "{given}");
            assert!(loopback(given).is_err(), "{given}");
        }
    }
}
