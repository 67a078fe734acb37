"""The adapter of gmqtt, which speaks no WebSocket."""

import asyncio
import logging
import ssl

import gmqtt
from gmqtt.mqtt.handler import MQTTConnectError
from gmqtt.storage import PersistentStorage

from client import V5, Message, Refused, tls_context
from loop import wait_for

# It warns of every connection that ends without its doing, which is what some stories are about.
logging.getLogger("gmqtt").setLevel(logging.CRITICAL)

# It has no way to wait for packet ids: it raises when more messages are under way than the broker's Receive Maximum.
UNDER_WAY_MAX = 32
NAMES = {
    "user_properties": "user_property",
    "content_type": "content_type",
    "response_topic": "response_topic",
    "correlation_data": "correlation_data",
    "payload_format_indicator": "payload_format_id",
    "subscription_identifiers": "subscription_identifier",
}
REPEATED = ("user_properties", "subscription_identifiers")


def from_gmqtt(properties):
    """It has all values of a property in a list, also of those that occur once."""
    found = {name: properties[theirs] for name, theirs in NAMES.items() if theirs in properties}
    return {name: values if name in REPEATED else values[0] for name, values in found.items()}


class Client:
    def __init__(self, version, server, client_id, clean=True, expiry=0, will=None):
        wait_for(self._connect(version, server, client_id, clean, expiry, will))

    async def _connect(self, version, server, client_id, clean, expiry, will):
        self.messages, self.grants, self.end = asyncio.Queue(), asyncio.Queue(), asyncio.Future()
        # What waits here is not acknowledged; gmqtt itself does not tell.
        self.stored = PersistentStorage()
        properties = {"session_expiry_interval": expiry} if version == V5 else {}
        self.gmqtt = gmqtt.Client(
            client_id,
            clean_session=clean,
            will_message=gmqtt.Message(*will) if will else None,
            persistent_storage=self.stored,
            **properties,
        )
        # With 0 it still connects once more.
        self.gmqtt.reconnect_retries = -2
        self.gmqtt.on_connect = self._connected
        self.gmqtt.on_message = lambda _c, *message: self.messages.put_nowait(message)
        self.gmqtt.on_subscribe = lambda _c, _mid, granted, _p: self.grants.put_nowait(granted)
        self.gmqtt.on_disconnect = self._disconnected
        connecting = asyncio.ensure_future(
            self.gmqtt.connect(server.host, server.port, ssl=tls_context(server) or False, keepalive=30, version=version)
        )
        # It would wait for CONNACK even when the connection has ended.
        await asyncio.wait((connecting, self.end), return_when=asyncio.FIRST_COMPLETED)
        if not connecting.done():
            connecting.cancel()
            raise Refused("the connection ended before CONNACK")
        try:
            await connecting
        except (OSError, MQTTConnectError) as problem:
            raise Refused(str(problem)) from problem

    def _connected(self, _client, flags, _reason, _properties):
        self.session_present = flags == 1

    def _disconnected(self, _client, packet, _problem=None):
        """It calls twice when the broker says why: with the body of its DISCONNECT, and with nothing."""
        if not self.end.done():
            self.end.set_result(packet[0] if packet else None)

    def subscribe(self, topic_filter, qos=1, identifier=None):
        async def subscribe():
            self.gmqtt.subscribe(topic_filter, qos, subscription_identifier=identifier)
            return await self.grants.get()

        (granted,) = wait_for(subscribe())
        return granted

    def publish(self, topic, *payloads, qos=1, retain=False, properties={}):
        async def publish_all():
            theirs = {NAMES[name]: value for name, value in properties.items()}
            for payload in payloads:
                if len(self.stored.get_all()) == UNDER_WAY_MAX:
                    await self.stored.wait_empty()
                self.gmqtt.publish(topic, payload, qos, retain, **theirs)
            await self.stored.wait_empty()

        wait_for(publish_all())

    def receive(self):
        topic, payload, qos, properties = wait_for(self.messages.get())
        return Message(topic, bytes(payload), qos, properties["retain"] == 1, from_gmqtt(properties))

    def ended(self):
        async def end():
            return await self.end

        return wait_for(end())

    def close(self):
        try:
            wait_for(self.gmqtt.disconnect())
        except ssl.SSLError as error:
            # What the broker sent before it saw the end, such as a PUBREL: asyncio's TLS takes that for an error.
            if error.reason != "APPLICATION_DATA_AFTER_CLOSE_NOTIFY":
                raise

    def cut(self):
        async def abort():
            # It has no way to leave without a DISCONNECT; the transport of asyncio, which has one, is inside.
            self.gmqtt._connection._transport.abort()
            await self.end

        wait_for(abort())


connect = Client
