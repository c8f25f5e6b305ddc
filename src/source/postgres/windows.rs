//! A cursor's axis as the server has it, which reckons windows of it.

use async_trait::async_trait;
use tokio_postgres::types::Type as Oid;

use super::connect::{Session, get};
use super::name::literal;
use super::plan::{Plan, Scope};
use super::query::Ordered;
use crate::error::{Kind, Result};
use crate::source::cursor::{Axis, Step, Steps};

pub struct Looked<'a> {
    pub session: &'a Session,
    pub plan: &'a Plan,
    pub ordered: Ordered,
}

impl Looked<'_> {
    /// Whether a value has distances to others: infinities have none.
    async fn is_finite(&self, value: &str) -> Result<bool> {
        let finite = match self.steps() {
            Some(Steps::Times) => format!("pg_catalog.isfinite({}::{})", literal(value), self.ordered.type_oid.name()),
            _ => format!("{}::pg_catalog.text ~ '[0-9]'", literal(value)),
        };
        get(&self.session.query_one(&format!("SELECT {finite} AS is_finite"), &[]).await?, "is_finite")
    }
}

#[async_trait]
impl Axis for Looked<'_> {
    fn name(&self) -> String {
        format!("of type {}", self.ordered.type_oid.name())
    }

    fn steps(&self) -> Option<Steps> {
        match self.ordered.type_oid {
            Oid::TIMESTAMP | Oid::TIMESTAMPTZ | Oid::DATE => Some(Steps::Times),
            Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::NUMERIC => Some(Steps::Numbers),
            _ => None,
        }
    }

    async fn read(&mut self, text: &str) -> Result<Option<String>> {
        let sql = format!("SELECT ({}::{})::pg_catalog.text AS value", literal(text), self.ordered.type_oid.name());
        match self.session.query_one(&sql, &[]).await {
            Ok(row) => get(&row, "value").map(Some),
            Err(error) if matches!(error.kind(), Kind::Unavailable | Kind::Denied) => Err(error),
            Err(_) => Ok(None),
        }
    }

    async fn is_before(&mut self, one: &str, other: &str) -> Result<bool> {
        // As the column compares, whose collation may be its own.
        let first = &self.ordered.order.cursor[0].sql;
        let none = Scope { condition: Some("false".to_owned()), ..Scope::default() };
        let sql = format!(
            "SELECT value < {} AS is_before FROM (SELECT {first} AS value {} UNION ALL SELECT {}::{}) AS one",
            literal(other),
            self.plan.tail(&none),
            literal(one),
            self.ordered.type_oid.name(),
        );
        get(&self.session.query_one(&sql, &[]).await?, "is_before")
    }

    async fn lowest(&mut self) -> Result<Option<String>> {
        let first = &self.ordered.order.cursor[0];
        let scope =
            Scope { condition: Some(first.is_placed()), order: vec![first.sql.clone()], marks: Vec::new(), most: None };
        let sql = format!("SELECT ({})::pg_catalog.text AS value {} LIMIT 1", first.sql, self.plan.tail(&scope));
        self.session.query(&sql, &[]).await?.first().map(|row| get(row, "value")).transpose()
    }

    async fn borders(&mut self, from: &str, end: &str, step: &Step, most: usize) -> Result<Option<Vec<String>>> {
        if !self.is_finite(from).await? || !self.is_finite(end).await? {
            return Ok(None);
        }
        let (from, end, name) = (literal(from), literal(end), self.ordered.type_oid.name());
        let series = match step {
            Step::Time(time) => {
                let step = format!("interval '{} microseconds'", time.as_micros());
                // Days are reckoned as times without a zone.
                let kind = if self.ordered.type_oid == Oid::DATE { "timestamp" } else { name };
                format!("pg_catalog.generate_series({from}::{kind} + {step}, {end}::{kind}, {step})")
            }
            Step::Number(step) => {
                format!("pg_catalog.generate_series({from}::numeric + {step}, {end}::numeric, {step}::numeric)")
            }
        };
        // Selected rather than selected from: so it is not made to its end.
        let sql = format!(
            "SELECT DISTINCT border::{name} AS value, (border::{name})::pg_catalog.text AS shown \
             FROM (SELECT {series} AS border LIMIT {most}) AS all_borders \
             WHERE border::{name} > {from}::{name} AND border::{name} < {end}::{name} ORDER BY 1"
        );
        self.session.query(&sql, &[]).await?.iter().map(|row| get(row, "shown")).collect::<Result<_>>().map(Some)
    }
}
