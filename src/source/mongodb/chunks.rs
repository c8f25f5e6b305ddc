//! Chunks of a full load: ranges of `_id`, whatever types its values have.

use mongodb::bson::doc;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::connect::Server;
use super::id::{self, ID};
use super::plan::Plan;
use super::replies::Replies;
use super::seed::Seed;
use crate::config::Section;
use crate::error::Result;
use crate::record::Range;
use crate::source::cursor::{Handover, Window};
use crate::source::keyset::lost;
use crate::source::{Chunks, Consistency, Selection};

/// A chunk: what its [`Range`] holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// Documents from this `_id` on, in canonical Extended JSON,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// and before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Tells the collection from another one that takes its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// Of an incremental stream's load: only the documents with such a cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Window>,
}

impl Span {
    /// Reads what [`Span::range`] gave; all where there is none.
    pub fn of(range: Option<&Range>) -> Result<Self> {
        let Some(range) = range else { return Ok(Self::default()) };
        serde_json::from_value(range.as_value().clone()).map_err(|_| lost("its chunks are not of this source"))
    }

    /// The chunk of a load that an incremental stream begins with; `None` where the range is a window of the cursor.
    pub fn of_handover(range: &Range) -> Option<Self> {
        serde_json::from_value::<Self>(range.as_value().clone()).ok().filter(|span| span.cursor.is_some())
    }

    /// The pieces of such a load, of a collection that is cut so otherwise.
    pub fn handed(chunks: &Chunks, handover: &Handover) -> Result<Chunks> {
        let whole = [None];
        let ranges: Vec<_> = chunks.ranges.iter().map(Some).collect();
        let ranges = if ranges.is_empty() { &whole[..] } else { &ranges };
        let handed =
            |range: &Option<&Range>| Ok(Self { cursor: Some(handover.window.clone()), ..Self::of(*range)? }.range());
        let ranges = ranges.iter().map(handed).collect::<Result<_>>()?;
        Ok(Chunks { ranges, handover: Some(handover.place.clone()), ..Chunks::whole(Consistency::Chunk) })
    }

    pub fn range(&self) -> Range {
        Range::new(json!(self))
    }

    /// Refuses another collection than the one whose chunk it is.
    pub fn check(&self, plan: &Plan) -> Result<()> {
        match (&self.collection, &plan.collection.uuid) {
            (Some(then), Some(now)) if then != now => Err(lost("another collection has its name now")),
            _ => Ok(()),
        }
    }
}

/// How many of a sample's documents a chunk has, so that none is much larger than others.
const SAMPLES: u64 = 20;
/// A sample of more than a twentieth of a collection is a sort of all of it, at the server.
const SHARE: u64 = 25;
const MOST_SAMPLES: u64 = 20_000;

/// The chunks of a collection; none where it is read at once. What the documents are like that bounds are taken from is added to
/// what is known.
pub async fn spans(server: &Server, plan: &Plan, selection: &Selection, seed: &mut Seed) -> Result<Vec<Span>> {
    let Some(documents) = seed.documents.filter(|_| plan.has_ranges()) else { return Ok(Vec::new()) };
    let rows = selection.cut.rows_of(seed.document_bytes);
    let chunks = documents / rows;
    if chunks < 2 {
        return Ok(Vec::new());
    }
    let sample = (chunks * SAMPLES).min(documents / SHARE).clamp(1, MOST_SAMPLES);
    let keys = sampled(server, plan, sample, seed).await?;
    let bounds = cut(&keys, chunks);
    let collection = plan.collection.uuid.clone();
    let mut spans = Vec::with_capacity(bounds.len() + 1);
    let mut from = None;
    for until in bounds {
        spans.push(Span {
            from: from.replace(until.clone()),
            until: Some(until),
            collection: collection.clone(),
            cursor: None,
        });
    }
    spans.push(Span { from, until: None, collection, cursor: None });
    Ok(spans)
}

/// Samples of not more bytes than this are of whole documents.
const WHOLE: u64 = 8 << 20;

/// Keys of documents that were picked at random, ascending.
async fn sampled(server: &Server, plan: &Plan, size: u64, seed: &mut Seed) -> Result<Vec<String>> {
    let is_whole = plan.chosen.is_all()
        && !plan.is_filtered()
        && size.saturating_mul(seed.document_bytes.unwrap_or(WHOLE)) <= WHOLE;
    let sample = doc! { "$sample": { "size": i64::try_from(size).unwrap_or(i64::MAX) } };
    let keys_alone = (!is_whole).then(|| doc! { "$project": { ID: 1 } });
    let pipeline: Vec<_> = [sample].into_iter().chain(keys_alone).chain([doc! { "$sort": { ID: 1 } }]).collect();
    let command = doc! { "aggregate": &plan.collection.name, "pipeline": pipeline, "cursor": {}, "allowDiskUse": true };
    let mut replies = Replies::of(server.cursor(command, 0, None).await?);
    let (mut keys, mut known) = (Vec::new(), plan.documents(&seed.known)?);
    while let Some(reply) = replies.next(&server.settings).await? {
        let documents = reply.documents()?;
        for document in &documents {
            keys.push(id::text(document)?);
        }
        if is_whole {
            known.observe(documents)?;
        }
    }
    seed.known = known.state()?;
    Ok(keys)
}

/// The bounds between so many chunks of about as many keys each.
fn cut(keys: &[String], chunks: u64) -> Vec<String> {
    let chunks = usize::try_from(chunks).unwrap_or(usize::MAX).min(keys.len());
    let mut bounds: Vec<String> =
        (1..chunks).filter_map(|chunk| keys.get(chunk * keys.len() / chunks).cloned()).collect();
    bounds.dedup();
    bounds
}

/// Refuses to read a load of one moment, which the server keeps for minutes only.
pub fn check_consistency(section: &Section) -> Result<()> {
    match section.get("consistency") {
        Some("table" | "run") => Err(section
            .error("consistency", "asks for one moment: MongoDB keeps what it was at a moment for some minutes only")
            .hint("`mode = cdc` reads the collection and what changes meanwhile, which together are of one moment.")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_spread_over_the_keys_and_never_the_same() {
        let keys: Vec<String> = (0..100).map(|n| format!("{n:03}")).collect();
        assert_eq!(cut(&keys, 4), ["025", "050", "075"]);
        assert_eq!(cut(&keys[..2], 4), ["001"]);
        assert_eq!(cut(&[], 4), Vec::<String>::new());
        let same = vec!["a".to_owned(); 9];
        assert_eq!(cut(&same, 3), ["a"]);
    }

    #[test]
    fn comes_back_from_its_range() {
        let span = Span { from: Some("7".to_owned()), collection: Some("u".to_owned()), ..Span::default() };
        assert_eq!(Span::of(Some(&span.range())).unwrap(), span);
        assert_eq!(Span::of(None).unwrap(), Span::default());
        assert!(Span::of(Some(&Range::new(json!({ "columns": ["id"] })))).is_err());
    }
}
