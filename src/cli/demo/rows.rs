//! The shop's rows: small, and with something of everything that copying gets wrong.

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp, ToSpan, civil};
use rusqlite::{Statement, params};

use super::chance::Chance;

/// Names of many scripts and directions, and of what CSV must quote.
pub const GIVEN: [&str; 16] = [
    "Ada",
    "Zoë",
    "Łukasz",
    "Bjørk",
    "María José",
    "Renée",
    "مريم",
    "נועה",
    "芳",
    "さくら",
    "민준",
    "Олена",
    "Αθηνά",
    "सुनीता",
    "Ngọc",
    "D'Arcy",
];
const FAMILY: [&str; 15] = [
    "Martin",
    "Ångström",
    "Żółć",
    "O'Brien",
    "García, Jr.",
    "الحسيني",
    "לוי",
    "王",
    "田中",
    "김",
    "Шевченко",
    "Παπαδόπουλος",
    "शर्मा",
    "Nguyễn",
    "van \"Piet\" Dijk",
];
const NOTES: [&str; 9] = [
    "leave at the door",
    "Geschenk 🎁, bitte ohne Rechnung",
    "ring twice,\nthen wait",
    "say \"hello\"; don't ring",
    "",
    "يرجى الاتصال قبل التسليم",
    "נא להשאיר אצל השכן",
    "👩‍👩‍👧 2nd floor\ttop bell",
    "NULL",
];
const STATUS: [&str; 6] = ["delivered", "delivered", "delivered", "shipped", "paid", "cancelled"];
/// What the shop sells, by its stock-keeping unit.
pub const ITEMS: [(&str, &str); 10] = [
    ("TEA-001", "Green tea, 250 g"),
    ("TEA-002", "Earl Grey ☕"),
    ("CUP-010", "Cup, 0.3 l"),
    ("POT-003", "Teapot \"Kyūsu\""),
    ("SPN-100", "Spoon"),
    ("HNY-007", "Honey 🍯"),
    ("LMN-001", "Lemons; 1 kg"),
    ("BSC-042", "Biscuits – assorted"),
    ("SGR-005", "Sugar"),
    ("STR-009", "Strainer, 7½ cm"),
];
/// Hours and half hours east of UTC, in minutes.
const ZONES: [i32; 6] = [0, 60, 120, -300, -480, 330];

/// Adds one customer.
pub fn customer(insert: &mut Statement<'_>, chance: &mut Chance, id: i64) -> rusqlite::Result<usize> {
    let name = format!("{} {}", chance.pick(&GIVEN), chance.pick(&FAMILY));
    let born = (!chance.once_in(5)).then(|| day(chance.between(-14_600, 13_000)));
    let limit = (!chance.once_in(4)).then(|| money(chance.between(0, 2_500_000)));
    let preferences = (!chance.once_in(3)).then(|| {
        let (language, news) = (chance.pick(&["en", "de", "fr", "ar", "ja"]), chance.once_in(2));
        format!("{{\"language\":\"{language}\",\"newsletter\":{news},\"tags\":[\"{}\"]}}", chance.pick(&GIVEN))
    });
    let avatar = (!chance.once_in(3)).then(|| {
        let length = chance.between(0, 48);
        chance.bytes(length)
    });
    let key =
        uuid::Builder::from_random_bytes(((u128::from(chance.next()) << 64) | u128::from(chance.next())).to_be_bytes());
    let created = moment(chance, 0).strftime("%Y-%m-%d %H:%M:%S%.6f").to_string();
    insert.execute(params![
        id,
        key.into_uuid().to_string(),
        name,
        format!("customer{id}@example.com"),
        born,
        chance.once_in(6),
        limit,
        preferences,
        avatar,
        created
    ])
}

/// Adds one order and its lines; says how many lines.
pub fn order(
    order: &mut Statement<'_>,
    line: &mut Statement<'_>,
    chance: &mut Chance,
    id: i64,
    customers: i64,
) -> rusqlite::Result<u64> {
    let lines = chance.between(1, 5);
    let mut total = 0;
    for number in 1..=lines {
        let (sku, item) = chance.pick(&ITEMS);
        let (quantity, cents) = (chance.between(1, 9), chance.between(49, 19_999));
        let weight = (!chance.once_in(10)).then(|| chance.between(5, 40_000) as f64 / 1000.0);
        total += quantity * cents;
        line.execute(params![id, number, sku, item, quantity, money(cents), weight])?;
    }
    let status = *chance.pick(&STATUS);
    let zone = *chance.pick(&ZONES);
    let ordered = moment(chance, zone);
    let shipped = matches!(status, "delivered" | "shipped")
        .then(|| ordered.date().saturating_add(chance.between(1, 9).days()).to_string());
    let pickup = chance.once_in(3).then(|| format!("{:02}:{:02}:00", chance.between(8, 19), chance.between(0, 59)));
    let note = chance.once_in(3).then(|| *chance.pick(&NOTES));
    let (sign, minutes) = if zone < 0 { ('-', -zone) } else { ('+', zone) };
    let ordered = format!("{}{sign}{:02}:{:02}", ordered.strftime("%Y-%m-%d %H:%M:%S%.3f"), minutes / 60, minutes % 60);
    let customer = chance.between(1, customers);
    order.execute(params![id, customer, ordered, status, money(total), shipped, pickup, note])?;
    Ok(lines.unsigned_abs())
}

/// `12.34`: SQLite stores it as the nearest double, which reads back as the same two digits.
fn money(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// A date so many days from 1970-01-01.
fn day(days: i64) -> String {
    civil::date(1970, 1, 1).saturating_add(days.days()).to_string()
}

/// A moment of the years 2023 and 2024, as the clocks of a zone show it.
fn moment(chance: &mut Chance, zone_minutes: i32) -> civil::DateTime {
    let micros = chance.between(1_672_531_200_000_000, 1_735_689_599_999_999);
    let utc = Offset::UTC.to_datetime(Timestamp::from_microsecond(micros).unwrap_or_default());
    utc.saturating_add(SignedDuration::from_mins(i64::from(zone_minutes)))
}
