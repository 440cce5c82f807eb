//! Who is at the other end of a TCP connection of this machine.
//!
//! The system lists each connection with the user who made it, in `/proc/thread-self/net/tcp` and
//! `tcp6`; the other end of one over the loopback interface is a line of its own there.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};

/// The state of a connection that both ends have open.
const ESTABLISHED: &str = "01";

/// The user at the other end; `None` if there is no such connection on this machine any more.
pub(super) fn uid_of(stream: &TcpStream) -> io::Result<Option<u32>> {
    let (theirs, ours) = (stream.peer_addr()?, stream.local_addr()?);
    if theirs.is_ipv4() {
        let table = std::fs::read_to_string("/proc/thread-self/net/tcp")?;
        if let Some(uid) = find(&table, theirs, ours) {
            return Ok(Some(uid));
        }
    }
    // Also where a program reaches an IPv4 address through a socket for IPv6.
    let table = match std::fs::read_to_string("/proc/thread-self/net/tcp6") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        table => table?,
    };
    Ok(find(&table, as_v6(theirs), as_v6(ours)))
}

/// The user of the connection from one address to another.
fn find(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
    let (local, remote) = (in_table(local), in_table(remote));
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_it = fields.next() == Some(local.as_str())
            && fields.next() == Some(remote.as_str())
            && fields.next() == Some(ESTABLISHED);
        is_it.then(|| fields.nth(3)?.parse().ok()).flatten()
    })
}

fn as_v6(address: SocketAddr) -> SocketAddr {
    let ip: Ipv6Addr = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    SocketAddr::new(ip.into(), address.port())
}

/// An address as the table writes it: each four bytes as one number of this machine, and the port.
fn in_table(address: SocketAddr) -> String {
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (words, _) = octets.as_chunks::<4>();
    let words: String =
        words.iter().map(|word| format!("{:08X}", u32::from_le_bytes(*word))).collect();
    format!("{words}:{:04X}", address.port())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:C383 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 11 1
   1: 0100007F:9C40 0100007F:C383 06 00000000:00000000 03:00000000 00000000     0        0 0 3
   2: 0100007F:9C41 0100007F:C383 01 00000000:00000000 00:00000000 00000000  1002        0 12 1
   3: 0100007F:C383 0100007F:9C41 01 00000000:00000000 00:00000000 00000000  1001        0 13 1
";

    #[test]
    fn the_user_is_that_of_the_other_end_while_it_is_open() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(find(TABLE, at(0x9c41), at(0xc383)), Some(1002));
        // One that was closed is listed under nobody, which is root's number.
        assert_eq!(find(TABLE, at(0x9c40), at(0xc383)), None);
        assert_eq!(find(TABLE, at(0x9c42), at(0xc383)), None);
    }

    #[test]
    fn a_connection_of_this_process_is_of_its_user() {
        let own = rustix::process::geteuid().as_raw();
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                eprintln!("SKIPPED, as this machine has no such address: {address}");
                continue;
            };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (served, _) = listener.accept().unwrap();
            assert_eq!(uid_of(&served).unwrap(), Some(own), "{address}");
            drop(client);
            assert_eq!(uid_of(&served).unwrap(), None, "{address}");
        }
    }
}
