use std::path::Path;

use super::Console;
use crate::error::{Error, Result};

/// Makes and runs the demo in a folder; the exit code.
pub async fn command(_console: &Console, _dir: &Path) -> Result<u8> {
    Err(Error::bug("there is no demo yet"))
}
