//! rumqttc's client of MQTT 3.1.1.

use std::error::Error;
use std::time::Duration;

use rumqttc::{
    AsyncClient, ClientError, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Packet, QoS,
    SubscribeReasonCode, qos,
};

use crate::client::{End, Heard, Mouth, address, transport};
use crate::question::{Call, Message, Properties, Publish, Subscribe, bytes, text};

/// It takes 10 KiB if nobody says otherwise.
const PACKET_BYTES_MAX: usize = 1 << 20;

pub(crate) fn open(call: &Call) -> Result<(AsyncClient, EventLoop), Box<dyn Error>> {
    let mut options = MqttOptions::new(&call.client_id, address(&call.server), call.server.port);
    options.set_transport(transport(&call.server)?);
    options.set_keep_alive(Duration::from_secs(30));
    options.set_clean_session(call.clean);
    options.set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
    if let Some(will) = &call.will {
        options.set_last_will(LastWill::new(
            &will.topic,
            bytes(&will.payload),
            level(will.qos)?,
            false,
        ));
    }
    Ok(AsyncClient::new(options, 10))
}

pub(crate) async fn connack(events: &mut EventLoop) -> Result<bool, Box<dyn Error>> {
    match events.poll().await? {
        Event::Incoming(Packet::ConnAck(connack)) => Ok(connack.session_present),
        other => Err(format!("expected CONNACK, got {other:?}").into()),
    }
}

/// Tells what comes until the connection ends, and how it ended.
pub(crate) async fn run(mut events: EventLoop, mouth: Mouth) -> End {
    loop {
        let event = match events.poll().await {
            Ok(event) => event,
            Err(problem) => return end(&problem),
        };
        match event {
            Event::Incoming(Packet::Publish(publish)) => {
                let message = Message {
                    topic: publish.topic,
                    payload: text(&publish.payload),
                    qos: publish.qos as u8,
                    retain: publish.retain,
                    properties: Properties::default(),
                };
                mouth.tell(Heard::Message(message)).await;
            }
            Event::Incoming(Packet::SubAck(suback)) => {
                for code in suback.return_codes {
                    let code = match code {
                        SubscribeReasonCode::Success(granted) => granted as u8,
                        SubscribeReasonCode::Failure => 0x80,
                    };
                    mouth.tell(Heard::Granted(code)).await;
                }
            }
            Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_)) => mouth.tell(Heard::Acknowledged).await,
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
    }
}

fn end(problem: &ConnectionError) -> End {
    End {
        reason: None,
        words: problem.to_string(),
    }
}

pub(crate) async fn subscribe(requests: &AsyncClient, subscribe: Subscribe) -> Result<(), Box<dyn Error>> {
    let level = level(subscribe.qos)?;
    Ok(requests.subscribe(subscribe.topic_filter, level).await?)
}

pub(crate) async fn publish(requests: &AsyncClient, publish: Publish) -> Result<(), Box<dyn Error>> {
    let level = level(publish.qos)?;
    for payload in &publish.payloads {
        let sent: Result<(), ClientError> = requests
            .publish(&publish.topic, level, publish.retain, bytes(payload))
            .await;
        sent?;
    }
    Ok(())
}

fn level(number: u8) -> Result<QoS, Box<dyn Error>> {
    Ok(qos(number)?)
}
