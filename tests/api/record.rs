//! Records, each made from its number alone: whoever knows the number knows what must arrive.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// When time begins: 2026-01-01T00:00:00Z, in seconds of the epoch.
pub const BEGINNING: i64 = 1_767_225_600;

/// What a record looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Five plain fields, some 100 bytes.
    Small,
    /// Numbers that doubles cannot hold, decimals that end in zeros, nulls, fields that are missing, records within records.
    Rich,
    /// A person, as a fake-data API makes them up.
    User,
    /// An advertisement, as a marketing API tells of it.
    Ad,
}

impl Shape {
    pub fn named(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }
}

/// A number that looks like chance and is always the same.
pub fn mix(seed: u64, number: u64) -> u64 {
    let mut mixed = seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Seconds after the beginning, as RFC 3339 has it.
pub fn time(seconds: u64) -> String {
    let beginning = Timestamp::from_second(BEGINNING).unwrap();
    (beginning + SignedDuration::from_secs(i64::try_from(seconds).unwrap())).to_string()
}

/// The record as the API writes it.
pub fn json(shape: Shape, seed: u64, id: u64) -> String {
    let mut out = String::new();
    write_json(&mut out, shape, seed, id);
    out
}

pub fn write_json(out: &mut String, shape: Shape, seed: u64, id: u64) {
    match shape {
        Shape::Small => small(out, seed, id),
        Shape::Rich => rich(out, seed, id),
        Shape::User => user(out, seed, id),
        Shape::Ad => ad(out, seed, id),
    }
}

/// Two digits behind the point, zeros too.
fn amount(chance: u64) -> String {
    format!("{}.{:02}", chance % 100_000, [0, 50, 90, 5, 99][(chance >> 20) as usize % 5])
}

fn small(out: &mut String, seed: u64, id: u64) {
    let Row { name, amount, active, updated_at, .. } = row(seed, id);
    let _ =
        write!(out, r#"{{"id":{id},"name":"{name}","amount":{amount},"active":{active},"updated_at":"{updated_at}"}}"#);
}

/// The fields of a small record, which the flat formats have too.
pub struct Row {
    pub id: u64,
    pub name: String,
    pub amount: String,
    pub active: bool,
    pub updated_at: String,
}

pub fn row(seed: u64, id: u64) -> Row {
    let chance = mix(seed, id);
    let name = format!("{} {}", FIRST[chance as usize % FIRST.len()], LAST[(chance >> 8) as usize % LAST.len()]);
    Row { id, name, amount: amount(chance), active: chance & 4 == 0, updated_at: time(id * 60) }
}

const FIRST: [&str; 8] = ["Ada", "Björn", "Chloé", "Дмитрий", "Eva", "Fatima", "花子", "Zoë"];
const LAST: [&str; 8] = ["Lovelace", "O'Neill", "Smith, Jr.", "Müller", "Østergård", "García", "Nguyễn", "山田"];
const CITIES: [&str; 4] = ["København", "Zürich", "São Paulo", "Kraków"];

fn rich(out: &mut String, seed: u64, id: u64) {
    let chance = mix(seed, id);
    let Row { name, amount, active, updated_at, .. } = row(seed, id);
    let _ = write!(out, r#"{{"id":{id},"name":"{name}","active":{active},"balance":{amount},"#);
    // Beyond 64 bits with a sign, beyond 64 bits without one, and a double with an exponent.
    let _ = write!(
        out,
        r#""views":{},"huge":1234567890123456789012{id:08},"ratio":{}.25e-3,"#,
        u64::MAX - id,
        chance % 1000
    );
    match id % 7 {
        0 => out.push_str(r#""nickname":null,"#),
        _ => drop(write!(out, r#""nickname":"\"{}\" \u00e9\\{}","#, FIRST[id as usize % FIRST.len()], id % 10)),
    }
    if !id.is_multiple_of(11) {
        let _ = write!(out, r#""note":"line one\nline {id}\t😀 </b>","#);
    }
    let city = CITIES[(chance >> 16) as usize % CITIES.len()];
    let _ = write!(
        out,
        r#""address":{{"street":"{id} Main St","city":"{city}","geo":{{"lat":{}.5000,"lon":-{}.0}}}},"#,
        chance % 90,
        chance % 180
    );
    let tags = [r#"["a","b"]"#, "[]", r#"["c"]"#, r#"["a",null]"#, "null"][id as usize % 5];
    let _ = write!(
        out,
        r#""tags":{tags},"orders":[{{"sku":"S-{id}","price":9.90,"quantity":{}}}],"updated_at":"{updated_at}"}}"#,
        chance % 9
    );
}

fn user(out: &mut String, seed: u64, id: u64) {
    let chance = mix(seed, id);
    let (first, last) = (FIRST[chance as usize % FIRST.len()], LAST[(chance >> 8) as usize % LAST.len()]);
    let ip = [chance >> 16, chance >> 24, chance >> 32].map(|byte| byte % 256);
    let _ = write!(
        out,
        r#"{{"id":{id},"uuid":"{:08x}-0000-4000-8000-{:012x}","firstname":"{first}","lastname":"{last}","username":"user{id}","#,
        chance >> 32,
        id
    );
    let _ = write!(
        out,
        r#""email":"user{id}@example.com","ip":"10.{}.{}.{}","macAddress":null,"website":"http://example.com/{id}","#,
        ip[0], ip[1], ip[2]
    );
    let _ = write!(
        out,
        r#""birthday":"19{:02}-0{}-1{}","phone":"+1555{:07}","balance":{}}}"#,
        chance % 100,
        1 + chance % 9,
        chance % 10,
        chance % 10_000_000,
        amount(chance)
    );
}

fn ad(out: &mut String, seed: u64, id: u64) {
    let chance = mix(seed, id);
    let status = ["ACTIVE", "PAUSED", "ARCHIVED"][chance as usize % 3];
    let _ = write!(
        out,
        r#"{{"id":"{}","name":"Ad {id}","status":"{status}","bid_amount":{},"spend":"{}","#,
        120_330_000_000_000_000 + id,
        chance % 10_000,
        amount(chance)
    );
    let created = time(id * 60).replace('Z', "+0000");
    let _ = write!(out, r#""campaign":{{"id":"{}","name":"Campaign"}},"created_time":"{created}"}}"#, 1 + id % 25);
}
