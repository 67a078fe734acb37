"""The adapter of aiomqtt."""

import asyncio

import aiomqtt
from paho.mqtt.packettypes import PacketTypes

from client import V5, WAIT, Message, Refused, cut_cable, tls_context
from loop import wait_for
from paho_client import from_paho, to_paho


class Client:
    # aiomqtt keeps what CONNACK says to itself.
    session_present = None

    def __init__(self, version, server, client_id, clean=True, expiry=0, will=None):
        old = {"clean_session": clean}
        new = {"clean_start": clean, "properties": to_paho(PacketTypes.CONNECT, {"session_expiry_interval": expiry})}
        wait_for(
            self._connect(
                hostname=server.host,
                port=server.port,
                transport="websockets" if server.websocket else "tcp",
                tls_context=tls_context(server),
                identifier=client_id,
                protocol=aiomqtt.ProtocolVersion(version),
                will=aiomqtt.Will(*will) if will else None,
                timeout=WAIT,
                **(new if version == V5 else old),
            )
        )

    async def _connect(self, **options):
        self.aiomqtt = aiomqtt.Client(**options)
        # Beyond so many messages under way it warns, and the stories mean to have more.
        self.aiomqtt.pending_calls_threshold = 1000
        try:
            await self.aiomqtt.__aenter__()
        except aiomqtt.MqttError as problem:
            raise Refused(str(problem)) from problem

    def subscribe(self, topic_filter, qos=1, identifier=None):
        identifiers = {"subscription_identifiers": identifier} if identifier else {}
        properties = to_paho(PacketTypes.SUBSCRIBE, identifiers)
        (reason,) = wait_for(self.aiomqtt.subscribe(topic_filter, qos, properties=properties))
        return reason.value

    def publish(self, topic, *payloads, qos=1, retain=False, properties={}):
        async def publish_all():
            made = to_paho(PacketTypes.PUBLISH, properties)
            await asyncio.gather(*(self.aiomqtt.publish(topic, payload, qos, retain, made) for payload in payloads))

        wait_for(publish_all())

    def receive(self):
        message = wait_for(anext(self.aiomqtt.messages))
        return Message(str(message.topic), message.payload, message.qos, message.retain, from_paho(message.properties))

    def ended(self):
        try:
            message = wait_for(anext(self.aiomqtt.messages))
        except aiomqtt.MqttError as problem:
            return problem.__cause__.rc.value
        raise AssertionError(f"expected the end, got {message}")

    def close(self):
        wait_for(self.aiomqtt.__aexit__(None, None, None))

    def cut(self):
        # It has no way to leave without a DISCONNECT; paho's client, which holds the socket, is inside.
        cut_cable(self.aiomqtt._client.socket().fileno())
        self.ended()


connect = Client
