//! One connection, request after request.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::super::state::{Answer, State};
use super::deliver::silence;
use super::{End, Host, Request};

/// Takes connections for as long as it is polled.
pub async fn serve(listener: TcpListener, to: Host, state: Arc<State>) {
    loop {
        match listener.accept().await {
            // A client that is gone is its own concern.
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, to, Arc::clone(&state)))),
            // Out of file descriptors, say: some are free again in a while.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(mut stream: TcpStream, to: Host, state: Arc<State>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    state.counts().connections += 1;
    let mut buffer = Vec::new();
    while let Some(request) = Request::read(&mut stream, &mut buffer, to).await? {
        let under_way = state.enter(&request);
        match state.answer(&request) {
            Answer::Silence(most) => {
                silence(&mut stream, most).await;
                return Ok(());
            }
            Answer::Reply { reply, delivery, is_good } => {
                let is_good = is_good && (200..300).contains(&reply.status);
                let last = || {
                    if is_good {
                        state.served(&request);
                    }
                    drop(under_way);
                };
                let end = delivery.send(&mut stream, reply, last).await?;
                match end {
                    End::Open if request.header("connection") != Some("close") => {}
                    End::Open | End::Closed => return stream.shutdown().await,
                    End::Reset => return stream.set_zero_linger(),
                }
            }
        }
    }
    Ok(())
}
