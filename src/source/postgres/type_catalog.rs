//! What the server's catalog says of types: those asked for, and all they are made of.

use std::collections::{BTreeSet, HashMap};

use tokio_postgres::types::Type as Oid;

use super::connect::{Session, get};
use super::name::quoted;
use crate::error::Result;

/// Types by OID.
#[derive(Debug, Default)]
pub struct TypeCatalog {
    entries: HashMap<u32, Entry>,
    money_scale: i8,
}

/// A row of `pg_type`, and for a composite those of `pg_attribute`.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    pub oid: u32,
    /// `b`ase, `c`omposite, `d`omain, `e`num, `m`ultirange, `p`seudo, `r`ange.
    pub kind: u8,
    /// Of a domain.
    pub base: u32,
    pub base_modifier: i32,
    /// Of an array.
    pub element: u32,
    /// What parts the elements of this type's arrays in text.
    pub delimiter: u8,
    /// The function that makes its binary form; empty where it has none.
    pub send: String,
    /// The function that makes its text, as SQL calls it.
    pub output: String,
    /// The server's own words, without modifier.
    pub format: String,
    pub attributes: Vec<Attribute>,
    relation: u32,
}

#[derive(Debug, Clone)]
pub struct Attribute {
    pub name: String,
    pub oid: u32,
    pub modifier: i32,
    /// The server's own words for its type.
    pub native: String,
}

/// The first OID that is not the server's own.
const FIRST_OF_USERS: u32 = 16384;

impl Entry {
    pub fn is_builtin(&self) -> bool {
        self.oid < FIRST_OF_USERS
    }
}

impl TypeCatalog {
    pub async fn load(session: &Session, oids: impl IntoIterator<Item = u32>) -> Result<Self> {
        let mut catalog = Self { money_scale: 2, ..Self::default() };
        let mut wanted: BTreeSet<u32> = oids.into_iter().collect();
        while !wanted.is_empty() {
            let asked: Vec<u32> = wanted.iter().copied().collect();
            let mut entries = entries(session, &asked).await?;
            attributes(session, &mut entries).await?;
            for entry in entries {
                wanted.extend([entry.base, entry.element].into_iter().filter(|oid| *oid != 0));
                wanted.extend(entry.attributes.iter().map(|attribute| attribute.oid));
                catalog.entries.insert(entry.oid, entry);
            }
            wanted.retain(|oid| !catalog.entries.contains_key(oid) && !asked.contains(oid));
        }
        if catalog.entries.contains_key(&Oid::MONEY.oid()) {
            catalog.money_scale = money_scale(session).await?;
        }
        Ok(catalog)
    }

    pub fn get(&self, oid: u32) -> Option<&Entry> {
        self.entries.get(&oid)
    }

    /// How many digits after the point the server's money has.
    pub fn money_scale(&self) -> i8 {
        self.money_scale
    }
}

async fn entries(session: &Session, oids: &[u32]) -> Result<Vec<Entry>> {
    let rows = session.query(TYPES, &[(&oids, Oid::OID_ARRAY)]).await?;
    rows.iter()
        .map(|row| {
            let byte = |column| -> Result<u8> { Ok(get::<String>(row, column)?.bytes().next().unwrap_or_default()) };
            let (schema, function): (String, String) = (get(row, "output_schema")?, get(row, "output")?);
            Ok(Entry {
                oid: get(row, "oid")?,
                kind: byte("typtype")?,
                base: get(row, "typbasetype")?,
                base_modifier: get(row, "typtypmod")?,
                element: get(row, "typelem")?,
                delimiter: byte("typdelim")?,
                send: get(row, "send")?,
                output: format!("{}.{}", quoted(&schema), quoted(&function)),
                format: get(row, "format")?,
                attributes: Vec::new(),
                relation: get(row, "typrelid")?,
            })
        })
        .collect()
}

async fn attributes(session: &Session, entries: &mut [Entry]) -> Result<()> {
    let relations: Vec<u32> = entries.iter().map(|entry| entry.relation).filter(|oid| *oid != 0).collect();
    if relations.is_empty() {
        return Ok(());
    }
    for row in session.query(ATTRIBUTES, &[(&relations, Oid::OID_ARRAY)]).await? {
        let relation: u32 = get(&row, "attrelid")?;
        let attribute = Attribute {
            name: get(&row, "attname")?,
            oid: get(&row, "atttypid")?,
            modifier: get(&row, "atttypmod")?,
            native: get(&row, "native")?,
        };
        for entry in entries.iter_mut().filter(|entry| entry.relation == relation) {
            entry.attributes.push(attribute.clone());
        }
    }
    Ok(())
}

/// Money has as many digits after the point as the session's `lc_monetary` says, which is left as the server sets it.
async fn money_scale(session: &Session) -> Result<i8> {
    let sql = "SELECT pg_catalog.scale(1::pg_catalog.money::pg_catalog.numeric) AS scale";
    let scale: i32 = get(&session.query_one(sql, &[]).await?, "scale")?;
    Ok(i8::try_from(scale).unwrap_or(2))
}

const TYPES: &str = "
SELECT t.oid, t.typtype::text, t.typbasetype, t.typtypmod, t.typelem, t.typrelid, t.typdelim::text,
       coalesce(s.proname::text, '') AS send, n.nspname::text AS output_schema, o.proname::text AS output,
       pg_catalog.format_type(t.oid, NULL) AS format
FROM pg_catalog.pg_type AS t
JOIN pg_catalog.pg_proc AS o ON o.oid = t.typoutput
JOIN pg_catalog.pg_namespace AS n ON n.oid = o.pronamespace
LEFT JOIN pg_catalog.pg_proc AS s ON s.oid = t.typsend
WHERE t.oid = ANY ($1)";

const ATTRIBUTES: &str = "
SELECT a.attrelid, a.attname::text, a.atttypid, a.atttypmod, pg_catalog.format_type(a.atttypid, a.atttypmod) AS native
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum";
