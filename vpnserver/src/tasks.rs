//! Tasks that the server waits for when it ends.

use std::future::Future;

use tokio::sync::watch;

/// Counts tasks; clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Tasks(watch::Sender<usize>);

/// A task while it runs; counts down whatever ends it.
struct Running(Tasks);

impl Tasks {
    /// Runs a task on its own: its panic is nobody else's.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.send_modify(|running| *running += 1);
        let running = Running(self.clone());
        tokio::spawn(async move {
            let _running = running;
            task.await;
        });
    }

    /// Waits until none runs.
    pub async fn finished(&self) {
        let _ = self.0.subscribe().wait_for(|running| *running == 0).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.send_modify(|running| *running -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_not_waited_for() {
        let tasks = Tasks::default();
        tasks.spawn(async { panic!("on purpose") });
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn(async {
            let _ = gone.await;
        });
        let _ = go.send(());
        tasks.finished().await;
    }
}
