//! A day in the shop: what a later call of the demo changes.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Statement, Transaction};

use super::chance::Chance;
use super::{failed, rows, shop};
use crate::error::Result;

/// What was changed in one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub table: &'static str,
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
}

/// Changes some rows in one transaction: always the same ones for the same round.
pub fn apply(path: &Path) -> Result<Vec<Change>> {
    let change = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        let shop = connection.transaction()?;
        let round = shop::round(&shop)? + 1;
        let changes = day(&shop, &mut Chance::new(round.unsigned_abs()))?;
        shop::set_round(&shop, round)?;
        shop.commit()?;
        Ok(changes)
    };
    change().map_err(|e| failed(path, &e))
}

fn day(shop: &Transaction<'_>, chance: &mut Chance) -> rusqlite::Result<Vec<Change>> {
    shop.pragma_update(None, "defer_foreign_keys", true)?;
    let none = |table| Change { table, inserted: 0, updated: 0, deleted: 0 };
    let (mut customers, mut orders, mut lines) = (none("customers"), none("orders"), none("order_lines"));

    let mut limit = shop.prepare("update customers set credit_limit = ?2 where id = ?1")?;
    for id in chosen(shop, chance, "customers", 15)? {
        customers.updated += limit.execute((id, format!("{}.50", chance.between(100, 9_999))))? as u64;
    }
    let next = "update orders set status = case status when 'paid' then 'shipped' when 'shipped' then 'delivered' \
                else 'returned' end where id = ?1";
    orders.updated += each(&mut shop.prepare(next)?, &chosen(shop, chance, "orders", 40)?)?;
    let gone = chosen(shop, chance, "orders", 8)?;
    lines.deleted += each(&mut shop.prepare("delete from order_lines where order_id = ?1")?, &gone)?;
    orders.deleted += each(&mut shop.prepare("delete from orders where id = ?1")?, &gone)?;

    let last = |table: &str| shop.query_row(&format!("select max(id) from {table}"), [], |row| row.get::<_, i64>(0));
    let (last_customer, last_order) = (last("customers")?, last("orders")?);
    let mut customer = shop.prepare(shop::ADD_CUSTOMER)?;
    for id in last_customer + 1..=last_customer + 5 {
        customers.inserted += rows::customer(&mut customer, chance, id)? as u64;
    }
    let (mut order, mut line) = (shop.prepare(shop::ADD_ORDER)?, shop.prepare(shop::ADD_LINE)?);
    for id in last_order + 1..=last_order + chance.between(20, 40) {
        lines.inserted += rows::order(&mut order, &mut line, chance, id, last_customer + 5)?;
        orders.inserted += 1;
    }
    Ok(vec![customers, orders, lines])
}

/// Some ids of a table, each once.
fn chosen(shop: &Transaction<'_>, chance: &mut Chance, table: &str, count: usize) -> rusqlite::Result<Vec<i64>> {
    let mut all = shop.prepare(&format!("select id from {table} order by id"))?;
    let mut ids = all.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut chosen = Vec::with_capacity(count);
    while chosen.len() < count && !ids.is_empty() {
        let index = (chance.next() % ids.len() as u64) as usize;
        chosen.push(ids.swap_remove(index));
    }
    Ok(chosen)
}

/// Runs the statement for each id; says how many rows it touched.
fn each(statement: &mut Statement<'_>, ids: &[i64]) -> rusqlite::Result<u64> {
    ids.iter().try_fold(0, |sum, id| Ok(sum + statement.execute([id])? as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reported_is_what_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (now, before) = (folder.path().join("now.db"), folder.path().join("before.db"));
        shop::make(&now).unwrap();
        let mut reports = Vec::new();
        for _ in 0..3 {
            std::fs::copy(&now, &before).unwrap();
            let changes = apply(&now).unwrap();
            let shop = Connection::open(&now).unwrap();
            shop.execute("attach ?1 as before", [before.to_str().unwrap()]).unwrap();
            for change in &changes {
                let table = change.table;
                let key = if table == "order_lines" { "order_id, line" } else { "id" };
                let count = |sql: String| shop.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs();
                let only = |columns: &str, here: &str, there: &str| {
                    count(format!(
                        "select count(*) from (select {columns} from {here}.{table} except select {columns} from {there}.{table})"
                    ))
                };
                let inserted = only(key, "main", "before");
                assert_eq!((inserted, only(key, "before", "main")), (change.inserted, change.deleted), "{table}");
                // A limit or status may happen to be drawn again, or an updated order be deleted later that day.
                let updated = only("*", "main", "before") - inserted;
                assert!(updated <= change.updated && updated + 8 >= change.updated, "{table} {updated}");
            }
            assert_eq!(shop.query_row("select count(*) from pragma_foreign_key_check", [], |row| row.get(0)), Ok(0));
            reports.push(changes);
        }
        assert_ne!(reports[0], reports[1]);
    }
}
