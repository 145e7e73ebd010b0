//! The tasks that live as long as the service, or until they are dismissed.

use std::collections::BTreeMap;

use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::io::pulse::{Pulse, Pulses};

/// Everybody at work, by name. A task that ends and was not dismissed is a
/// fault.
#[derive(Default)]
pub(super) struct Crew {
    tasks: JoinSet<()>,
    names: BTreeMap<Id, String>,
    pub(super) pulses: Pulses,
}

/// One at work who can be dismissed.
pub(super) struct Member {
    id: Id,
    stop: CancellationToken,
    gone: CancellationToken,
    /// Watched, if it is at work all the time.
    pulse: Option<Pulse>,
}

impl Crew {
    /// Sets a task to work.
    pub(super) fn spawn(
        &mut self,
        name: String,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Id {
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
        id
    }

    /// Sets a task to work that beats `pulse` and ends by `stop`.
    pub(super) fn hire(
        &mut self,
        name: String,
        pulse: Pulse,
        stop: CancellationToken,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Member {
        Member {
            pulse: Some(pulse),
            ..self.employ(name, stop, task)
        }
    }

    /// The same for one who waits for work, and beats no pulse.
    pub(super) fn employ(
        &mut self,
        name: String,
        stop: CancellationToken,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Member {
        let gone = CancellationToken::new();
        let leaving = gone.clone().drop_guard();
        let id = self.spawn(name, async move {
            let _leaving = leaving;
            task.await;
        });
        Member {
            id,
            stop,
            gone,
            pulse: None,
        }
    }

    /// Tells one to stop; what it held is free when this returns.
    pub(super) async fn dismiss(&mut self, member: &Member) {
        self.names.remove(&member.id);
        if let Some(pulse) = &member.pulse {
            self.pulses.end(pulse);
        }
        member.stop.cancel();
        member.gone.cancelled().await;
    }

    /// The name of the next task that ends undismissed, by itself or by a panic.
    pub(super) async fn ended(&mut self) -> String {
        loop {
            let id = match self.tasks.join_next_with_id().await {
                Some(Ok((id, ()))) => id,
                Some(Err(e)) => e.id(),
                None => return std::future::pending().await,
            };
            if let Some(name) = self.names.remove(&id) {
                return name;
            }
        }
    }

    /// Ends everybody.
    pub(super) async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}
