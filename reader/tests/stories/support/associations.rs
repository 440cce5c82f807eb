//! Associations: made, made again, ended.

use sutra_layout::U48;
use sutra_layout::checksum::edge_hash;
use sutra_layout::edge::EdgeRecord;
use sutra_layout::geometry::Region;
use sutra_layout::index::{INDEX, upsert};
use sutra_layout::lookup;
use sutra_layout::sync::AllFences;

use super::Writer;
use super::memory::{TestIndex, bytes_of};

/// An association to make.
#[derive(Clone, Copy)]
pub struct Associate<'a> {
    pub edge_type: u16,
    pub confidence: f32,
    pub weight: f32,
    pub properties: Option<&'a str>,
    pub valid_until: u64,
    pub flags: u16,
}

impl Default for Associate<'_> {
    fn default() -> Self {
        Associate {
            edge_type: 0,
            confidence: 1.0,
            weight: 1.0,
            properties: None,
            valid_until: 0,
            flags: 0,
        }
    }
}

impl Writer {
    /// Associates two concepts by ordinal, or a new version of it; the edge's ordinal.
    pub fn associate(&mut self, source: u32, target: u32, associate: Associate<'_>) -> u32 {
        let key = (source, target, associate.edge_type);
        let before = lookup::find_edge(self.view(), &self.slot, key).unwrap();
        let before = before.map(|(ordinal, edge)| (ordinal, edge.is_tombstone()));
        let lsn = self.step();
        let properties = associate.properties.map_or(0, |p| self.append_blob(p.as_bytes()) + 1);
        let edge = EdgeRecord {
            lsn,
            created_at: self.now,
            valid_until: associate.valid_until,
            source,
            target,
            previous: before.map_or(0, |(ordinal, _)| ordinal + 1),
            confidence: associate.confidence,
            weight: associate.weight,
            properties: U48::new(properties),
            edge_type: associate.edge_type,
            flags: associate.flags,
            ..EdgeRecord::default()
        };
        let ordinal = self.slot.edges as u32;
        let offset = self.memory.place(Region::EDGES, ordinal.into(), 1);
        self.put(offset, bytes_of(&edge.sealed()));
        self.slot.edges += 1;
        self.slot.edges_expiring += u64::from(edge.valid_until != 0);
        self.slot.edges_live += u64::from(!edge.is_tombstone());
        self.slot.edges_live -= u64::from(before.is_some_and(|(_, is_tombstone)| !is_tombstone));
        self.index_edge(ordinal);
        if let Some((before, false)) = before {
            self.memory.end_entries((source, target), before, ordinal);
        }
        if !edge.is_tombstone() {
            self.memory.append_entries(ordinal, &edge);
        }
        ordinal
    }

    fn index_edge(&mut self, ordinal: u32) {
        let seed = self.view().superblock().hash_seed;
        let (memory, slot) = (&self.memory, &self.slot);
        let key_of = |ordinal| {
            let edge = memory.view.edge(ordinal, slot)?;
            Ok((edge.source, edge.target, edge.edge_type))
        };
        let hash_of = |ordinal| {
            let (source, target, edge_type) = key_of(ordinal)?;
            Ok(edge_hash(seed, source, target, edge_type))
        };
        let ordinal = u64::from(ordinal);
        let key = key_of(ordinal).unwrap();
        upsert(
            INDEX,
            &TestIndex::edges(memory),
            AllFences,
            &mut self.edge_root,
            (hash_of(ordinal).unwrap(), ordinal),
            |old| Ok(key_of(old)? == key),
            hash_of,
        )
        .unwrap();
        self.slot.edge_index_depth = self.edge_root.depth.into();
    }

    /// Ends an association, if it lives.
    pub fn disassociate(&mut self, source: u32, target: u32, edge_type: u16) {
        let before = lookup::find_edge(self.view(), &self.slot, (source, target, edge_type));
        if before.unwrap().is_some_and(|(_, edge)| !edge.is_tombstone()) {
            let associate =
                Associate { edge_type, flags: EdgeRecord::TOMBSTONE, ..Associate::default() };
            self.associate(source, target, associate);
        }
    }
}
