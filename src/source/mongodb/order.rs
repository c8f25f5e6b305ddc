//! By what an incremental stream's documents are ordered, and conditions on that.

use mongodb::bson::{Bson, Document, doc};

use super::catalog::{self, Index, Kind};
use super::connect::Server;
use super::id::ID;
use super::mark::{Class, Mark, at_path};
use super::plan::Plan;
use crate::error::{Error, Result};
use crate::source::cursor::{After, Column, Expression, Order, Settings, Upper, Window};
use crate::source::documents::bson::Value;

/// The cursor of a plan.
#[derive(Debug, Clone)]
pub struct Ordered {
    /// The paths of its fields.
    pub paths: Vec<String>,
    /// No two documents have the same in its first field.
    pub is_unique: bool,
    /// An index begins with its first field.
    pub is_indexed: bool,
}

impl Ordered {
    /// Refuses a cursor that is not one of fields.
    pub async fn of(server: &Server, plan: &Plan, settings: &Settings) -> Result<Self> {
        let paths = paths(settings)?;
        let indexes = catalog::indexes(server, &plan.collection).await?;
        let of_first = |index: &&Index| index.fields.first().is_some_and(|field| *field == paths[0]);
        let is_unique = |index: &Index| index.is_unique && index.fields.len() == 1;
        // Views repeat keys as they like; of a sharded collection each shard tells its own apart.
        let has_own_keys =
            matches!(plan.collection.kind, Kind::Plain | Kind::Unordered) && !server.hello().await?.is_router;
        Ok(Self {
            is_unique: has_own_keys && (paths[0] == ID || indexes.iter().filter(of_first).any(is_unique)),
            is_indexed: paths[0] == ID || indexes.iter().any(|index| of_first(&index)),
            paths,
        })
    }

    /// For what all sources have in common: which values are whose, and where a run may stop. `class` is that of the first field's values.
    pub fn order(&self, class: Option<Class>) -> Order {
        let no_sql = |_: &str| Err(Error::bug("a cursor of MongoDB is no SQL"));
        let column = |path: &String| Column { sql: path.clone(), literal: no_sql, stray: None };
        Order {
            cursor: self.paths.iter().map(column).collect(),
            key: Vec::new(),
            is_exact: self.is_unique,
            // `7` and `7.0` are the same number.
            has_groups: class.is_some_and(|class| class != Class::Number),
            rows: false,
        }
    }

    pub fn sort(&self, direction: i32) -> Document {
        self.paths.iter().map(|path| (path.clone(), Bson::Int32(direction))).collect()
    }

    /// Documents that have values by which they can be ordered.
    pub fn placed(&self) -> Document {
        self.paths.iter().map(|path| (path.clone(), Bson::Document(doc! { "$nin": strays() }))).collect()
    }

    /// Documents that have none in one of the fields.
    pub fn null(&self) -> Document {
        let any: Vec<_> = self.paths.iter().map(|path| doc! { path: { "$in": strays() } }).collect();
        doc! { "$or": any }
    }

    /// Documents behind these values, of which the first fields' are enough; with equal ones where `inclusive`.
    pub fn beyond(&self, values: &[String], inclusive: bool) -> Result<Document> {
        self.compared(values, "$gt", if inclusive { "$gte" } else { "$gt" })
    }

    /// Documents up to these values.
    pub fn up_to(&self, values: &[String]) -> Result<Document> {
        self.compared(values, "$lt", "$lte")
    }

    fn compared(&self, values: &[String], strictly: &str, last: &str) -> Result<Document> {
        let values: Vec<Bson> = values.iter().map(|value| Mark::parse(value)?.bson()).collect::<Result<_>>()?;
        let mut any = Vec::with_capacity(values.len());
        for at in 0..values.len() {
            let how = if at + 1 == values.len() { last } else { strictly };
            let mut condition: Document = self.paths.iter().cloned().zip(values[..at].iter().cloned()).collect();
            condition.insert(self.paths[at].clone(), doc! { how: values[at].clone() });
            any.push(condition);
        }
        match any.len() {
            0 => Ok(Document::new()),
            1 => Ok(any.swap_remove(0)),
            _ => Ok(doc! { "$or": any }),
        }
    }

    /// What a run reads that begins after one place and ends at another.
    pub fn between(&self, after: Option<&After>, upper: &Upper) -> Result<Document> {
        let mut all = Vec::new();
        if let Some(after) = after {
            all.push(self.beyond(&after.cursor, after.inclusive)?);
        }
        all.push(match upper {
            Upper::With(to) => self.up_to(to)?,
            Upper::Before(until) => doc! { &self.paths[0]: { "$lt": Mark::parse(until)?.bson()? } },
        });
        all.extend(self.paths.iter().skip(1).map(|path| doc! { path: { "$ne": null } }));
        Ok(doc! { "$and": all })
    }

    /// The documents of a load that an incremental stream begins with.
    pub fn within(&self, window: &Window) -> Result<Document> {
        let after = window.from.clone().map(|from| After { cursor: vec![from], key: Vec::new(), inclusive: true });
        match (&window.until, &window.to) {
            (Some(until), _) => self.between(after.as_ref(), &Upper::Before(until.clone())),
            (None, Some(to)) => self.between(after.as_ref(), &Upper::With(to.clone())),
            (None, None) => Ok(doc! { ID: { "$in": [] } }),
        }
    }

    /// The values of a document; `None` where one of them is none to go by.
    pub fn marks(&self, document: &[u8]) -> Result<Option<Vec<Mark>>> {
        let mut marks = Vec::with_capacity(self.paths.len());
        for path in &self.paths {
            let Some(value) = at_path(document, path)? else { return Ok(None) };
            if let Value::List(_) = value {
                return Err(Error::data(format!(
                    "the cursor {path} of a document is a list, which has no place in an order"
                ))
                .hint("Leave such documents out with `where`, or follow another field."));
            }
            match Mark::of(&value) {
                Some(mark) => marks.push(mark),
                None => return Ok(None),
            }
        }
        Ok(Some(marks))
    }
}

/// Values that are none to go by, missing fields among them.
fn strays() -> [Bson; 4] {
    [Bson::Null, f64::NAN.into(), f64::INFINITY.into(), f64::NEG_INFINITY.into()]
}

/// The paths of a cursor's fields.
pub fn paths(settings: &Settings) -> Result<Vec<String>> {
    let path = |part: &Expression| match part {
        Expression::Column(path) => Ok(path.clone()),
        Expression::Coalesce(_) => Err(settings
            .section
            .error("cursor", "is not taken here: MongoDB orders documents by their fields, as they are")),
    };
    match settings.cursor.len() {
        1 => settings.cursor.iter().map(path).collect(),
        _ => Err(settings.section.error("cursor", "names several fields, and MongoDB's documents are followed by one")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(paths: &[&str]) -> Ordered {
        Ordered { paths: paths.iter().map(|path| (*path).to_owned()).collect(), is_unique: false, is_indexed: true }
    }

    #[test]
    fn conditions_of_one_field_and_of_several() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let one = ordered(&["n"]);
        assert_eq!(one.beyond(&texts(&["7"]), true).unwrap(), doc! { "n": { "$gte": 7 } });
        assert_eq!(one.up_to(&texts(&["7"])).unwrap(), doc! { "n": { "$lte": 7 } });
        let two = ordered(&["a", "b"]);
        let wanted = doc! { "$or": [{ "a": { "$gt": 1 } }, { "a": 1, "b": { "$gt": 2 } }] };
        assert_eq!(two.beyond(&texts(&["1", "2"]), false).unwrap(), wanted);
        assert_eq!(two.beyond(&texts(&["1"]), true).unwrap(), doc! { "a": { "$gte": 1 } });
        let after = After { cursor: texts(&["1"]), key: Vec::new(), inclusive: false };
        let wanted = doc! { "$and": [{ "a": { "$gt": 1 } }, { "a": { "$lt": 5 } }, { "b": { "$ne": null } }] };
        assert_eq!(two.between(Some(&after), &Upper::Before("5".to_owned())).unwrap(), wanted);
    }
}
