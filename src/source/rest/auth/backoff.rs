//! Pauses between tries to get a token.

use std::time::Duration;

use uuid::Uuid;

const TRIES: u32 = 5;
const FIRST: Duration = Duration::from_millis(500);
/// However long a server asks to be left alone.
const LONGEST: Duration = Duration::from_secs(60);

/// Each twice as long as the one before, and by chance up to half of that shorter, so that many do not come back at once.
#[derive(Debug, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    /// Waits for the next try, or says `false` where there have been enough. `asked` is what the server said.
    pub async fn pause(&mut self, asked: Option<Duration>) -> bool {
        self.tries += 1;
        if self.tries >= TRIES {
            return false;
        }
        let (_, random) = Uuid::now_v7().as_u64_pair();
        let chance = f64::from(random as u32) / f64::from(u32::MAX);
        let time = (FIRST * 2_u32.pow(self.tries - 1)).mul_f64(0.5 + chance / 2.0);
        tokio::time::sleep(time.max(asked.unwrap_or_default()).min(LONGEST)).await;
        true
    }
}
