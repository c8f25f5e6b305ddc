//! What becomes of the columns of one table.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, FieldRef, Schema};

use super::columns::Fate;
use crate::config::nearest;
use crate::error::{Error, Result};
use crate::record::{Mode, Rows, Table, change, field};
use crate::source::masking::{How, Masks, Rule};

/// A table whose columns are masked.
#[derive(Debug, Clone)]
pub struct Masked {
    /// As it is written.
    pub table: Arc<Table>,
    /// Of the columns as they are read.
    fates: Vec<Fate>,
    /// The names of columns that are not written.
    dropped: Vec<String>,
    /// The columns that list names of columns, by their places as they are read.
    lists: Vec<usize>,
    /// Of each mask, whether it names a column.
    pub met: Vec<bool>,
}

impl Masked {
    /// Refuses a table of which the masks cannot be put on all that they name, or whose values would come past them.
    pub fn of(masks: &Masks, read: &Table, mode: Mode) -> Result<Self> {
        let place = |error: Error| error.at(format!("table {}", read.name));
        masks.refuse("the table's key", read.key.iter().map(String::as_str)).map_err(place)?;
        let mut planner = Planner { masks, is_found: read.is_found(), met: vec![false; masks.rules.len()] };
        let all: Vec<_> = masks.rules.iter().enumerate().map(|(at, rule)| (at, rule.name.as_str())).collect();
        let planned = read.schema.fields().iter().map(|field| planner.column(field, &all));
        let planned: Vec<_> = planned.collect::<Result<_>>().map_err(place)?;
        let met = planner.met;
        refuse_absent(masks, read, &met)?;
        refuse_carriers(masks, read, &planned)?;
        let dropped = read.schema.fields().iter().zip(&planned).filter(|(_, (_, field))| field.is_none());
        let dropped: Vec<_> = dropped.map(|(field, _)| field.name().clone()).collect();
        let (fates, fields): (Vec<_>, Vec<_>) = planned.into_iter().unzip();
        let fields: Vec<FieldRef> = fields.into_iter().flatten().collect();
        if fields.is_empty() && !read.is_found() {
            return Err(masks.error(&masks.rules[0], format!("and others leave no column of {}", read.name)));
        }
        let schema = Schema::new_with_metadata(fields, read.schema.metadata().clone());
        let table = Arc::new(Table::new(read.name.clone(), Arc::new(schema), read.key.clone()));
        let names = |field: &FieldRef| [change::UNCHANGED, change::FILLED].contains(&field.name().as_str());
        let lists = match mode {
            Mode::Cdc => (0..fates.len()).filter(|at| names(&read.schema.fields()[*at])).collect(),
            _ => Vec::new(),
        };
        Ok(Self { table, fates, dropped, lists, met })
    }

    /// Rows of the table as it is read, masked.
    pub fn rows(&self, masks: &Masks, batch: &RecordBatch) -> Result<Rows> {
        let read = batch.schema_ref().fields();
        if read.len() != self.fates.len() {
            return Err(Error::bug(format!("table {}: a batch of other columns than the table's", self.table.name)));
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.fates.len());
        let mut written = self.table.schema.fields().iter();
        for (at, (fate, column)) in self.fates.iter().zip(batch.columns()).enumerate() {
            if *fate == Fate::Drop {
                continue;
            }
            let masked = written.next().ok_or_else(|| Error::bug("a masked table lacks a column"))?;
            let column = match self.lists.contains(&at) && !self.dropped.is_empty() {
                true => self.without_dropped(column),
                false => column.clone(),
            };
            columns.extend(
                fate.of(&column, &read[at], masked, masks).map_err(|e| e.at(format!("table {}", self.table.name)))?,
            );
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(self.table.schema.clone(), columns, &options)
            .map_err(|e| Error::bug(format!("table {}: {e}", self.table.name)))?;
        Ok(Rows { table: self.table.clone(), batch })
    }

    /// Names of columns, row by row, without those of columns that are not there.
    fn without_dropped(&self, column: &ArrayRef) -> ArrayRef {
        let Some(lists) = column.as_list_opt::<i32>() else { return column.clone() };
        Arc::new(without(lists, &self.dropped))
    }
}

fn without(lists: &ListArray, dropped: &[String]) -> ListArray {
    let DataType::List(item) = lists.data_type() else { return lists.clone() };
    let mut kept = ListBuilder::new(StringBuilder::new()).with_field(item.clone());
    for row in 0..lists.len() {
        let names = lists.is_valid(row).then(|| lists.value(row));
        let mut is_any = false;
        for name in names.as_ref().map(|names| names.as_string::<i32>()).into_iter().flatten().flatten() {
            if !dropped.iter().any(|dropped| dropped == name) {
                kept.values().append_value(name);
                is_any = true;
            }
        }
        kept.append(is_any);
    }
    kept.finish()
}

/// A mask that names no column of a table whose columns are known is likely misspelt, and then what it was to mask is not.
fn refuse_absent(masks: &Masks, read: &Table, met: &[bool]) -> Result<()> {
    if read.is_found() {
        return Ok(());
    }
    // In other letters it is hardly meant to be absent.
    let is_near =
        |rule: &Rule| read.schema.fields().iter().any(|field| field.name().to_lowercase() == rule.name.to_lowercase());
    let absent = |(rule, met): &(&Rule, &bool)| !**met && (!rule.if_present || is_near(rule));
    let Some((rule, _)) = masks.rules.iter().zip(met).find(absent) else { return Ok(()) };
    let meant = nearest(&rule.name, read.schema.fields().iter().map(|field| field.name().as_str()));
    let meant = meant.map(|name| format!(" (did you mean `mask.{name}`?)")).unwrap_or_default();
    Err(masks.error(rule, format!("names no column of {}{meant}", read.name)).hint(
        "Name a column as `tidemark check` shows it, or set `if present` behind the mask where some tables lack it.",
    ))
}

/// Refuses a column with parts of rows in it that no mask can find there.
fn refuse_carriers(masks: &Masks, read: &Table, planned: &[Planned]) -> Result<()> {
    let carries = |(field, (fate, _)): &(&FieldRef, &Planned)| field::has_others(field) && *fate == Fate::Keep;
    match read.schema.fields().iter().zip(planned).find(carries) {
        Some((field, _)) => {
            let name = field.name();
            Err(masks
                .error(
                    &masks.rules[0],
                    format!(
                        "does not reach what is in {name} of {}: whatever has no column of its own, or all",
                        read.name
                    ),
                )
                .hint(format!("Mask {name} too, as a whole: `mask.{name} = drop`; or have no such column.")))
        }
        None => Ok(()),
    }
}

/// What becomes of a column, and the column as it is written, where it is.
type Planned = (Fate, Option<FieldRef>);

/// Masks by their numbers, each with what of its name lies at the column in question or within it.
type Paths<'a> = [(usize, &'a str)];

struct Planner<'a> {
    masks: &'a Masks,
    is_found: bool,
    met: Vec<bool>,
}

impl Planner<'_> {
    /// A name with dots may be a column's own or a way into one: it is taken for whatever is there, for both where both are.
    fn column(&mut self, field: &FieldRef, paths: &Paths<'_>) -> Result<Planned> {
        let inner = |path: &str| -> Option<usize> {
            let rest = path.strip_prefix(field.name().as_str())?.strip_prefix('.')?;
            Some(path.len() - rest.len())
        };
        let within: Vec<_> = paths.iter().filter_map(|(at, path)| Some((*at, &path[inner(path)?..]))).collect();
        let own = paths.iter().find(|(_, path)| path == field.name());
        if let Some((at, _)) = own {
            // What lies within is masked with it.
            within.iter().for_each(|(inner, _)| self.met[*inner] = true);
            self.met[*at] = true;
            return self.whole(field, *at);
        }
        if within.is_empty() {
            return Ok((Fate::Keep, Some(field.clone())));
        }
        self.parts(field, &within)
    }

    fn whole(&self, field: &FieldRef, at: usize) -> Result<Planned> {
        let rule = &self.masks.rules[at];
        let is_text = *field.data_type() == DataType::Utf8 && !field::is_json(field);
        let (fate, how) = match rule.how {
            How::Drop => return Ok((Fate::Drop, None)),
            How::Hash => {
                let key = self.masks.key_id().unwrap_or_default();
                (Fate::Hash, format!("hash, key {key}"))
            }
            How::Redact => (Fate::Redact, "redact".to_owned()),
            How::Truncate(most) if is_text => (Fate::Truncate(most), format!("truncate({most})")),
            How::Truncate(_) => {
                return Err(self
                    .masks
                    .error(rule, format!("truncates a text, and {} is none", field.name()))
                    .hint("`hash`, `redact` and `drop` mask values of any type."));
            }
        };
        Ok((fate, Some(field::masked(field, &how).into())))
    }

    /// A column in which fields are masked.
    fn parts(&mut self, field: &FieldRef, within: &Paths<'_>) -> Result<Planned> {
        match field.data_type() {
            DataType::Struct(fields) => {
                let planned = fields.iter().map(|inner| self.column(inner, within)).collect::<Result<Vec<_>>>()?;
                let (fates, written): (Vec<_>, Vec<_>) = planned.into_iter().unzip();
                let written: Vec<FieldRef> = written.into_iter().flatten().collect();
                if written.is_empty() && !fields.is_empty() {
                    // No format has records without fields.
                    return Ok((Fate::Drop, None));
                }
                let data_type = DataType::Struct(written.into());
                Ok((Fate::Fields(fates), Some(Arc::new(Field::clone(field).with_data_type(data_type)))))
            }
            DataType::List(item) => Ok(match self.parts(item, within)? {
                (fate, Some(item)) => {
                    let data_type = DataType::List(item);
                    (Fate::Items(fate.into()), Some(Arc::new(Field::clone(field).with_data_type(data_type))))
                }
                (_, None) => (Fate::Drop, None),
            }),
            // A column that has been named and in which nothing was found so far.
            DataType::Utf8 if self.is_found && field::native(field).is_none() && !field::is_json(field) => {
                Ok((Fate::Empty, Some(field.clone())))
            }
            // Where columns are found, records that stand beside other values are within a text.
            DataType::Utf8 if self.is_found || field::is_json(field) => {
                let (rule, name) = (&self.masks.rules[within[0].0], field.name());
                Err(self
                    .masks
                    .error(rule, format!("cannot reach into {name}, which is text"))
                    .hint(format!("Mask it as a whole: `mask.{name} = hash`.")))
            }
            _ => Ok((Fate::Keep, Some(field.clone()))),
        }
    }
}
