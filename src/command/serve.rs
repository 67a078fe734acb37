//! `twinmq serve`: the house runs until it is told to stop.

use anyhow::Context;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

use crate::{
    Failure,
    app::App,
    settings::{Log, LogFormat, Settings},
};

/// Runs the house in this process.
pub(super) fn run(settings: Settings) -> Result<(), Failure> {
    start_logging(&settings.log);
    runtime()?.block_on(serve(settings))
}

/// The runtime of everything that may be slow.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .thread_name("slow")
        .build();
    Ok(runtime.context("cannot start the runtime")?)
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    let mut stop = StopSignals::listen()?;
    tracing::info!(
        connections_max = settings.broker.broker.connections_max,
        shards = settings.broker.broker.shards,
        "starting"
    );
    if settings.broker.listeners.is_empty() && settings.http.is_empty() {
        tracing::warn!("no [[listener]] and no [[http]]: nobody can connect; see config/README.md");
    }
    let app = App::start(settings).await?;
    super::say(&app.ready_line())?;
    stop.come().await;
    app.stop().await.map_err(Failure::from)
}

/// SIGTERM and SIGINT.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Listens from now on; to be called before anything starts, so that no signal is lost.
    pub(super) fn listen() -> Result<Self, Failure> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    /// Waits for one of them.
    pub(super) async fn come(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => tracing::info!("SIGTERM: stopping in order"),
            _ = self.interrupt.recv() => tracing::info!("SIGINT: stopping in order"),
        }
    }
}

pub(super) fn start_logging(log: &Log) {
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // A line that standard error does not take is lost: to complain of that on standard error is a panic.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    let set = match log.format {
        LogFormat::Text => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    debug_assert!(set.is_ok(), "a process starts logging once");
}

/// Connections are files: as many as the system allows. Where it does not, the limit stays, and with it
/// `broker.connections_max`, which is logged at the start.
pub(super) fn raise_open_files_limit() {
    let _stays = rlimit::increase_nofile_limit(u64::MAX);
}
