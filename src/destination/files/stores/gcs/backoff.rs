use std::time::Duration;

use uuid::Uuid;

use crate::error::{Error, Result};

const TRIES: u32 = 6;
const FIRST: Duration = Duration::from_millis(250);
/// However long a server asks to be left alone.
const LONGEST: Duration = Duration::from_secs(32);

/// Waits between tries: twice as long each time, and by chance up to half of that shorter, so that many clients do not
/// come back at once.
#[derive(Debug, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    /// Waits for the next try; where there have been enough, hands the error on. `asked` is what the server said.
    pub async fn pause(&mut self, error: Error, asked: Option<Duration>) -> Result<()> {
        self.tries += 1;
        if self.tries >= TRIES {
            return Err(error);
        }
        tracing::debug!(%error, tries = self.tries, "trying again");
        let full = FIRST * 2_u32.pow(self.tries - 1);
        let time = full.mul_f64(0.5 + chance() / 2.0);
        tokio::time::sleep(time.max(asked.unwrap_or_default()).min(LONGEST)).await;
        Ok(())
    }

    /// Something went well: what fails next has all its tries again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

/// From 0 to 1.
fn chance() -> f64 {
    let (_, random) = Uuid::now_v7().as_u64_pair();
    f64::from(random as u32) / f64::from(u32::MAX)
}
