use std::time::SystemTime;

use jiff::Timestamp;

/// `Thu, 01 Jan 2026 00:00:00 GMT`
pub fn http_date(at: SystemTime) -> String {
    Timestamp::try_from(at).unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
