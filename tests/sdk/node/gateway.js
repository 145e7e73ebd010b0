// The official Node SDK (alibabacloud-iot-device-sdk) as a gateway with one
// meter. Argument: the port of the platform model on 127.0.0.1. Exit status 0
// only if every step was answered with success, in time.
'use strict';

const iot = require('alibabacloud-iot-device-sdk');

const meter = {
  productKey: 'a1SubDemoPk',
  deviceName: 'meter-001',
  deviceSecret: 'SubSecret111111111111111111111111',
};
const names = { productKey: meter.productKey, deviceName: meter.deviceName };

const fail = (why) => {
  console.error(why);
  process.exit(1);
};
setTimeout(() => fail('no end within 60 s'), 60000);

// One step: calls the SDK, waits for its callback, wants exactly 200.
const step = (name, act) =>
  new Promise((resolve) =>
    act((answer) => {
      console.log(name, JSON.stringify(answer));
      if (answer.code !== 200) fail(`${name} failed`);
      resolve(answer);
    })
  );

// The platform calls a service twice, asynchronously and synchronously; the documented way to
// answer is the reply function, told which of the two it was.
const served = (sub) =>
  new Promise((resolve) => {
    const kinds = ['async', 'sync'];
    sub.onService('reset', (call, reply) => {
      console.log('service', JSON.stringify(call));
      if (call.params.after !== 5) fail('the service should have its input');
      reply({ id: call.id, code: 200, data: { left: 3 } }, kinds.shift());
      if (kinds.length === 0) resolve();
    });
    sub.postProps({ Ready: 1 }, () => {});
  });

const gateway = iot.gateway({
  productKey: 'a1GwDemoPk0',
  deviceName: 'gw-0001',
  deviceSecret: 'GwSecret0123456789abcdefABCDEF00',
  brokerUrl: `mqtt://127.0.0.1:${process.argv[2]}`,
});
gateway.on('error', (error) => fail(`error: ${error}`));
gateway.on('connect', async () => {
  await step('topo add', (cb) => gateway.addTopo([meter], cb));
  const topo = await step('topo get', (cb) => gateway.getTopo(cb));
  if (topo.data.length !== 1) fail('the topology should list the meter');
  let sub;
  await step('login', (cb) => (sub = gateway.login(meter, cb)));
  await served(sub);
  await step('gateway post', (cb) => gateway.postProps({ Load: 42 }, cb));
  await step('meter post', (cb) => sub.postProps({ Power: 100 }, cb));
  await step('meter event', (cb) => sub.postEvent('alarm', { level: 1 }, cb));
  await step('meter tags', (cb) => sub.postTags([{ attrKey: 'k', attrValue: 'v' }], cb));
  await step('logout', (cb) => gateway.logout(names, cb));
  await step('topo delete', (cb) => gateway.removeTopo([names], cb));
  gateway.end(false, {}, () => process.exit(0));
});
