// Meters served by npm's modbus-serial, as devices the gateway has not been
// written with.
//
//     node modbus_serial_server.js rtu TTY UNIT...
//     node modbus_serial_server.js tcp UNIT...
//
// Prints "ready", or "ready PORT" for TCP, once it can be asked. On a serial
// line it keeps silent when another unit is addressed; it finds the end of a
// request by 30 ms of silence. The map is that of pymodbus_server.py with other
// numbers, so that a mix-up would show:
//
//     holding 0        u16   2100 + unit
//     holding 2..3     i32   -300000 - unit
//     holding 10..11   f32   3.5 * unit
//     input   0        u16   5000 + unit
//     coil    0        true
//     discrete 0, 1    false, true
"use strict";

const { ServerSerial, ServerTCP } = require("modbus-serial");

const [kind, ...rest] = process.argv.slice(2);
const tty = kind === "rtu" ? rest.shift() : undefined;
const units = new Set(rest.map(Number));

function registers(unit) {
    const map = Buffer.alloc(32);
    map.writeUInt16BE(2100 + unit, 0);
    map.writeInt32BE(-300000 - unit, 4);
    map.writeFloatBE(3.5 * unit, 20);
    return map;
}

// Who is not here says nothing: the server waits for a promise.
const nobody = new Promise(() => {});

function served(look) {
    return (address, unit) => {
        if (!units.has(unit)) return nobody;
        const value = look(address, unit);
        if (value === undefined) throw { modbusErrorCode: 2, msg: "illegal data address" };
        return value;
    };
}

const vector = {
    getHoldingRegister: served((address, unit) =>
        address < 16 ? registers(unit).readUInt16BE(2 * address) : undefined),
    getInputRegister: served((address, unit) => (address < 1 ? 5000 + unit : undefined)),
    getCoil: served((address) => (address < 16 ? address === 0 : undefined)),
    getDiscreteInput: served((address) => (address < 16 ? address === 1 : undefined)),
};

const server =
    kind === "rtu"
        ? // Any unit number: the map knows who is here.
          new ServerSerial(vector, { path: tty, baudRate: 115200, unitID: 255 })
        : // A number 0 would be taken for none, and 502.
          new ServerTCP(vector, { host: "127.0.0.1", port: "0", unitID: 255 });
server.on("initialized", () => {
    // The listener behind it knows the port it was given.
    console.log(kind === "rtu" ? "ready" : `ready ${server._server.address().port}`);
});
for (const trouble of ["serverError", "socketError", "error"]) {
    server.on(trouble, (error) => console.error(trouble, error));
}
