// A device on the npm package aws-iot-device-sdk-v2, with its defaults. It connects,
// subscribes to some filters, publishes to some topics, waits for a message, and
// writes a line of JSON for each:
//
//   node client.js '{"host":"localhost","port":8883,"clientId":"pump-1","ca":…,"cert":…,"key":…,"subscribe":["a"],"publish":["b"],"await":true}'
//   > {"event":"connected"}
//   > {"event":"subscribed","topic":"a","granted":1}
//   > {"event":"published","topic":"b"}
//   > {"event":"message","topic":"a"}
//
// Without cert and key it connects without TLS. A connection that is refused is
// {"event":"refused"}.
'use strict';

const { mqtt, iot, io } = require('aws-iot-device-sdk-v2');

const options = JSON.parse(process.argv[2]);
const tell = (event, more) => process.stdout.write(JSON.stringify({ event, ...more }) + '\n');

function configuration() {
  const builder = iot.AwsIotMqttConnectionConfigBuilder;
  const config = (options.cert ? builder.new_mtls_builder_from_path(options.cert, options.key) : builder.new_default_builder())
    .with_certificate_authority_from_path(undefined, options.ca)
    .with_endpoint(options.host)
    .with_port(options.port)
    .with_client_id(options.clientId)
    .with_clean_session(true)
    .build();
  if (!options.cert) config.tls_ctx = undefined;
  return config;
}

async function main() {
  const config = configuration();
  const client = new mqtt.MqttClient(new io.ClientBootstrap());
  const connection = client.new_connection(config);
  connection.on('error', () => {}); // the promises say it too
  let arrived;
  const message = new Promise((resolve) => { arrived = resolve; });
  try {
    await connection.connect();
  } catch (error) {
    tell('refused', { reason: String(error) });
    return;
  }
  tell('connected');
  for (const topic of options.subscribe || []) {
    const answer = await connection.subscribe(topic, mqtt.QoS.AtLeastOnce, (on) => arrived(on));
    tell('subscribed', { topic, granted: answer.qos, error: answer.error_code });
  }
  for (const topic of options.publish || []) {
    await connection.publish(topic, '{}', mqtt.QoS.AtLeastOnce);
    tell('published', { topic });
  }
  if (options.await) tell('message', { topic: await message });
  await connection.disconnect();
}

main().then(() => process.exit(0), (error) => { tell('failed', { reason: String(error) }); process.exit(1); });
