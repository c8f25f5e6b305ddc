//! Tables made up for measuring, the same on every run.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use tidemark::record::field;

const BATCH: usize = 8192;
const BATCHES: usize = 64;

pub fn all() -> Vec<(&'static str, Vec<RecordBatch>)> {
    let batches = |make: fn(usize) -> RecordBatch| (0..BATCHES).map(|n| make(n * BATCH)).collect();
    vec![("lineitem", batches(lineitem)), ("events", batches(events)), ("documents", batches(documents))]
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }

    fn sentence(&mut self, length: usize) -> String {
        const WORDS: [&str; 16] = [
            "furiously",
            "final",
            "ironic,",
            "deposits",
            "carefully",
            "regular",
            "accounts",
            "sleep",
            "quickly",
            "bold",
            "requests.",
            "pending",
            "slyly",
            "express",
            "foxes",
            "haggle",
        ];
        let mut text = String::with_capacity(length + 16);
        while text.len() < length {
            text.push_str(self.of(&WORDS));
            text.push(' ');
        }
        text.truncate(length);
        text
    }
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}

/// The largest table of TPC-H, its values distributed nearly as its own generator does.
fn lineitem(first: usize) -> RecordBatch {
    let mut random = Random(first as u64 * 2 + 1);
    let money = || Decimal128Builder::new().with_data_type(DataType::Decimal128(15, 2));
    let (mut keys, mut number) = ([(); 3].map(|()| Int64Builder::new()), Int32Builder::new());
    let (mut amounts, mut dates) = ([(); 4].map(|()| money()), [(); 3].map(|()| Date32Builder::new()));
    let mut texts = [(); 5].map(|()| StringBuilder::new());
    for row in first..first + BATCH {
        let order = (row / 4) as i64;
        let part = random.below(200_000) as i64 + 1;
        keys[0].append_value(order >> 3 << 5 | order & 7);
        keys[1].append_value(part);
        keys[2].append_value(random.below(10_000) as i64 + 1);
        number.append_value(row as i32 % 4 + 1);
        let quantity = i128::from(random.below(50)) + 1;
        amounts[0].append_value(quantity * 100);
        amounts[1].append_value(quantity * i128::from(90_000 + part / 10 % 20_001 + 100 * (part % 1_000)));
        amounts[2].append_value(random.below(11).into());
        amounts[3].append_value(random.below(9).into());
        texts[0].append_value(random.of(&["R", "A", "N"]));
        texts[1].append_value(random.of(&["O", "F"]));
        let shipped = 8_035 + random.below(2_526) as i32;
        dates[0].append_value(shipped);
        dates[1].append_value(shipped + random.below(60) as i32 - 30);
        dates[2].append_value(shipped + 1 + random.below(30) as i32);
        texts[2].append_value(random.of(&["DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN"]));
        texts[3].append_value(random.of(&["REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"]));
        let length = 10 + random.below(34) as usize;
        texts[4].append_value(random.sentence(length));
    }
    let [order, part, supplier] = keys.map(|mut keys| Arc::new(keys.finish()) as ArrayRef);
    let [quantity, price, discount, tax] = amounts.map(|mut amounts| Arc::new(amounts.finish()) as ArrayRef);
    let [shipped, committed, received] = dates.map(|mut dates| Arc::new(dates.finish()) as ArrayRef);
    let [returned, status, instruction, mode, comment] = texts.map(|mut texts| Arc::new(texts.finish()) as ArrayRef);
    batch(vec![
        ("l_orderkey", order),
        ("l_partkey", part),
        ("l_suppkey", supplier),
        ("l_linenumber", Arc::new(number.finish())),
        ("l_quantity", quantity),
        ("l_extendedprice", price),
        ("l_discount", discount),
        ("l_tax", tax),
        ("l_returnflag", returned),
        ("l_linestatus", status),
        ("l_shipdate", shipped),
        ("l_commitdate", committed),
        ("l_receiptdate", received),
        ("l_shipinstruct", instruction),
        ("l_shipmode", mode),
        ("l_comment", comment),
    ])
}

/// Wider values: doubles, timestamps, NULLs, texts that never repeat.
fn events(first: usize) -> RecordBatch {
    let (mut id, mut a, mut b) = (Int64Builder::new(), Int32Builder::new(), Int64Builder::new());
    let mut price = Decimal128Builder::new().with_data_type(DataType::Decimal128(12, 2));
    let (mut ratio, mut flag, mut day) = (Float64Builder::new(), BooleanBuilder::new(), Date32Builder::new());
    let (mut name, mut note) = (StringBuilder::new(), StringBuilder::new());
    let mut at = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let mut text = String::new();
    for n in first as i64..(first + BATCH) as i64 {
        id.append_value(n);
        a.append_value((n * 7_919 % 1_000_003) as i32);
        b.append_option((n % 10 != 0).then_some(n * 1_000_003));
        price.append_value(i128::from(n % 1_000_000) * 100 / 7);
        ratio.append_value(n as f64 / 3.7);
        text.clear();
        let _ = write!(text, "name-{:032x}", (n as u128).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
        name.append_value(&text);
        text.clear();
        let _ = write!(text, "some description text number {n} with tail {}", n % 97);
        note.append_option((n % 7 != 0).then_some(&text));
        at.append_value(1_704_067_200_000_000 + n * 13_000_000 + n % 1_000_000);
        day.append_value(18_262 + (n % 2_000) as i32);
        flag.append_value(n % 2 == 1);
    }
    batch(vec![
        ("id", Arc::new(id.finish())),
        ("a", Arc::new(a.finish())),
        ("b", Arc::new(b.finish())),
        ("price", Arc::new(price.finish())),
        ("ratio", Arc::new(ratio.finish())),
        ("name", Arc::new(name.finish())),
        ("note", Arc::new(note.finish())),
        ("at", Arc::new(at.finish())),
        ("day", Arc::new(day.finish())),
        ("flag", Arc::new(flag.finish())),
    ])
}

/// A key and a JSON document.
fn documents(first: usize) -> RecordBatch {
    let mut random = Random(first as u64 * 2 + 1);
    let document = |n: usize| {
        let (note, tag) = (random.sentence(60), random.sentence(8));
        format!(r#"{{"id": {n}, "tags": ["{tag}", "new"], "price": {}.25, "note": "{note}", "ok": true}}"#, n % 977)
    };
    let keys: ArrayRef = Arc::new((first..first + BATCH).map(|n| Some(format!("key-{n}"))).collect::<StringArray>());
    let documents: ArrayRef = Arc::new((first..first + BATCH).map(document).map(Some).collect::<StringArray>());
    let fields = vec![Field::new("key", DataType::Utf8, true), field::json("document")];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![keys, documents]).expect("columns of one length")
}
