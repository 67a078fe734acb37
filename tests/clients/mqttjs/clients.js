// MQTT.js, MQTT 3.1.1 and 5.0, over TCP and WebSocket: messages, sessions, wills, properties, and the twin's native topics.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import mqtt from "mqtt";

const WAIT_MS = 10_000;

const within = (promise, what) => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not happen`)), WAIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

const servers = {
  tcp: { plain: `mqtt://${process.env.TWINMQ_MQTT}`, secure: `mqtts://localhost:${process.env.TWINMQ_MQTTS.split(":").pop()}` },
  ws: { plain: `ws://${process.env.TWINMQ_WS}/mqtt`, secure: `wss://localhost:${process.env.TWINMQ_WSS.split(":").pop()}/mqtt` },
};
let server = servers.tcp;

/** A connected client whose messages are read one after the other with `receive`. */
async function connect(protocolVersion, clientId, options = {}) {
  const url = options.url ?? server.plain;
  const client = mqtt.connect(url, { protocolVersion, clientId, clean: true, reconnectPeriod: 0, ...options });
  const waiting = [];
  const arrived = [];
  client.on("message", (topic, payload, packet) => {
    const message = { topic, payload, qos: packet.qos, retain: packet.retain, properties: packet.properties };
    const next = waiting.shift();
    next ? next(message) : arrived.push(message);
  });
  client.receive = () =>
    within(arrived.length ? Promise.resolve(arrived.shift()) : new Promise((take) => waiting.push(take)), "a message");
  const [connack] = await within(once(client, "connect"), `CONNACK for ${clientId}`);
  client.sessionPresent = connack.sessionPresent;
  return client;
}

const stories = {
  /** [MQTT311-7.0.0-2] A client of others needs nothing but the specification. */
  async everyQosArrives(version, tag) {
    const client = await connect(version, `${tag}-qos`);
    await client.subscribeAsync(`${tag}/qos/#`, { qos: 2 });
    for (const qos of [0, 1, 2]) {
      await client.publishAsync(`${tag}/qos/${qos}`, `at ${qos}`, { qos });
      const { topic, payload, ...rest } = await client.receive();
      assert.deepEqual([topic, payload.toString(), rest.qos, rest.retain], [`${tag}/qos/${qos}`, `at ${qos}`, qos, false]);
    }
    await client.endAsync();
  },

  async retainedMessageWaitsForSubscribers(version, tag) {
    const client = await connect(version, `${tag}-retain`);
    await client.publishAsync(`${tag}/retained`, "kept", { qos: 1, retain: true });
    await client.subscribeAsync(`${tag}/+`, { qos: 1 });
    const message = await client.receive();
    assert.deepEqual([message.payload.toString(), message.retain], ["kept", true]);
    await client.publishAsync(`${tag}/retained`, "", { qos: 1, retain: true });
    await client.endAsync();
  },

  async sessionKeepsWhatCameMeanwhile(version, tag) {
    const keep = { clean: false, ...(version === 5 && { properties: { sessionExpiryInterval: 60 } }) };
    const sleeper = await connect(version, `${tag}-sleeper`, keep);
    await sleeper.subscribeAsync(`${tag}/mail`, { qos: 2 });
    await sleeper.endAsync();
    const sender = await connect(version, `${tag}-sender`);
    await sender.publishAsync(`${tag}/mail`, "letter", { qos: 2 });
    await sender.endAsync();
    const woken = await connect(version, `${tag}-sleeper`, keep);
    assert.equal(woken.sessionPresent, true);
    assert.equal((await woken.receive()).payload.toString(), "letter");
    await woken.endAsync();
  },

  async willIsPublishedWhenTheCableIsCut(version, tag) {
    const watcher = await connect(version, `${tag}-watcher`);
    await watcher.subscribeAsync(`${tag}/will`, { qos: 1 });
    const lost = await connect(version, `${tag}-lost`, { will: { topic: `${tag}/will`, payload: "gone", qos: 1 } });
    lost.stream.destroy();
    assert.equal((await watcher.receive()).payload.toString(), "gone");
    await watcher.endAsync();
  },

  async propertiesTravel(version, tag) {
    if (version !== 5) return;
    const client = await connect(version, `${tag}-properties`);
    await client.subscribeAsync(`${tag}/properties`, { qos: 1, properties: { subscriptionIdentifier: 7 } });
    const properties = { userProperties: { site: "north" }, responseTopic: "answers", correlationData: Buffer.from([0, 1]) };
    await client.publishAsync(`${tag}/properties`, "with", { qos: 1, properties });
    const got = (await client.receive()).properties;
    assert.equal(got.userProperties.site, "north");
    assert.equal(got.responseTopic, "answers");
    assert.deepEqual(got.correlationData, Buffer.from([0, 1]));
    assert.equal(got.subscriptionIdentifier, 7);
    await client.endAsync();
  },

  async desiredReachesTheDevice(version, tag) {
    const device = `${tag}-lamp`;
    const lamp = await connect(version, device);
    await lamp.subscribeAsync(`$twin/${device}/update/delta`, { qos: 1 });
    const patched = await fetch(`http://${process.env.TWINMQ_HTTP}/v1/devices/${device}/twin/desired`, {
      method: "PATCH",
      headers: { "content-type": "application/merge-patch+json" },
      body: JSON.stringify({ power: "on" }),
    });
    assert.equal(patched.status, 200, await patched.clone().text());
    const delta = JSON.parse((await lamp.receive()).payload);
    assert.deepEqual(delta.state, { power: "on" });
    await lamp.publishAsync(`$twin/${device}/update`, JSON.stringify({ state: { reported: { power: "on" } } }), { qos: 1 });
    const response = await fetch(`http://${process.env.TWINMQ_HTTP}/v1/devices/${device}/twin`);
    const twin = await response.json();
    assert.deepEqual([twin.desired, twin.reported], [{ power: "on" }, { power: "on" }]);
    await lamp.endAsync();
  },

  async mutualTlsTellsTheDevice(version) {
    const device = process.env.TWINMQ_DEVICE;
    const file = (name) => readFileSync(`${process.env.TWINMQ_CERTS}/${name}`);
    const tls = { ca: file("ca.pem"), cert: file(`${device}.pem`), key: file(`${device}.key`) };
    const client = await connect(version, device, { url: server.secure, ...tls });
    await client.subscribeAsync(`$twin/${device}/update/accepted`, { qos: 1 });
    await client.publishAsync(`$twin/${device}/update`, '{"state":{"reported":{"client":"MQTT.js"}}}', { qos: 1 });
    assert.deepEqual(JSON.parse((await client.receive()).payload).state, { reported: { client: "MQTT.js" } });
    await client.endAsync();
  },
};

const wanted = process.argv.slice(2);
for (const [transport, addresses] of Object.entries(servers)) {
  server = addresses;
  for (const version of [4, 5]) {
    const tag = `js${version}${transport}`;
    for (const [name, story] of Object.entries(stories)) {
      if (wanted.length && !wanted.includes(name)) continue;
      await story(version, tag);
      console.log(`ok ${tag} ${name}`);
    }
  }
}
