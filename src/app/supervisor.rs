//! The tasks that live as long as the service, or until they are stopped.

use std::collections::BTreeMap;

use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::io::system::heartbeat::{Heartbeat, Heartbeats};

/// All running tasks, by name. A task that ends and was not stopped is a fault.
#[derive(Default)]
pub(super) struct Supervisor {
    tasks: JoinSet<()>,
    names: BTreeMap<Id, String>,
    heartbeats: Heartbeats,
}

/// A running task that can be stopped.
pub(super) struct RunningTask {
    id: Id,
    stop: CancellationToken,
    gone: CancellationToken,
}

/// Keeps a heartbeat under the watchdog until dropped.
struct HeartbeatGuard {
    heartbeats: Heartbeats,
    heartbeat: Heartbeat,
}

impl Drop for HeartbeatGuard {
    fn drop(&mut self) {
        self.heartbeats.end(&self.heartbeat);
    }
}

impl Supervisor {
    /// Returns the heartbeats of the tasks that the watchdog watches.
    pub(super) const fn heartbeats(&self) -> &Heartbeats {
        &self.heartbeats
    }

    /// Starts a task.
    pub(super) fn spawn(
        &mut self,
        name: String,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Id {
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
        id
    }

    /// Starts a task that beats `heartbeat` and ends by `stop`. The task is watched until it is
    /// gone: a task that is told to stop and hangs is a case for the watchdog.
    pub(super) fn spawn_watched(
        &mut self,
        name: String,
        heartbeat: Heartbeat,
        stop: CancellationToken,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> RunningTask {
        let heartbeats = self.heartbeats.clone();
        let watched = HeartbeatGuard {
            heartbeats,
            heartbeat,
        };
        self.spawn_stoppable(name, stop, async move {
            let _watched = watched;
            task.await;
        })
    }

    /// Starts a task that waits for work and has no heartbeat.
    pub(super) fn spawn_stoppable(
        &mut self,
        name: String,
        stop: CancellationToken,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> RunningTask {
        let gone = CancellationToken::new();
        let leaving = gone.clone().drop_guard();
        let id = self.spawn(name, async move {
            let _leaving = leaving;
            task.await;
        });
        RunningTask { id, stop, gone }
    }

    /// Tells a task to stop. Everything that the task held is free when this returns. The wait
    /// is not bounded here, because no other task may have these things earlier: see
    /// [`Supervisor::spawn_watched`].
    pub(super) async fn stop(&mut self, running: &RunningTask) {
        self.names.remove(&running.id);
        running.stop.cancel();
        running.gone.cancelled().await;
    }

    /// Returns the name of the next task that ends without being stopped, by itself or by a panic.
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

    /// Ends all tasks.
    pub(super) async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_is_stopped_and_hangs_is_watched_until_it_is_gone() {
        let mut supervisor = Supervisor::default();
        let (end, ends) = oneshot::channel::<()>();
        let heartbeat = supervisor.heartbeats.start("line1");
        let running = supervisor.spawn_watched(
            "port line1".into(),
            heartbeat,
            CancellationToken::new(),
            async {
                // The task does not react when it is told to stop.
                let _ = ends.await;
            },
        );
        let hour = Duration::from_secs(3600);
        let stopped = tokio::time::timeout(hour, supervisor.stop(&running)).await;
        assert!(stopped.is_err());
        let watched: Vec<_> = supervisor
            .heartbeats
            .all()
            .iter()
            .map(|p| p.name().to_owned())
            .collect();
        assert_eq!(watched, ["line1"]);
        end.send(()).unwrap();
        supervisor.stop(&running).await;
        assert!(supervisor.heartbeats.all().is_empty());
        // The task was told to end, so its end is no fault.
        assert!(
            tokio::time::timeout(hour, supervisor.ended())
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn one_that_panics_is_watched_no_more_and_is_told() {
        let mut supervisor = Supervisor::default();
        let heartbeat = supervisor.heartbeats.start("line1");
        supervisor.spawn_watched(
            "port line1".into(),
            heartbeat,
            CancellationToken::new(),
            async {
                panic!("a fault");
            },
        );
        assert_eq!(supervisor.ended().await, "port line1");
        assert!(supervisor.heartbeats.all().is_empty());
    }
}
