// The adapter of MQTT.js: answers the questions of piped_client.py, one line of JSON each.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import mqtt from "mqtt";

const WAIT_MS = 10_000;
// MQTT.js does not keep to the broker's Receive Maximum, and is disconnected (0x93) when more than that are under way.
const UNDER_WAY_MAX = 32;
const clients = new Map();

const within = (promise, what) => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not happen in time`)), WAIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

/** Without what is null, which is how the questions say that there is none. */
const given = (options) => Object.fromEntries(Object.entries(options).filter(([, value]) => value != null));

const toTheirs = (properties) => {
  const user = {};
  for (const [name, value] of properties.user_properties ?? []) (user[name] ??= []).push(value);
  return given({
    userProperties: properties.user_properties && user,
    contentType: properties.content_type,
    responseTopic: properties.response_topic,
    correlationData: properties.correlation_data && Buffer.from(properties.correlation_data, "latin1"),
    payloadFormatIndicator: properties.payload_format_indicator && properties.payload_format_indicator === 1,
  });
};

const fromTheirs = (properties = {}) =>
  given({
    user_properties:
      properties.userProperties &&
      Object.entries(properties.userProperties).flatMap(([name, values]) => [values].flat().map((value) => [name, value])),
    content_type: properties.contentType,
    response_topic: properties.responseTopic,
    correlation_data: properties.correlationData?.toString("latin1"),
    payload_format_indicator: properties.payloadFormatIndicator && Number(properties.payloadFormatIndicator),
    subscription_identifiers: properties.subscriptionIdentifier && [properties.subscriptionIdentifier].flat(),
  });

/** One client, its messages, and its end with the reason code if the broker gave one. */
class Client {
  #arrived = [];
  #waiting = [];

  constructor(mqttjs) {
    this.mqttjs = mqttjs;
    mqttjs.on("message", (topic, payload, { qos, retain, properties }) => {
      const message = { topic, payload: payload.toString("latin1"), qos, retain, properties: fromTheirs(properties) };
      const next = this.#waiting.shift();
      next ? next(message) : this.#arrived.push(message);
    });
    let reason = null;
    mqttjs.on("disconnect", (packet) => (reason = packet.reasonCode));
    this.end = once(mqttjs, "close").then(() => reason);
  }

  next() {
    return this.#arrived.length ? this.#arrived.shift() : new Promise((take) => this.#waiting.push(take));
  }
}

const methods = {
  async connect(_, { client: number, version, server, client_id, clean, expiry, will }) {
    const file = (name) => name && readFileSync(name);
    const scheme = (server.websocket ? "ws" : "mqtt") + (server.authority ? "s" : "");
    const mqttjs = mqtt.connect(`${scheme}://${server.host}:${server.port}${server.websocket ? "/mqtt" : ""}`, {
      ...given({ ca: file(server.authority), cert: file(server.certificate), key: file(server.key), will }),
      ...(version === 5 && { properties: { sessionExpiryInterval: expiry } }),
      protocolVersion: version,
      clientId: client_id,
      clean,
      reconnectPeriod: 0,
    });
    const client = new Client(mqttjs);
    clients.set(number, client);
    const ended = client.end.then(() => Promise.reject(new Error("the connection ended before CONNACK")));
    ended.catch(() => {}); // It also ends later, when nobody waits for CONNACK.
    const [connack] = await within(Promise.race([once(mqttjs, "connect"), ended]), "CONNACK");
    mqttjs.on("error", () => {}); // Its end is told by "close".
    return connack.sessionPresent;
  },

  async subscribe({ mqttjs }, { topic_filter, qos, identifier }) {
    const properties = identifier && { subscriptionIdentifier: identifier };
    // A refusal is an error to it, with the SUBACK inside.
    const asked = mqttjs.subscribeAsync(topic_filter, given({ qos, properties })).catch((error) => {
      if (!error.packet) throw error;
      return [{ qos: error.packet.granted[0] }];
    });
    const [granted] = await within(asked, "SUBACK");
    return granted.qos;
  },

  async publish({ mqttjs, end }, { topic, payloads, qos, retain, properties }) {
    const options = { qos, retain, properties: toTheirs(properties) };
    const ended = end.then((reason) => Promise.reject(new Error(`the connection ended with ${reason}`)));
    ended.catch(() => {}); // It also ends later, when nothing is under way.
    while (payloads.length) {
      const some = payloads.splice(0, UNDER_WAY_MAX);
      const sent = some.map((payload) => mqttjs.publishAsync(topic, Buffer.from(payload, "latin1"), options));
      await within(Promise.race([Promise.all(sent), ended]), "an acknowledgement");
    }
  },

  receive: (client) => within(client.next(), "a message"),
  ended: (client) => within(client.end, "the end of the connection"),
  close: ({ mqttjs }) => within(mqttjs.endAsync(), "the end of the connection"),

  async cut({ mqttjs, end }) {
    mqttjs.stream.destroy();
    await within(end, "the end of the connection");
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  let answer;
  try {
    answer = { ok: (await methods[question.do](clients.get(question.client), question)) ?? null };
  } catch (error) {
    answer = { error: error.message || String(error.errors ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
