//! Bodies that are made once, so that a benchmark measures its client.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;

use bytes::Bytes;

/// The bodies that were made, up to a number of bytes. Those that come later are made each time.
pub struct Kept<K>(Mutex<(usize, HashMap<K, Bytes>)>);

impl<K> Default for Kept<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Kept<K> {
    /// The body of this key; `most` is how many bytes are kept in all.
    pub fn get(&self, most: usize, key: K, make: impl FnOnce() -> Bytes) -> Bytes {
        if let Some(body) = self.0.lock().unwrap().1.get(&key) {
            return body.clone();
        }
        let body = make();
        let mut kept = self.0.lock().unwrap();
        if kept.0 + body.len() <= most {
            kept.0 += body.len();
            kept.1.insert(key, body.clone());
        }
        body
    }
}
