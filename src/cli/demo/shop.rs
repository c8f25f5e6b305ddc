//! The shop's tables.

use std::path::Path;

use rusqlite::{Connection, Transaction};

use super::chance::Chance;
use super::{failed, rows};
use crate::error::Result;

const CUSTOMERS: i64 = 2_000;
const ORDERS: i64 = 10_000;

const TABLES: &str = "
create table customers (
    id            integer primary key,
    public_id     uuid not null,
    name          text not null,
    email         text not null,
    born          date,
    is_business   boolean not null,
    credit_limit  decimal(12,2),
    preferences   json,
    avatar        blob,
    created_at    timestamp not null
);
create table orders (
    id            integer primary key,
    customer_id   integer not null references customers (id),
    ordered_at    timestamp with time zone not null,
    status        varchar(12) not null,
    total         decimal(12,2) not null,
    shipped_on    date,
    pickup_at     time,
    note          text
);
create table order_lines (
    order_id      integer not null references orders (id),
    line          integer not null,
    sku           varchar(20) not null,
    description   text not null,
    quantity      integer not null,
    unit_price    decimal(10,2) not null,
    weight_kg     real,
    primary key (order_id, line)
) without rowid;
create index orders_by_customer on orders (customer_id);
";

pub const ADD_CUSTOMER: &str = "insert into customers values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
pub const ADD_ORDER: &str = "insert into orders values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
pub const ADD_LINE: &str = "insert into order_lines values (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// Makes the shop in a new file, always the same one.
pub fn make(path: &Path) -> Result<()> {
    let fill = || {
        let mut connection = Connection::open(path)?;
        let shop = connection.transaction()?;
        shop.execute_batch(TABLES)?;
        fill(&shop)?;
        set_round(&shop, 1)?;
        shop.commit()
    };
    fill().map_err(|e| failed(path, &e))
}

fn fill(shop: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut chance = Chance::new(1);
    // Lines come before the order that they belong to.
    shop.pragma_update(None, "defer_foreign_keys", true)?;
    let mut customer = shop.prepare(ADD_CUSTOMER)?;
    for id in 1..=CUSTOMERS {
        rows::customer(&mut customer, &mut chance, id)?;
    }
    let (mut order, mut line) = (shop.prepare(ADD_ORDER)?, shop.prepare(ADD_LINE)?);
    for id in 1..=ORDERS {
        rows::order(&mut order, &mut line, &mut chance, id, CUSTOMERS)?;
    }
    Ok(())
}

/// How many times the demo has made or changed this shop.
pub fn round(shop: &Connection) -> rusqlite::Result<i64> {
    shop.query_row("pragma user_version", [], |row| row.get(0))
}

pub fn set_round(shop: &Connection, round: i64) -> rusqlite::Result<()> {
    shop.pragma_update(None, "user_version", round)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shop_is_always_the_same_and_has_something_of_everything() {
        let folder = tempfile::tempdir().unwrap();
        let made = ["a", "b"].map(|name| {
            let path = folder.path().join(name);
            make(&path).unwrap();
            std::fs::read(path).unwrap()
        });
        assert!(made[0] == made[1]);
        let shop = Connection::open(folder.path().join("a")).unwrap();
        let count = |sql: &str| shop.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("select count(*) from orders"), ORDERS);
        assert!((25_000..35_000).contains(&count("select count(*) from order_lines")));
        for sql in [
            "select count(*) from customers where name glob '*ا*'",
            "select count(*) from customers where length(avatar) = 0",
            "select count(*) from customers where date(born) < date('1970-01-01')",
            "select count(*) from customers where preferences is null",
            "select count(*) from orders where note glob '*🎁*'",
            "select count(*) from orders where note = ''",
            "select count(*) from orders where ordered_at glob '*-08:00'",
        ] {
            assert!(count(sql) > 0, "{sql}");
        }
        let differs = "select count(*) from orders o where abs(total - (select sum(quantity * unit_price) \
                       from order_lines where order_id = o.id)) > 0.001";
        assert_eq!(count(differs), 0);
    }
}
