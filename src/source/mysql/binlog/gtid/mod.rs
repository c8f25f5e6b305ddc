//! Global transaction ids: MySQL's, of a source's UUID and a number, and MariaDB's, of a domain, a server and a number.

pub mod event;
pub mod mariadb;
pub mod mysql;
