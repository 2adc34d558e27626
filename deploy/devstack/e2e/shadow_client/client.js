// A device on thingShadow, the shadow client of the npm package
// aws-iot-device-sdk. It reads instructions on standard input, and writes to
// standard output what it received, a line of JSON each:
//
//   node client.js '{"host":"127.0.0.1","port":8883,"clientId":"pump-1","caPath":…,"certPath":…,"keyPath":…}'
//   < {"do":"register","options":{"qos":1}}
//   > {"event":"registered"}
//   < {"do":"update","state":{"state":{"reported":{"interval":30}}}}
//   > {"event":"status","status":"accepted","token":"pump-1-0","state":{…}}
//
// The thing is the one with the client id. The end of the input ends it.
'use strict';

const readline = require('readline');
const { thingShadow } = require('aws-iot-device-sdk');

const options = JSON.parse(process.argv[2]);
const thing = options.clientId;
const tell = (event, more) => process.stdout.write(JSON.stringify({ event, ...more }) + '\n');

const shadow = thingShadow({ protocol: 'mqtts', ...options });
shadow.on('connect', () => tell('connect'));
shadow.on('error', (error) => tell('error', { error: String(error) }));
shadow.on('status', (_, status, token, state) => tell('status', { status, token, state }));
shadow.on('delta', (_, state) => tell('delta', { state }));
shadow.on('foreignStateChange', (_, operation, state) => tell('foreign', { operation, state }));
shadow.on('timeout', (_, token) => tell('timeout', { token }));

// began says whether the library took an operation: it has one at a time.
const began = (token) => { if (token === null) tell('error', { error: 'the library is busy' }); };

const doing = {
  register: (line) => shadow.register(thing, line.options, (error, failed) => tell('registered', { error, failed })),
  unregister: () => shadow.unregister(thing),
  update: (line) => began(shadow.update(thing, line.state)),
  get: () => began(shadow.get(thing)),
  delete: () => began(shadow.delete(thing)),
};

readline.createInterface({ input: process.stdin })
  .on('line', (text) => { const line = JSON.parse(text); doing[line.do](line); })
  .on('close', () => shadow.end(false, () => process.exit(0)));
