//! Documents of replies as events, a batch at a time.

use super::chosen::Chosen;
use super::replies::Reply;
use crate::error::Result;
use crate::record::Event;
use crate::source::BATCH_BYTES;
use crate::source::documents::Documents;
use crate::source::feed::{Outlet, Stop};

/// Bytes of documents that a reply is to have.
const REPLY_BYTES: u64 = 4 << 20;

/// How many documents a reply is to have, where one has so many bytes.
pub fn reply_documents(document_bytes: Option<u64>) -> u32 {
    let many = REPLY_BYTES / document_bytes.unwrap_or(4096).max(1);
    u32::try_from(many).unwrap_or(u32::MAX).clamp(1, 100_000)
}

/// Documents in groups that make a batch each.
pub fn groups<'a, 'd>(documents: &'a [&'d [u8]], most: usize) -> impl Iterator<Item = &'a [&'d [u8]]> {
    let mut rest = documents;
    std::iter::from_fn(move || {
        let (mut count, mut bytes) = (0, 0);
        while count < rest.len().min(most) && (count == 0 || bytes + rest[count].len() <= BATCH_BYTES) {
            bytes += rest[count].len();
            count += 1;
        }
        let (group, left) = rest.split_at(count);
        rest = left;
        (count > 0).then_some(group)
    })
}

/// Sends the rows of a reply; how many documents there were. `chosen` leaves out what the server could not, or was not to.
pub async fn send(
    documents: &mut Documents,
    chosen: Option<&Chosen>,
    reply: &Reply,
    outlet: &Outlet,
) -> Result<u64, Stop> {
    let whole = reply.documents()?;
    let kept = chosen.map(|chosen| whole.iter().map(|document| chosen.of(document)).collect::<Result<Vec<_>>>());
    let kept = kept.transpose()?;
    let slices = match &kept {
        Some(kept) => kept.iter().map(|document| &**document).collect(),
        None => whole,
    };
    for group in groups(&slices, documents.most_rows()) {
        let (rows, beside) = documents.split(group)?;
        outlet.send(Event::Rows(rows)).await?;
        if let Some(rows) = beside {
            outlet.send(Event::Rows(rows)).await?;
        }
    }
    Ok(slices.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_a_document_however_large_it_is() {
        let (small, large) = (vec![0u8; 10], vec![0u8; BATCH_BYTES + 1]);
        let documents: Vec<&[u8]> = vec![&small, &small, &large, &small];
        let sizes: Vec<usize> = groups(&documents, 100).map(<[&[u8]]>::len).collect();
        assert_eq!(sizes, [2, 1, 1]);
        assert_eq!(groups(&documents, 1).count(), 4);
        assert_eq!(groups(&[], 1).count(), 0);
    }
}
