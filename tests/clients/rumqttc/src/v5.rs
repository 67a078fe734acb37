//! rumqttc's client of MQTT 5.0.

use std::error::Error;
use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::{
    LastWill, Packet, PublishProperties, SubscribeProperties, SubscribeReasonCode,
};
use rumqttc::v5::mqttbytes::{QoS, qos};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError};

use crate::client::{End, Heard, Mouth, address, transport};
use crate::question::{Call, Message, Properties, Publish, Subscribe, bytes, text};

/// It takes 10 KiB if nobody says otherwise, and does not tell the broker so.
const PACKET_BYTES_MAX: u32 = 1 << 20;

pub(crate) fn open(call: &Call) -> Result<(AsyncClient, EventLoop), Box<dyn Error>> {
    let mut options = MqttOptions::new(&call.client_id, address(&call.server), call.server.port);
    options.set_transport(transport(&call.server)?);
    options.set_keep_alive(Duration::from_secs(30));
    options.set_clean_start(call.clean);
    options.set_session_expiry_interval(Some(call.expiry));
    options.set_max_packet_size(Some(PACKET_BYTES_MAX));
    if let Some(will) = &call.will {
        options.set_last_will(LastWill::new(
            &will.topic,
            bytes(&will.payload),
            level(will.qos)?,
            false,
            None,
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
                    topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                    payload: text(&publish.payload),
                    qos: publish.qos as u8,
                    retain: publish.retain,
                    properties: from_theirs(publish.properties),
                };
                mouth.tell(Heard::Message(message)).await;
            }
            Event::Incoming(Packet::SubAck(suback)) => {
                for code in suback.return_codes {
                    let code = match code {
                        SubscribeReasonCode::Success(granted) => granted as u8,
                        _ => 0x80,
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
    let reason = match problem {
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            Some(*reason_code as u8)
        }
        _ => None,
    };
    End {
        reason,
        words: problem.to_string(),
    }
}

pub(crate) async fn subscribe(requests: &AsyncClient, subscribe: Subscribe) -> Result<(), Box<dyn Error>> {
    let properties = SubscribeProperties {
        id: subscribe.identifier,
        user_properties: Vec::new(),
    };
    let level = level(subscribe.qos)?;
    let asked = requests.subscribe_with_properties(subscribe.topic_filter, level, properties);
    Ok(asked.await?)
}

pub(crate) async fn publish(requests: &AsyncClient, publish: Publish) -> Result<(), Box<dyn Error>> {
    let level = level(publish.qos)?;
    for payload in &publish.payloads {
        let properties = to_theirs(&publish.properties);
        requests
            .publish_with_properties(&publish.topic, level, publish.retain, bytes(payload), properties)
            .await?;
    }
    Ok(())
}

fn to_theirs(properties: &Properties) -> PublishProperties {
    PublishProperties {
        payload_format_indicator: properties.payload_format_indicator,
        response_topic: properties.response_topic.clone(),
        correlation_data: properties
            .correlation_data
            .as_deref()
            .map(|text| bytes(text).into()),
        user_properties: properties.user_properties.clone(),
        content_type: properties.content_type.clone(),
        ..PublishProperties::default()
    }
}

fn from_theirs(properties: Option<PublishProperties>) -> Properties {
    let properties = properties.unwrap_or_default();
    Properties {
        user_properties: properties.user_properties,
        content_type: properties.content_type,
        response_topic: properties.response_topic,
        correlation_data: properties.correlation_data.as_deref().map(text),
        payload_format_indicator: properties.payload_format_indicator,
        subscription_identifiers: properties.subscription_identifiers,
    }
}

fn level(number: u8) -> Result<QoS, Box<dyn Error>> {
    Ok(qos(number).ok_or("QoS is 0, 1 or 2")?)
}
