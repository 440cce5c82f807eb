//! How far each client's writes came, so that a retry is not applied twice.

use std::collections::{HashMap, VecDeque};

use sutra_layout::client_entry::{ClientEntry, PROBLEMS_MAX};
use sutra_layout::limits::CLIENTS_MAX;

/// Frames with errors that are remembered for each client: more than a client has in flight.
const OUTCOMES_MAX: usize = 512;

/// What became of a frame that was not applied whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The client's number of the frame.
    pub sequence: u64,
    /// Why the whole of it was refused; 0: it was not.
    pub refusal: u16,
    /// Index and code of each operation that was not applied.
    pub errors: Vec<(u32, u16)>,
}

#[derive(Clone, Debug, Default)]
struct Client {
    sequence: u64,
    lsn: u64,
    /// Ascending by sequence.
    outcomes: VecDeque<Outcome>,
    /// As in [`ClientEntry`].
    problems: [u64; 4],
}

impl Client {
    fn note_sequence(&mut self, sequence: u64, has_problem: bool) {
        let step = sequence.saturating_sub(self.sequence);
        if step > 0 {
            self.problems = shifted(self.problems, step);
            self.sequence = sequence;
        }
        let back = self.sequence - sequence;
        if has_problem && back < PROBLEMS_MAX {
            self.problems[(back / 64) as usize] |= 1 << (back % 64);
        }
    }

    fn had_problem(&self, sequence: u64) -> bool {
        let back = self.sequence.saturating_sub(sequence);
        back < PROBLEMS_MAX && self.problems[(back / 64) as usize] >> (back % 64) & 1 == 1
    }
}

/// A bit set moved up by `step` places.
fn shifted(bits: [u64; 4], step: u64) -> [u64; 4] {
    let (words, rest) = ((step / 64) as usize, step % 64);
    std::array::from_fn(|at| {
        let word = |back: usize| at.checked_sub(back).map_or(0, |at| bits[at]);
        let carried = if rest == 0 { 0 } else { word(words.saturating_add(1)) >> (64 - rest) };
        word(words) << rest | carried
    })
}

/// What a client that asks again is told.
#[derive(Debug)]
pub enum Known<'a> {
    /// The frame was applied whole.
    Applied,
    /// This became of it.
    Outcome(&'a Outcome),
    /// It was refused, wholly or in part, and why is not known any more.
    Forgotten,
}

/// The highest applied sequence of each client, and what was refused of its last frames.
#[derive(Debug, Default)]
pub struct Clients {
    known: HashMap<[u8; 16], Client>,
}

impl Clients {
    /// From the table of a durable slot.
    pub fn new(table: &[ClientEntry]) -> Clients {
        let client = |e: &ClientEntry| Client {
            sequence: e.sequence,
            lsn: e.lsn,
            problems: e.problems,
            ..Client::default()
        };
        Clients { known: table.iter().map(|e| (e.client_id, client(e))).collect() }
    }

    /// The highest applied sequence of a client and its log entry, if the client is known.
    pub fn last(&self, client_id: &[u8; 16]) -> Option<(u64, u64)> {
        self.known.get(client_id).map(|client| (client.sequence, client.lsn))
    }

    /// What became of a frame that is in the log.
    pub fn known(&self, client_id: &[u8; 16], sequence: u64) -> Known<'_> {
        let Some(client) = self.known.get(client_id) else { return Known::Forgotten };
        let found = client.outcomes.binary_search_by_key(&sequence, |outcome| outcome.sequence);
        match found {
            Ok(at) => Known::Outcome(&client.outcomes[at]),
            Err(_) if client.had_problem(sequence) => Known::Forgotten,
            Err(_) => Known::Applied,
        }
    }

    /// Notes that log entry `lsn` is the frame of `outcome`. Beyond the limit, whoever was silent
    /// for longest is forgotten.
    pub fn note(&mut self, client_id: [u8; 16], lsn: u64, outcome: Outcome) {
        if self.known.len() >= CLIENTS_MAX
            && !self.known.contains_key(&client_id)
            && let Some(oldest) =
                self.known.iter().min_by_key(|(_, client)| client.lsn).map(|(id, _)| *id)
        {
            self.known.remove(&oldest);
        }
        let client = self.known.entry(client_id).or_default();
        let has_problem = outcome.refusal != 0 || !outcome.errors.is_empty();
        client.note_sequence(outcome.sequence, has_problem);
        client.lsn = lsn;
        if has_problem {
            if client.outcomes.len() == OUTCOMES_MAX {
                client.outcomes.pop_front();
            }
            client.outcomes.push_back(outcome);
        }
    }

    /// How many clients are remembered.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// The table as a checkpoint writes it, in a fixed order.
    pub fn table(&self) -> Vec<ClientEntry> {
        let entry = |(id, client): (&[u8; 16], &Client)| ClientEntry {
            client_id: *id,
            sequence: client.sequence,
            lsn: client.lsn,
            problems: client.problems,
        };
        let mut table: Vec<ClientEntry> = self.known.iter().map(entry).collect();
        table.sort_unstable_by_key(|entry| (entry.lsn, entry.client_id));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(sequence: u64, refusal: u16) -> Outcome {
        Outcome { sequence, refusal, errors: Vec::new() }
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_longest_silent() {
        let mut clients = Clients::default();
        let id = |n: usize| (n as u128).to_le_bytes();
        for n in 0..=CLIENTS_MAX {
            clients.note(id(n), n as u64, outcome(1, 0));
        }
        assert_eq!(clients.table().len(), CLIENTS_MAX);
        assert_eq!(clients.last(&id(0)), None);
        assert_eq!(clients.last(&id(1)), Some((1, 1)));
        assert_eq!(Clients::new(&clients.table()).table(), clients.table());
    }

    #[test]
    fn a_refused_frame_is_told_from_an_applied_one() {
        let mut clients = Clients::default();
        clients.note([1; 16], 1, outcome(5, 10));
        clients.note([1; 16], 2, outcome(6, 0));
        assert_eq!(clients.last(&[1; 16]), Some((6, 2)));
        assert!(
            matches!(clients.known(&[1; 16], 5), Known::Outcome(outcome) if outcome.refusal == 10)
        );
        assert!(matches!(clients.known(&[1; 16], 6), Known::Applied));

        // After a checkpoint and a restart, what is left is that there was something.
        for sequence in 7..200 {
            clients.note([1; 16], sequence, outcome(sequence, u16::from(sequence == 100)));
        }
        let again = Clients::new(&clients.table());
        for sequence in 5..200 {
            let known = again.known(&[1; 16], sequence);
            let had_problem = sequence == 5 || sequence == 100;
            assert_eq!(matches!(known, Known::Forgotten), had_problem, "{sequence}: {known:?}");
        }
    }
}
