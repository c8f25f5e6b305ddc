//! HTTP/1.1 on a socket, with the liberty to do it wrong.

mod connection;
mod date;
mod deliver;
mod encode;
mod reply;
mod request;

pub use self::connection::serve;
pub use self::date::http_date;
pub use self::deliver::{Delivery, End, Framing};
pub use self::encode::{Encoded, Encoding, choose};
pub use self::reply::{Body, Reply};
pub use self::request::{Host, Request};
