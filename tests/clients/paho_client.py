"""The adapter of paho-mqtt, whose network loop runs on a thread of its own."""

import queue

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from client import V5, WAIT, Message, Refused, cut_cable, tls_context

NAMES = {
    "user_properties": "UserProperty",
    "content_type": "ContentType",
    "response_topic": "ResponseTopic",
    "correlation_data": "CorrelationData",
    "payload_format_indicator": "PayloadFormatIndicator",
    "subscription_identifiers": "SubscriptionIdentifier",
    "session_expiry_interval": "SessionExpiryInterval",
}


def to_paho(packet, properties):
    """paho's properties of a packet, or None where there are none."""
    made = Properties(packet)
    for name, value in properties.items():
        setattr(made, NAMES[name], value)
    return made if properties else None


def from_paho(properties):
    return {name: getattr(properties, theirs) for name, theirs in NAMES.items() if hasattr(properties, theirs)}


class Client:
    """What paho calls back with goes into queues, so that a story waits for events."""

    def __init__(self, version, server, client_id, clean=True, expiry=0, will=None):
        old = {} if version == V5 else {"clean_session": clean}
        new = {"clean_start": clean, "properties": to_paho(PacketTypes.CONNECT, {"session_expiry_interval": expiry})}
        transport = "websockets" if server.websocket else "tcp"
        self.paho = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=version, transport=transport, reconnect_on_failure=False, **old
        )
        self.messages, self.events = queue.Queue(), queue.Queue()
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message)
        self.paho.on_connect = lambda _c, _u, flags, reason, _p: self.events.put(("connect", (flags, reason)))
        self.paho.on_disconnect = lambda _c, _u, _f, reason, _p: self.events.put(("disconnect", reason))
        self.paho.on_subscribe = lambda _c, _u, _m, reasons, _p: self.events.put(("subscribe", reasons))
        if server.authority:
            self.paho.tls_set_context(tls_context(server))
        if will:
            self.paho.will_set(*will)
        try:
            self.paho.connect(server.host, server.port, keepalive=30, **(new if version == V5 else {}))
        except OSError as problem:
            raise Refused(str(problem)) from problem
        self.paho.loop_start()
        kind, details = self.events.get(timeout=WAIT)
        if kind != "connect" or details[1].is_failure:
            raise Refused(f"{kind}: {details}")
        self.session_present = details[0].session_present

    def _event(self, wanted):
        kind, details = self.events.get(timeout=WAIT)
        assert kind == wanted, f"expected {wanted}, got {kind}: {details}"
        return details

    def subscribe(self, topic_filter, qos=1, identifier=None):
        identifiers = {"subscription_identifiers": identifier} if identifier else {}
        self.paho.subscribe(topic_filter, qos, properties=to_paho(PacketTypes.SUBSCRIBE, identifiers))
        (reason,) = self._event("subscribe")
        return reason.value

    def publish(self, topic, *payloads, qos=1, retain=False, properties={}):
        properties = to_paho(PacketTypes.PUBLISH, properties)
        for sent in [self.paho.publish(topic, payload, qos, retain, properties) for payload in payloads]:
            sent.wait_for_publish(WAIT)
            assert sent.is_published(), f"no acknowledgement for {topic}"

    def receive(self):
        message = self.messages.get(timeout=WAIT)
        return Message(message.topic, message.payload, message.qos, message.retain, from_paho(message.properties))

    def ended(self):
        reason = self._event("disconnect")
        self.paho.loop_stop()
        return reason.value

    def close(self):
        self.paho.disconnect()
        self.ended()

    def cut(self):
        cut_cable(self.paho.socket().fileno())
        self.ended()


connect = Client
