//! A small fleet of simulated devices and an app, which use the house from outside: over MQTT and over HTTP.

mod app;
mod census;
mod device;
mod dice;
mod kind;
mod line;
mod web;

use std::{future::pending, io, net::SocketAddr, time::Duration};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use app::App;
use device::{Device, Duty, Input};
use dice::Dice;
use kind::Kind;
use line::{Heard, Line};

pub(crate) use census::Census;

/// How long it takes until all devices have come in.
const ARRIVAL: Duration = Duration::from_secs(2);

/// The devices and their app, until they are told to stop.
#[derive(Debug)]
pub(crate) struct Fleet {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Fleet {
    /// Sends devices to the broker and an app to the HTTP API. The same seed makes the same devices. Must be called
    /// inside a runtime.
    pub(crate) fn start(count: u16, seed: u64, broker: SocketAddr, http: SocketAddr) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (mut dice, mut tasks) = (Dice::new(seed), JoinSet::new());
        let devices = names(count);
        for (number, (name, kind)) in (0..).zip(&devices) {
            let comes_at = ARRIVAL * number / u32::from(count);
            let device = Device::new(name, kind, number, dice.fork(), comes_at);
            tasks.spawn(live(device, broker, stopped.clone()));
        }
        tasks.spawn(work(App::new(devices, dice.fork()), http, stopped));
        Self { stop, tasks }
    }

    /// Lets every device say goodbye.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a simulated device has panicked");
            }
        }
    }
}

/// What the devices are called and are, kinds in turn: `thermostat-1`, `pump-2` and so on.
fn names(count: u16) -> Vec<(String, &'static Kind)> {
    let kinds = kind::KINDS.iter().cycle();
    (1..=count)
        .zip(kinds)
        .map(|(number, kind)| (format!("{}-{number}", kind.name), kind))
        .collect()
}

/// The life of one device.
async fn live(mut device: Device, broker: SocketAddr, mut stop: watch::Receiver<bool>) {
    let began = Instant::now();
    let (mut line, mut input) = (None, Input::Tick);
    loop {
        let duty = device.step(began.elapsed(), input);
        if let Some(answer) = perform(duty, &device, broker, &mut line).await {
            input = answer;
            continue;
        }
        let rest = device.next().map(|moment| moment.saturating_sub(began.elapsed()));
        input = tokio::select! {
            heard = hear(&mut line) => take(heard, &device, &mut line).await,
            () = sleep(rest.unwrap_or(Duration::MAX)) => Input::Tick,
            () = told_to(&mut stop) => break,
        };
    }
    if let Some(line) = line
        && let Err(error) = line.close().await
    {
        tracing::debug!(device = device.name, %error, "a simulated device left without a goodbye");
    }
}

/// Waits for the word to stop, or for the end of who could say it.
async fn told_to(stop: &mut watch::Receiver<bool>) {
    let _said = stop.wait_for(|stop| *stop).await;
}

/// Does what the device has to do. What comes of it at once goes back to the device.
async fn perform(
    duty: Option<Duty>,
    device: &Device,
    broker: SocketAddr,
    line: &mut Option<Line>,
) -> Option<Input> {
    let done = match duty? {
        Duty::Connect => match Line::open(broker, device.hello(), &device.delta_topic()).await {
            Ok(opened) => {
                *line = Some(opened);
                return Some(Input::Connected);
            }
            Err(error) => Err(error),
        },
        Duty::Report { document, again } => match line {
            Some(line) => line.report(&device.update_topic(), &document, again).await,
            None => Ok(()),
        },
        Duty::Drop => {
            *line = None;
            Ok(())
        }
    };
    done.err().map(|error| lost(device, line, &error))
}

async fn hear(line: &mut Option<Line>) -> io::Result<Heard> {
    match line {
        Some(line) => line.hear().await,
        None => pending().await,
    }
}

async fn take(heard: io::Result<Heard>, device: &Device, line: &mut Option<Line>) -> Input {
    let taken = match (heard, line.as_mut()) {
        (Ok(Heard::Delta(document, Some(id))), Some(line)) => {
            line.acknowledge(id).await.map(|()| Input::Delta(document))
        }
        (Ok(Heard::Delta(document, _)), _) => Ok(Input::Delta(document)),
        (Ok(Heard::Acknowledged), _) => Ok(Input::Acknowledged),
        (Err(error), _) => Err(error),
    };
    taken.unwrap_or_else(|error| lost(device, line, &error))
}

fn lost(device: &Device, line: &mut Option<Line>, error: &io::Error) -> Input {
    tracing::warn!(device = device.name, %error, "a simulated device lost its connection");
    *line = None;
    Input::Lost
}

/// The life of the app.
async fn work(mut app: App, http: SocketAddr, mut stop: watch::Receiver<bool>) {
    while let Some((pause, patch)) = app.next() {
        tokio::select! {
            () = sleep(pause) => {}
            () = told_to(&mut stop) => return,
        }
        match web::patch(http, &patch.path, &patch.body.to_string()).await {
            Ok((200, _)) => {}
            Ok((status, answer)) => tracing::warn!(status, answer, path = patch.path, "the app was refused"),
            Err(error) => tracing::warn!(%error, path = patch.path, "the app got no answer"),
        }
    }
}
