//! Messages of a real server, read without one; and the same with damage, which is told and never panics.

use proptest::prelude::*;

use super::*;

/// Of PostgreSQL 18, a message a line: tables of all identities, a partitioned one, types of one's own, values left out, an
/// origin, both phases of a transaction; the same with binary values; transactions streamed at each change, with savepoints
/// undone, aborts and a prepare; and those as they are sent to parallel appliers.
const FILES: [&str; 4] = [
    include_str!("../../../../../tests/golden/pgoutput/text.hex"),
    include_str!("../../../../../tests/golden/pgoutput/binary.hex"),
    include_str!("../../../../../tests/golden/pgoutput/blocks.hex"),
    include_str!("../../../../../tests/golden/pgoutput/parallel.hex"),
];

const ABORT_BYTES: usize = 9;

fn messages(file: &str) -> Vec<Vec<u8>> {
    file.lines().map(|line| hex::decode(line).unwrap()).collect()
}

/// Walks through everything that a message lends.
fn shown(xid: Option<u32>, message: &Message<'_>) -> String {
    let said = match message {
        Message::Relation(relation) => format!("{relation:?} {:?}", relation.columns().collect::<Vec<_>>()),
        Message::Truncate(truncate) => format!("truncate {}", truncate.relations().count()),
        Message::Insert(insert) => format!("insert {}", cells(insert.new)),
        Message::Update(update) => {
            format!("update {} {}", update.old.map_or_else(|| "-".to_owned(), old), cells(update.new))
        }
        Message::Delete(delete) => format!("delete {}", old(delete.old)),
        Message::Logical(logical) => {
            let text = String::from_utf8_lossy;
            format!("logical {} {} {}", logical.is_transactional, text(logical.prefix), text(logical.content))
        }
        Message::CommitPrepared(prepared) | Message::StreamPrepare(prepared) => {
            format!("gid {}", String::from_utf8_lossy(prepared.gid))
        }
        other => format!("{other:?}"),
    };
    match xid {
        Some(_) => format!("xid {said}"),
        None => said,
    }
}

fn old(old: Old<'_>) -> String {
    match old {
        Old::Key(tuple) => format!("key {}", cells(tuple)),
        Old::Row(tuple) => format!("row {}", cells(tuple)),
    }
}

fn cells(tuple: Tuple<'_>) -> String {
    assert_eq!(tuple.cells().count(), tuple.len());
    let cells = tuple.cells().map(|cell| match cell {
        Cell::Null => "null".to_owned(),
        Cell::Unchanged => "unchanged".to_owned(),
        Cell::Text(text) => String::from_utf8_lossy(text).chars().take(24).collect(),
        Cell::Binary(bytes) => format!("x{}", hex::encode(&bytes[..bytes.len().min(16)])),
    });
    cells.collect::<Vec<_>>().join("|")
}

fn read_all(messages: &[Vec<u8>]) -> Result<Vec<String>, Fault> {
    let mut parser = Parser::default();
    messages.iter().map(|message| parser.parse(message).map(|(xid, message)| shown(xid, &message))).collect()
}

fn said(file: &str) -> String {
    read_all(&messages(file)).unwrap().join("\n")
}

fn has(said: &str, words: &[&str]) {
    for words in words {
        assert!(said.contains(words), "{words} is not in: {said}");
    }
}

#[test]
fn changes_of_a_real_server() {
    let text = said(FILES[0]);
    has(&text, &["insert 1|one|1.50|sad|xxxx", "insert 2|null|null|null|null|null"]);
    // A value that is stored elsewhere and was left as it was; a change of key; a deletion by key.
    has(&text, &["update - 1|one|-2.00|sad|unchanged|2024-02-29", "update key 2|null|null|null|null|null 3|null"]);
    has(&text, &["delete key 3|null|null|null|null|null", "update row 1|{\"a\": 1} 1|[]", "delete row 2|null"]);
    has(
        &text,
        &["name: \"t\", identity: Default", "name: \"f\", identity: Full", "name: \"p\"", "insert 5|in a partition"],
    );
    has(&text, &["is_key: true, name: \"id\", type_oid: 23, modifier: -1", "type_oid: 1700, modifier: 786438"]);
    has(&text, &["logical true heart beat", "logical false loose word", "truncate 2", "truncate 1"]);
    has(
        &text,
        &[
            "Origin { lsn: Lsn(43981), name: [101, 108",
            "gid golden one",
            "RollbackPrepared",
            "BeginPrepare",
            "name: \"mood\"",
        ],
    );
    has(&text, &["insert 10|far|0.00|happy||-infinity", "insert 30|more|1.00|happy|null|null|7", "name: \"extra\""]);
    assert!(!text.contains("xid "), "outside of blocks nothing has an xid of its own");
    let binary = said(FILES[1]);
    has(&binary, &["insert x00000001|x6f6e65|", "|x736164|", "x0000000a|x666172|x", "|x8000000000000000"]);
    assert_eq!(text.lines().count(), binary.lines().count());
}

#[test]
fn options_of_a_truncation() {
    let truncations: Vec<_> = messages(FILES[0]).into_iter().filter(|message| message[0] == b'T').collect();
    let mut parser = Parser::default();
    let options = truncations.iter().map(|message| match parser.parse(message).unwrap().1 {
        Message::Truncate(truncate) => (truncate.cascade, truncate.restart_identity, truncate.relations().count()),
        other => panic!("{other:?}"),
    });
    assert_eq!(options.collect::<Vec<_>>(), [(true, false, 2), (false, true, 1)]);
}

#[test]
fn blocks_of_open_transactions() {
    let blocks = said(FILES[2]);
    has(
        &blocks,
        &["StreamStart(StreamStart { xid: ", "is_first: true", "is_first: false", "StreamStop", "StreamCommit("],
    );
    has(&blocks, &["xid insert 40|streamed", "xid insert 41|undone", "xid Relation {", "xid Type(", "xid truncate 1"]);
    has(&blocks, &["xid logical true s in a block", "xid update", "gid golden three", "StreamAbort("]);
    assert!(!blocks.contains("xid Stream") && !blocks.contains("xid gid"));
    // Appliers side by side are told where an abort was, too.
    assert_eq!(said(FILES[3]), blocks);
    assert_ne!(FILES[3], FILES[2]);
}

#[test]
fn what_a_transaction_takes_back_is_told_by_its_part() {
    let messages = messages(FILES[2]);
    let (mut parser, mut undone, mut aborts) = (Parser::default(), None, Vec::new());
    for message in &messages {
        match parser.parse(message).unwrap() {
            (xid, Message::Insert(insert)) if cells(insert.new).starts_with("41|") => undone = xid,
            (None, Message::StreamAbort(abort)) => aborts.push(abort),
            _ => {}
        }
    }
    // A savepoint's, and a whole transaction.
    assert_eq!(aborts.len(), 2);
    assert_eq!(Some(aborts[0].subxid), undone);
    assert_ne!(aborts[0].xid, aborts[0].subxid);
    assert_eq!(aborts[1].xid, aborts[1].subxid);
}

#[test]
fn a_message_that_ends_early_or_late_is_told() {
    for file in FILES {
        let mut parser = Parser::default();
        for message in messages(file) {
            let kind = message[0];
            // An abort with nothing after the two ids is whole too.
            for end in (0..message.len()).filter(|end| kind != b'A' || *end != ABORT_BYTES) {
                let mut parser = Parser { in_block: parser.in_block };
                let torn = parser.parse(&message[..end]).unwrap_err();
                assert!(matches!(torn, Fault::Torn(_)), "{torn}");
            }
            let longer = [&message[..], &[0]].concat();
            assert_eq!(Parser { in_block: parser.in_block }.parse(&longer), Err(Fault::Torn(kind)));
            parser.parse(&message).unwrap();
        }
    }
}

#[test]
fn messages_out_of_order_and_unknown_ones_are_told() {
    let start = [&b"S"[..], &[0, 0, 0, 7, 1]].concat();
    let mut parser = Parser::default();
    assert_eq!(parser.parse(b"E"), Err(Fault::Order(b'E')));
    assert_eq!(parser.parse(&start), Ok((None, Message::StreamStart(StreamStart { xid: 7, is_first: true }))));
    assert_eq!(parser.parse(&start), Err(Fault::Order(b'S')));
    assert_eq!(parser.parse(b"C"), Err(Fault::Order(b'C')));
    assert_eq!(parser.parse(b"Z"), Err(Fault::Unknown(b'Z')));
    assert_eq!(parser.parse(b"E"), Ok((None, Message::StreamStop)));
    assert_eq!(parser.parse(b"Z"), Err(Fault::Unknown(b'Z')));
    assert_eq!(parser.parse(b""), Err(Fault::Torn(0)));
}

#[test]
fn counts_and_lengths_that_cannot_be() {
    let mut parser = Parser::default();
    let head = [0, 0, 0, 1];
    for (kind, rest) in [
        // Columns that are not there; a length below zero; one beyond the end; a kind of column that is none.
        (b'I', &b"N\xff\xff"[..]),
        (b'I', b"N\0\x01t\xff\xff\xff\xff"),
        (b'I', b"N\0\x01b\x7f\xff\xff\xff"),
        (b'I', b"N\0\x01x"),
        (b'I', b"O\0\0"),
        (b'U', b"X\0\0"),
        (b'D', b"N\0\0"),
    ] {
        let message = [&[kind][..], &head, rest].concat();
        assert_eq!(parser.parse(&message), Err(Fault::Torn(kind)), "{rest:?}");
    }
    assert_eq!(parser.parse(b"T\xff\xff\xff\xff\0"), Err(Fault::Torn(b'T')));
    assert_eq!(parser.parse(b"T\x7f\xff\xff\xff\0"), Err(Fault::Torn(b'T')));
    assert_eq!(parser.parse(b"R\0\0\0\x01s\0t\0x\0\0"), Err(Fault::Torn(b'R')));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_damage_makes_it_panic(
        which in 0..FILES.len(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..9),
        end in proptest::option::weighted(0.3, (any::<prop::sample::Index>(), any::<prop::sample::Index>())),
    ) {
        let mut messages = messages(FILES[which]);
        for (message, at, byte) in flips {
            let message = message.get_mut(&mut messages);
            let at = at.index(message.len());
            message[at] = byte;
        }
        if let Some((message, end)) = end {
            let message = message.get_mut(&mut messages);
            message.truncate(end.index(message.len()));
        }
        // Each by itself, so that one that is refused does not hide the others.
        let mut parser = Parser::default();
        for message in &messages {
            if let Ok((xid, message)) = parser.parse(message) {
                shown(xid, &message);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        kind in proptest::sample::select(KNOWN),
        in_block: bool,
    ) {
        let message = [&[kind][..], &bytes].concat();
        if let Ok((xid, message)) = (Parser { in_block }).parse(&message) {
            shown(xid, &message);
        }
    }
}
