// The broker aedes, as its documentation starts it: sessions and messages are in memory.
//
//   node client.js 1883
//   > running
import { createServer } from 'node:net';
import { Aedes } from 'aedes';

const broker = await Aedes.createBroker();
createServer(broker.handle).listen(Number(process.argv[2]), '127.0.0.1', () => console.log('running'));
