//! What was learned of the tables that the log names, by the numbers that it names them by.

use std::collections::HashMap;

use super::event::table_map::TableMapEvent;

/// For each table of the log something of the caller's: a layout and a batch, say, or that the table is not read.
///
/// Servers say what a table is before every statement that changes it; as long as they say the same, nothing is done.
#[derive(Debug)]
pub struct Maps<T> {
    slots: HashMap<u64, Slot<T>>,
    turn: u64,
}

#[derive(Debug)]
struct Slot<T> {
    body: Vec<u8>,
    used: u64,
    of: T,
}

/// How many are kept. Numbers are given anew after each DDL and each time that a server closes a table.
const MOST: usize = 4096;

impl<T> Default for Maps<T> {
    fn default() -> Self {
        Self { slots: HashMap::new(), turn: 0 }
    }
}

impl<T> Maps<T> {
    /// Whether the table was learned, and is still what it was then.
    pub fn knows(&mut self, event: &TableMapEvent<'_>) -> bool {
        self.turn += 1;
        match self.slots.get_mut(&event.table) {
            Some(slot) if slot.body == event.body => {
                slot.used = self.turn;
                true
            }
            _ => false,
        }
    }

    /// Learns a table. What it was before is given back, to be finished.
    pub fn learn(&mut self, event: &TableMapEvent<'_>, of: T) -> Option<T> {
        let longest_unused = self.slots.iter().min_by_key(|(_, slot)| slot.used).map(|(table, _)| *table);
        let full = self.slots.len() >= MOST && !self.slots.contains_key(&event.table);
        let slot = Slot { body: event.body.to_vec(), used: self.turn, of };
        let old = self.slots.insert(event.table, slot);
        let forgotten = longest_unused.filter(|_| full).and_then(|table| self.slots.remove(&table));
        old.or(forgotten).map(|slot| slot.of)
    }

    pub fn get_mut(&mut self, table: u64) -> Option<&mut T> {
        self.slots.get_mut(&table).map(|slot| &mut slot.of)
    }

    /// Everything that was learned, which is forgotten: after a DDL the same words of the log may mean something else.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        self.slots.drain().map(|(_, slot)| slot.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(table: u64, body: &[u8]) -> TableMapEvent<'_> {
        TableMapEvent { table, database: b"d", name: b"t", body, is_mariadb: false }
    }

    #[test]
    fn what_says_the_same_is_known() {
        let mut maps = Maps::default();
        assert!(!maps.knows(&event(1, b"a")));
        assert_eq!(maps.learn(&event(1, b"a"), 'x'), None);
        assert!(maps.knows(&event(1, b"a")) && !maps.knows(&event(1, b"b")) && !maps.knows(&event(2, b"a")));
        assert_eq!(maps.learn(&event(1, b"b"), 'y'), Some('x'));
        assert_eq!(maps.get_mut(1), Some(&mut 'y'));
        assert_eq!(maps.drain().collect::<Vec<_>>(), ['y']);
        assert_eq!(maps.get_mut(1), None);
    }

    #[test]
    fn the_longest_unused_is_forgotten() {
        let mut maps = Maps::default();
        for table in 0..MOST as u64 {
            maps.knows(&event(table, b""));
            assert_eq!(maps.learn(&event(table, b""), table), None);
        }
        assert!(maps.knows(&event(0, b"")));
        maps.knows(&event(9999, b""));
        assert_eq!(maps.learn(&event(9999, b""), 9999), Some(1));
        assert!(maps.get_mut(0).is_some() && maps.get_mut(1).is_none());
    }
}
