//! Tests against real servers, which `tests/servers/up.sh` starts and names in the environment. Without its server a
//! test fails: none is skipped.

#[cfg(feature = "mysql")]
#[macro_use]
mod my;
#[cfg(feature = "mysql")]
mod mariadb;
#[cfg(feature = "mysql")]
mod mysql;
