//! Trying a call again that went wrong.

use super::{Codec, Outgoing};
use crate::node::{
    error::CallError,
    event::Event,
    retry::{Retry, may_retry},
};

impl Outgoing {
    pub(super) async fn retried<T, E>(
        &self,
        result: Result<T, CallError<E>>,
        codec: Codec<T, E>,
    ) -> Result<T, CallError<E>> {
        match (result, self.request.retry) {
            // Few calls come here, and all would carry the room that it takes.
            (Err(error), Some(retry)) => Box::pin(self.try_again(error, retry, codec)).await,
            (result, _) => result,
        }
    }

    async fn try_again<T, E>(
        &self,
        mut error: CallError<E>,
        retry: Retry,
        codec: Codec<T, E>,
    ) -> Result<T, CallError<E>> {
        let mut pauses = retry.schedule();
        let mut attempt = 1;
        loop {
            let failed = match error {
                CallError::App(error) => return Err(CallError::App(error)),
                error => error.map_app(|_| CallError::Cancelled),
            };
            let idempotent = self.request.stub.is_some_and(|stub| stub.idempotent);
            let Some(pause) = pauses.next().filter(|_| may_retry(&failed, idempotent)) else {
                return Err(failed.widen());
            };
            attempt += 1;
            self.span.note(
                || tracing::info!(callback = %self.request.callback, attempt, error = %failed, ?pause, "a call is tried again"),
            );
            self.node.announce(Event::Retried {
                callback: self.request.callback.clone().into_owned(),
                attempt,
                error: failed.to_string(),
            });
            let timer = {
                let _runtime = self.node.runtimes.io.enter();
                tokio::time::sleep(pause)
            };
            if self.within(timer).await.is_err() {
                // What went wrong says more than that there is no time left to try it again.
                return Err(failed.widen());
            }
            let result = match self.send_one().await {
                Ok(mut sent) => self.result(&mut sent, codec).await,
                Err(error) => Err(error.widen()),
            };
            error = match result {
                Err(error) => error,
                Ok(value) => return Ok(value),
            };
        }
    }
}
