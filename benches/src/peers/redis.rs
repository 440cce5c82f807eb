//! The peer: a Redis server of its own on a Unix socket. A concept is a string under its id, a
//! concept's edges are two lists. Its protocol is spoken here, the few words that are needed: arrays of
//! strings there; strings, numbers and arrays back.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::{Concept, FIELDS_SIZE, Link, Lists, Writing, u32_at, whole};
use crate::reading::Source;
use crate::workload::Edge;

/// How long a server may take to read its file.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Commands on their way at once.
const PIPELINE_SIZE: usize = 1024;
/// Bytes of a list's key.
const KEY_SIZE: usize = 5;

fn socket_in(dir: &Path) -> PathBuf {
    dir.join("redis.sock")
}

/// A connection to the server in `dir`, once it answers: it does not while it reads its file.
fn connect(dir: &Path) -> anyhow::Result<Connection> {
    let mut connection = Connection {
        stream: BufReader::with_capacity(1 << 16, UnixStream::connect(socket_in(dir))?),
        commands: Vec::new(),
        bytes: Vec::new(),
    };
    connection.add(&[b"PING"]);
    connection.send()?;
    connection.skip()?;
    Ok(connection)
}

/// A connection, commands that were not sent yet, and the last string that came.
struct Connection {
    stream: BufReader<UnixStream>,
    commands: Vec<u8>,
    bytes: Vec<u8>,
}

impl Connection {
    fn add(&mut self, words: &[&[u8]]) {
        let header = |out: &mut Vec<u8>, kind: char, count: usize| {
            write!(out, "{kind}{count}\r\n").expect("a Vec takes all bytes");
        };
        header(&mut self.commands, '*', words.len());
        for word in words {
            header(&mut self.commands, '$', word.len());
            self.commands.extend_from_slice(word);
            self.commands.extend_from_slice(b"\r\n");
        }
    }

    fn send(&mut self) -> anyhow::Result<()> {
        self.stream.get_mut().write_all(&self.commands)?;
        self.commands.clear();
        Ok(())
    }

    /// The kind of the next answer, and its number if it has one.
    fn head(&mut self) -> anyhow::Result<(u8, i64)> {
        self.bytes.clear();
        self.stream.read_until(b'\n', &mut self.bytes)?;
        let line = self.bytes.trim_ascii_end();
        let (kind, rest) = line.split_first().context("the server is gone")?;
        let rest = std::str::from_utf8(rest)?;
        match kind {
            b'+' => Ok((*kind, 0)),
            b':' | b'$' | b'*' => Ok((*kind, rest.parse()?)),
            _ => bail!("the server says {rest}"),
        }
    }

    /// The next answer, which is a string or nothing.
    fn string(&mut self) -> anyhow::Result<Option<&[u8]>> {
        let (kind, size) = self.head()?;
        ensure!(kind == b'$', "the server sends another kind of answer");
        let Ok(size) = usize::try_from(size) else { return Ok(None) };
        self.bytes.resize(size + 2, 0); // and the end of the line
        self.stream.read_exact(&mut self.bytes)?;
        Ok(Some(&self.bytes[..size]))
    }

    /// The next answer, which is not asked about.
    fn skip(&mut self) -> anyhow::Result<()> {
        let (kind, _) = self.head()?;
        ensure!(kind == b'+' || kind == b':', "the server sends another kind of answer");
        Ok(())
    }
}

fn key(ordinal: u32, is_out: bool) -> [u8; KEY_SIZE] {
    let [a, b, c, d] = ordinal.to_le_bytes();
    [if is_out { b'o' } else { b'i' }, a, b, c, d]
}

/// A connection, and the server if it was started for it.
pub struct Writer {
    connection: Connection,
    server: Option<Child>,
    dir: PathBuf,
}

impl Writer {
    /// Connects to the server in `dir`; starts it if there is none. With `is_synced` it appends each
    /// write to a file and syncs it; else a file is written when asked for.
    pub fn open(dir: &Path, is_synced: bool) -> anyhow::Result<Writer> {
        let dir = dir.canonicalize()?;
        if let Ok(connection) = connect(&dir) {
            return Ok(Writer { connection, server: None, dir });
        }
        let mut server = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--logfile", "/dev/null", "--dir"])
            .arg(&dir)
            .arg("--unixsocket")
            .arg(socket_in(&dir))
            .args(["--appendonly", if is_synced { "yes" } else { "no" }, "--appendfsync", "always"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("redis-server could not be started")?;
        let began = Instant::now();
        loop {
            match connect(&dir) {
                Ok(connection) => return Ok(Writer { connection, server: Some(server), dir }),
                Err(error) if began.elapsed() > START_TIMEOUT => {
                    let _ = server.kill();
                    let _ = server.wait();
                    return Err(error.context("redis-server does not answer"));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn send_all(
        &mut self,
        mut add: impl FnMut(&mut Connection, usize) -> usize,
        count: usize,
    ) -> anyhow::Result<()> {
        for start in (0..count).step_by(PIPELINE_SIZE) {
            let connection = &mut self.connection;
            let together = start..count.min(start + PIPELINE_SIZE);
            let commands: usize = together.map(|at| add(connection, at)).sum();
            connection.send()?;
            (0..commands).try_for_each(|_| connection.skip())?;
        }
        Ok(())
    }
}

impl Writing for Writer {
    fn write(&mut self, concepts: &[Concept<'_>]) -> anyhow::Result<()> {
        let mut value = Vec::new();
        let add = |connection: &mut Connection, at: usize| {
            concepts[at].value(&mut value);
            connection.add(&[b"SET", &concepts[at].id, &value]);
            1
        };
        self.send_all(add, concepts.len())
    }

    fn write_edges(&mut self, edges: &[Edge]) -> anyhow::Result<()> {
        let add = |connection: &mut Connection, at: usize| {
            let edge = &edges[at];
            for (end, is_out) in [(edge.source, true), (edge.target, false)] {
                let link = Link::of(edge, is_out).bytes();
                connection.add(&[b"RPUSH", &key(end, is_out), &link]);
            }
            2
        };
        self.send_all(add, edges.len())
    }

    fn sync(&mut self) -> anyhow::Result<()> {
        self.connection.add(&[b"SAVE"]);
        self.connection.send()?;
        self.connection.skip()
    }

    fn file_size(&self) -> anyhow::Result<u64> {
        Ok(std::fs::metadata(self.dir.join("dump.rdb"))?.len())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill(); // what is to be kept was saved
            let _ = server.wait();
            let _ = std::fs::remove_file(socket_in(&self.dir));
        }
    }
}

/// A connection that reads.
pub struct Reader(RefCell<Connection>);

impl Reader {
    /// Connects to the server in `dir`.
    pub fn open(dir: &Path) -> anyhow::Result<Reader> {
        Ok(Reader(RefCell::new(connect(dir)?)))
    }
}

impl Source for Reader {
    type View<'s> = &'s Reader;

    /// Redis has no views that stay: each read sees the newest.
    fn view(&self) -> &Reader {
        self
    }
}

impl Reader {
    fn get<T>(&self, id: &[u8; 16], read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let mut connection = self.0.borrow_mut();
        connection.add(&[b"GET", id]);
        whole(connection.send());
        whole(connection.string()).map(read)
    }
}

impl Lists for &Reader {
    fn ordinal(&self, id: &[u8; 16]) -> Option<u32> {
        self.get(id, |value| u32_at(value, 0))
    }

    fn content(&self, id: &[u8; 16], touch: impl FnOnce(&[u8]) -> u64) -> Option<(u32, u64)> {
        self.get(id, |value| (u32_at(value, 0), touch(&value[FIELDS_SIZE..])))
    }

    fn links(&self, ordinal: u32, is_out: bool, mut visit: impl FnMut(Link)) {
        let mut connection = self.0.borrow_mut();
        connection.add(&[b"LRANGE", &key(ordinal, is_out), b"0", b"-1"]);
        whole(connection.send());
        let (_, count) = whole(connection.head());
        for _ in 0..count {
            let link = whole(connection.string()).expect("a list holds strings alone");
            visit(Link::from_bytes(link));
        }
    }
}
