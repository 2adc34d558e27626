// The broker aedes, with sessions in memory. It asks "devicetwin auth" who may connect and what
// a client may do, as EMQX does:
//
//   DEVICETWIN_AUTH_SECRET=… node broker.js 127.0.0.1:1883 http://127.0.0.1:8095
//   > running
//
// Without a URL, no permission is asked for. While devicetwin auth does not answer, nobody may
// connect, and nothing that was not asked about before is permitted.
import { createServer } from 'node:net';
import { Aedes } from 'aedes';

const [address, url] = process.argv.slice(2);
const secret = process.env.DEVICETWIN_AUTH_SECRET;
const patience = 5000; // ms
const remembered = 1000; // permissions of one client, which hold as long as its connection

async function allowed(path, question) {
  try {
    const answer = await fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(secret && { authorization: `Bearer ${secret}` }) },
      body: JSON.stringify(question),
      signal: AbortSignal.timeout(patience),
    });
    return answer.ok && (await answer.json()).result === 'allow';
  } catch (error) {
    console.error(`devicetwin auth: ${error.cause ?? error}`);
    return false;
  }
}

async function permitted(client, action, topic) {
  const key = `${action} ${topic}`;
  if (client.permitted.has(key)) return true;
  const yes = await allowed('/emqx/authz', { clientid: client.id, username: client.username, action, topic });
  if (yes) {
    if (client.permitted.size >= remembered) client.permitted.clear();
    client.permitted.add(key);
  }
  return yes;
}

const broker = await Aedes.createBroker();
if (url) {
  broker.authenticate = async (client, username, password, done) => {
    client.username = username ?? '';
    client.permitted = new Set();
    done(null, await allowed('/emqx/authn', { clientid: client.id, username: client.username, password: password?.toString() ?? '' }));
  };
  // An error ends the connection, which MQTT 3.1.1 permits (section 3.3.5).
  broker.authorizePublish = async (client, packet, done) => {
    if (client === null) return done(null); // the broker's own
    done(await permitted(client, 'publish', packet.topic) ? null : new Error(`${client.id} may not publish to ${packet.topic}`));
  };
  broker.authorizeSubscribe = async (client, subscription, done) => {
    done(null, await permitted(client, 'subscribe', subscription.topic) ? subscription : null);
  };
}

const [, host, port] = address.match(/^(.*):(\d+)$/);
createServer(broker.handle).listen(Number(port), host, () => console.log('running'));
