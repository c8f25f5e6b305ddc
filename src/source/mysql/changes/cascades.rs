//! Foreign keys whose actions the server carries out without a word in its log.
//!
//! InnoDB deletes and changes rows of the child by itself, and tells nobody. From MySQL 9.6 on the server does it, and logs it,
//! unless `innodb_native_foreign_keys` is set.

use crate::source::mysql::client::Failure;
use crate::source::mysql::connect::{Connection, text};
use crate::source::mysql::error;
use crate::source::mysql::name::Name;

/// What the log does not tell of a table, `ON DELETE CASCADE from p` say: one for each foreign key. Nothing where the user may not
/// see the table's definition.
pub async fn unlogged(connection: &mut Connection, table: &Name) -> Result<Vec<String>, Failure> {
    if connection.is_mariadb {
        // Its catalog shows foreign keys to those only who may do more than read.
        return match connection.texts(&format!("show create table {table}")).await {
            Ok(rows) => Ok(rows.first().map(|row| actions(&text(row, 1))).unwrap_or_default()),
            Err(failure) if error::number(&failure).is_some_and(|n| error::is_denied(n) || error::is_missing(n)) => {
                Ok(Vec::new())
            }
            Err(failure) => Err(failure),
        };
    }
    let sql = "select referenced_table_name, delete_rule, update_rule from information_schema.referential_constraints \
               where constraint_schema = ? and table_name = ? order by constraint_name";
    let rows = connection.rows(sql, (&table.database, &table.table)).await?;
    let rules =
        rows.iter().filter_map(|row| action(&text(row, 0), &[("DELETE", text(row, 1)), ("UPDATE", text(row, 2))]));
    Ok(rules.collect())
}

/// Those of a table's definition, as the server shows it: a line for each foreign key.
fn actions(definition: &str) -> Vec<String> {
    let lines = definition.lines().map(str::trim).filter(|line| line.starts_with("CONSTRAINT "));
    let of = |line: &str| {
        let (_, rest) = line.split_once(" REFERENCES ")?;
        // The parent's name may have anything in it but a lone backtick.
        let end = rest.rfind(" (`").or_else(|| rest.rfind(" ("))?;
        let (parent, rest) = rest.split_at(end);
        let rule = |of: &str| {
            let (_, rule) = rest.split_once(&format!(" ON {of} "))?;
            let rules = ["CASCADE", "SET NULL", "SET DEFAULT"];
            rules.iter().find(|known| rule.starts_with(**known)).map(|rule| (*rule).to_owned())
        };
        let rules = ["DELETE", "UPDATE"].map(|of| (of, rule(of).unwrap_or_default()));
        action(&parent.replace('`', ""), &rules)
    };
    lines.filter_map(of).collect()
}

/// `ON DELETE CASCADE from p`, where a rule changes rows.
fn action(parent: &str, rules: &[(&str, String)]) -> Option<String> {
    let changes = |rule: &str| matches!(rule, "CASCADE" | "SET NULL" | "SET DEFAULT");
    let rules = rules.iter().filter(|(_, rule)| changes(rule)).map(|(of, rule)| format!("ON {of} {rule}"));
    let rules: Vec<_> = rules.collect();
    (!rules.is_empty()).then(|| format!("{} from {parent}", rules.join(" ")))
}

/// What that means for a stream.
pub fn note(actions: &[String], stream: &str, table: &str) -> String {
    format!(
        "The server changes rows of it without a word in its log, by foreign keys: {}. Such changes never arrive. Let the \
         application change and delete these rows itself, or read the table anew now and then: `tidemark run {stream} --snapshot \
         {table}`.",
        actions.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_change_rows_are_found() {
        let definition = "CREATE TABLE `cas` (\n  `id` int(11) NOT NULL,\n  \
            `note` varchar(90) DEFAULT ' REFERENCES `x` (`y`) ON DELETE CASCADE',\n  KEY `pid` (`pid`),\n  \
            CONSTRAINT `a` FOREIGN KEY (`pid`) REFERENCES `p` (`id`) ON DELETE CASCADE ON UPDATE SET NULL,\n  \
            CONSTRAINT `b` FOREIGN KEY (`q`) REFERENCES `other`.`q q` (`id`, `x`) ON DELETE NO ACTION,\n  \
            CONSTRAINT `c` FOREIGN KEY (`r`) REFERENCES `r` (`id`) ON UPDATE CASCADE,\n  \
            CONSTRAINT `d` CHECK (json_valid(`doc`))\n) ENGINE=InnoDB";
        assert_eq!(actions(definition), ["ON DELETE CASCADE ON UPDATE SET NULL from p", "ON UPDATE CASCADE from r"]);
    }
}
