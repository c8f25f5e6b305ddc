//! The parts of a request that have places for values of a parent.

use url::Url;

use super::Children;
use super::template::{For, Template};
use crate::config::Section;
use crate::error::{Error, Result};
use crate::source::rest::endpoint;
use crate::source::rest::request::Request;

/// How requests are filled for each parent.
#[derive(Debug, Clone, Default)]
pub struct Templates {
    path: Option<(Url, Template)>,
    query: bool,
    body: Option<For>,
}

impl Templates {
    /// Refuses places in braces where there is no parent, and a parent that nothing asks for.
    pub fn of(section: &Section, (base, path): (&Url, &str), children: Option<&Children>) -> Result<Self> {
        let names = children.map(Children::names).unwrap_or_default();
        let template = |key: &str, text: &str| {
            Template::of(text, &names).map_err(|problem| {
                section.error(key, problem).hint("`for_each = STREAM.FIELD` names what stands in braces.")
            })
        };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path = template("query", path)?.map(|of| (base.clone(), of));
        let mut has_query = template("query", query)?.is_some();
        for (name, text) in section.members("param.") {
            has_query |= template(&format!("param.{name}"), text)?.is_some();
        }
        let body = endpoint::body(section).unwrap_or_default();
        let is_json = body.is_empty() || body.trim_start().starts_with(['{', '[']);
        let has_body = template("body", body)?.is_some();
        if let Some(name) = names.first().filter(|_| path.is_none() && !has_query && !has_body) {
            return Err(section
                .error("for_each", "is of no use: nothing that is asked for has a value of it")
                .hint(format!("Write `{{{name}}}` in `path`, in a `param.NAME` or in `body`.")));
        }
        let body = (has_body || has_query).then_some(if is_json { For::Json } else { For::Form });
        Ok(Self { path, query: has_query, body })
    }

    /// Has a request ask for what a parent has.
    pub fn fill(&self, request: &mut Request, values: &[(String, &str)]) -> Result<()> {
        if let Some((base, path)) = &self.path {
            let path = path.fill(values, For::Path)?;
            request.url = endpoint::at(base, &path).map_err(|problem| Error::data(format!("a path {problem}")))?;
        }
        if self.query {
            for (_, text) in &mut request.query {
                *text = Template::any(text).fill(values, For::Param)?;
            }
        }
        if let (Some(of), Some(body)) = (self.body, &request.body) {
            let text = String::from_utf8_lossy(body);
            request.body = Some(Template::any(&text).fill(values, of)?.into());
        }
        Ok(())
    }
}
