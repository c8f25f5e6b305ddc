//! What a server sends of its log, whatever it is: told as a fault, or read to its last cell; never a panic, never out of its bounds.
//!
//! The input is messages, each behind its length in two bytes (little-endian), as `seeds.py` writes them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidemark::source::postgres::replication::{Message, Old, Parser, Tuple};

fuzz_target!(|input: &[u8]| {
    let mut parser = Parser::default();
    let mut rest = input;
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(behind.len());
        let (message, behind) = behind.split_at(length);
        rest = behind;
        if let Ok((_, message)) = parser.parse(message) {
            walk(&message);
        }
    }
});

/// Through all that a message lends.
fn walk(message: &Message<'_>) {
    match message {
        Message::Relation(relation) => drop(format!("{relation:?} {:?}", relation.columns().collect::<Vec<_>>())),
        Message::Truncate(truncate) => drop(truncate.relations().count()),
        Message::Insert(insert) => cells(insert.new),
        Message::Update(update) => {
            update.old.into_iter().for_each(old);
            cells(update.new);
        }
        Message::Delete(delete) => old(delete.old),
        other => drop(format!("{other:?}")),
    }
}

fn old(old: Old<'_>) {
    let (Old::Key(tuple) | Old::Row(tuple)) = old;
    cells(tuple);
}

fn cells(tuple: Tuple<'_>) {
    assert_eq!(tuple.cells().count(), tuple.len());
    for cell in tuple.cells() {
        std::hint::black_box(cell);
    }
}
