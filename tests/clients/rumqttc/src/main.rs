//! The adapter of rumqttc: answers the questions of `piped_client.py`, one line of JSON each.

mod client;
mod question;
mod v311;
mod v5;

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, BufRead as _, Write as _};
use std::time::Duration;

use client::Client;
use question::{Deed, Question};
use serde_json::{Value, json};
use tokio::time::timeout;

/// What a client is given to do or hear one thing.
const WAIT: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    // The clients go on between two questions.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let mut clients = HashMap::new();
    let mut answers = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let question: Question = serde_json::from_str(&line?)?;
        let answer = match runtime.block_on(async { timeout(WAIT, answer(&mut clients, question)).await }) {
            Ok(Ok(value)) => json!({ "ok": value }),
            Ok(Err(problem)) => json!({ "error": problem.to_string() }),
            Err(_) => json!({ "error": "it did not happen in time" }),
        };
        writeln!(answers, "{answer}")?;
        answers.flush()?;
    }
    Ok(())
}

async fn answer(clients: &mut HashMap<u64, Client>, question: Question) -> Result<Value, Box<dyn Error>> {
    let number = question.client;
    if let Deed::Connect(call) = question.deed {
        let (client, session_present) = Client::connect(&call).await?;
        clients.insert(number, client);
        return Ok(session_present.into());
    }
    let client = clients.get_mut(&number).ok_or("there is no such client")?;
    Ok(match question.deed {
        Deed::Connect(_) => unreachable!("answered above"),
        Deed::Subscribe(subscribe) => client.subscribe(subscribe).await?.into(),
        Deed::Publish(publish) => {
            client.publish(publish).await?;
            Value::Null
        }
        Deed::Receive => serde_json::to_value(client.receive().await?)?,
        Deed::Ended => client.ended().await?.into(),
        Deed::Close => {
            client.close().await?;
            Value::Null
        }
        Deed::Cut => {
            client.cut().await;
            Value::Null
        }
    })
}
