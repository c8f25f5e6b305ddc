//! What is in the bucket: objects, unfinished uploads, and the end of both.

use std::sync::atomic::Ordering;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::Shared;
use super::error::{Needs, Request, classify, code, status};
use crate::error::{Error, Result};

/// What one DeleteObjects takes.
const DELETED_AT_ONCE: usize = 1000;
const SINGLE_DELETES_AT_ONCE: usize = 8;

impl Shared {
    pub async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>> {
        let start = self.settings.prefix.start(prefix);
        let request = Request { name: "ListObjectsV2", needs: Needs::OnBucket("s3:ListBucket"), object: &start };
        let from = after.map(|after| match self.settings.endpoint {
            None => after.to_owned(),
            Some(_) => surely_before(prefix, after),
        });
        let pages = self.client().await?.list_objects_v2().bucket(&self.settings.bucket).prefix(&start);
        let mut pages =
            pages.set_start_after(from.map(|from| self.settings.prefix.start(&from))).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| classify(&e, request, &self.settings))?;
            let names = page.contents().iter().filter_map(|object| object.key());
            let found = names.filter_map(|name| self.settings.prefix.key(name));
            keys.extend(
                found
                    .filter(|key| key.starts_with(prefix) && after.is_none_or(|after| *key > after))
                    .map(str::to_owned),
            );
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    pub async fn delete(&self, names: &[String]) -> Result<()> {
        let client = self.client().await?;
        for names in names.chunks(DELETED_AT_ONCE) {
            let left = match names {
                [_] => names.to_vec(),
                _ if self.deletes_singly.load(Ordering::Relaxed) => names.to_vec(),
                _ => self.delete_at_once(client, names).await?,
            };
            let deletes = stream::iter(left).map(|name| self.delete_one(client, name));
            let () = deletes.buffer_unordered(SINGLE_DELETES_AT_ONCE).try_collect().await?;
        }
        Ok(())
    }

    /// Deletes up to 1,000 objects; answers with those that are still to be deleted, one by one: so that what stands
    /// in the way of each is told like any other error.
    async fn delete_at_once(&self, client: &Client, names: &[String]) -> Result<Vec<String>> {
        let identify = |name: &String| ObjectIdentifier::builder().key(name).build();
        let objects =
            names.iter().map(identify).collect::<Result<Vec<_>, _>>().map_err(|e| Error::bug(e.to_string()))?;
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
        let delete = delete.map_err(|e| Error::bug(e.to_string()))?;
        match client.delete_objects().bucket(&self.settings.bucket).delete(delete).send().await {
            Ok(answer) => {
                let failed = answer.errors().iter().filter(|error| error.code() != Some("NoSuchKey"));
                Ok(failed.filter_map(|error| error.key()).map(str::to_owned).collect())
            }
            // Some services lack it, and some want a checksum that is not Amazon's any more.
            Err(e) if matches!(status(&e), Some(400 | 405 | 411 | 415 | 501)) => {
                self.deletes_singly.store(true, Ordering::Relaxed);
                Ok(names.to_vec())
            }
            Err(e) => {
                let object = names.first().map_or("", String::as_str);
                let needs = Needs::OnObjects("s3:DeleteObject");
                Err(classify(&e, Request { name: "DeleteObjects", needs, object }, &self.settings))
            }
        }
    }

    async fn delete_one(&self, client: &Client, name: String) -> Result<()> {
        let request = Request { name: "DeleteObject", needs: Needs::OnObjects("s3:DeleteObject"), object: &name };
        match client.delete_object().bucket(&self.settings.bucket).key(&name).send().await {
            Ok(_) => Ok(()),
            Err(e) if code(&e) == Some("NoSuchKey") => Ok(()),
            Err(e) => Err(classify(&e, request, &self.settings)),
        }
    }

    /// Unfinished multipart uploads of keys that start with `prefix`: key, name in the bucket and id.
    pub async fn unfinished(&self, prefix: &str) -> Result<Vec<(String, String, String)>> {
        let client = self.client().await?;
        let start = self.settings.prefix.start(prefix);
        let needs = Needs::OnBucket("s3:ListBucketMultipartUploads");
        let request = Request { name: "ListMultipartUploads", needs, object: &start };
        let (mut found, mut key_marker, mut id_marker) = (Vec::new(), None, None);
        loop {
            let page = client.list_multipart_uploads().bucket(&self.settings.bucket).prefix(&start);
            let page = match page.set_key_marker(key_marker).set_upload_id_marker(id_marker).send().await {
                Ok(page) => page,
                Err(e) if matches!(status(&e), Some(405 | 501)) => {
                    tracing::warn!(
                        bucket = self.settings.bucket,
                        "the service does not list unfinished uploads: they stay until it ends them itself"
                    );
                    return Ok(found);
                }
                Err(e) => return Err(classify(&e, request, &self.settings)),
            };
            for upload in page.uploads() {
                let (Some(name), Some(id)) = (upload.key(), upload.upload_id()) else { continue };
                // A service may take the prefix for a hint.
                let key = self.settings.prefix.key(name).filter(|key| key.starts_with(prefix));
                found.extend(key.map(|key| (key.to_owned(), name.to_owned(), id.to_owned())));
            }
            key_marker = page.next_key_marker().filter(|marker| !marker.is_empty()).map(str::to_owned);
            id_marker = page.next_upload_id_marker().filter(|marker| !marker.is_empty()).map(str::to_owned);
            if page.is_truncated() != Some(true) || key_marker.is_none() {
                return Ok(found);
            }
        }
    }

    /// Ends an unfinished multipart upload; one that is gone is no error.
    pub async fn end(&self, name: &str, id: &str) -> Result<()> {
        let needs = Needs::OnObjects("s3:AbortMultipartUpload");
        let request = Request { name: "AbortMultipartUpload", needs, object: name };
        let abort = self.client().await?.abort_multipart_upload().bucket(&self.settings.bucket);
        match abort.key(name).upload_id(id).send().await {
            Ok(_) => Ok(()),
            Err(e) if status(&e) == Some(404) && code(&e) != Some("NoSuchBucket") => Ok(()),
            Err(e) => Err(classify(&e, request, &self.settings)),
        }
    }
}

/// From where to list at a service that is not Amazon's, so that nothing greater than `after` is missed.
///
/// Services that keep folders (SeaweedFS, say) list `a/x` before `a-b`, though its bytes come after it, so that a listing
/// from `a-b` on lacks it; and from `a` on they skip all of the folder `a`. The two orders differ only at characters
/// below `/`: `after` is cut before the first of these, and ends a little lower, on no folder's name.
fn surely_before(prefix: &str, after: &str) -> String {
    let shared = prefix.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
    let lower = after.bytes().skip(shared).position(|byte| byte < b'/');
    let mut from = after[..lower.map_or(after.len(), |at| shared + at)].to_owned();
    if let Some(last) = from.pop() {
        match last {
            '/' => from.push('/'),
            // Below `\u{e000}` there are no characters for a while.
            last => from.extend(char::from_u32(u32::from(last) - 1)),
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use super::surely_before;

    #[test]
    fn a_listing_starts_where_both_orders_agree() {
        for (prefix, after, from) in [
            ("_commits/s/", "_commits/s/00000000000000000042.json", "_commits/s/00000000000000000041"),
            ("_commits/s/", "_commits/s/00000000000000000040.json", "_commits/s/0000000000000000004/"),
            ("l/", "l/a-b", "l/`"),
            ("l/a", "l/a-b", "l/`"),
            ("l/", "l/a/", "l/a/"),
            ("l/a/", "l/a/y", "l/a/x"),
            ("l-1/", "l-1/b", "l-1/a"),
            ("l/", "l/\u{e000}", "l/"),
            ("", "-", ""),
        ] {
            assert_eq!(surely_before(prefix, after), from);
            assert!(from <= after);
        }
    }
}
