"""Meters served by pymodbus, as devices the gateway has not been written with.

    pymodbus_server.py rtu TTY UNIT...
    pymodbus_server.py ascii TTY UNIT...
    pymodbus_server.py tcp UNIT...
    pymodbus_server.py rtu-over-tcp UNIT...

Prints "ready", or "ready PORT" for TCP, once it can be asked. Every unit has
the same map, with numbers that tell the units apart:

    holding 0        u16   2300 + unit
    holding 2..3     i32   -100000 - unit
    holding 10..11   f32   1.5 * unit
    input   0        u16   7000 + unit
    coil    0        true
    discrete 0, 1    false, true
"""

import asyncio
import sys

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def meter(unit):
    """One unit; addresses outside the map answer "illegal data address"."""
    bits = DataType.BITS
    return SimDevice(
        unit,
        simdata=(
            [SimData(0, values=[True] + [False] * 15, datatype=bits)],
            [SimData(0, values=[False, True] + [False] * 14, datatype=bits)],
            [
                SimData(0, values=[2300 + unit, 0], datatype=DataType.REGISTERS),
                SimData(2, values=[-100000 - unit], datatype=DataType.INT32),
                SimData(4, values=[0] * 6, datatype=DataType.REGISTERS),
                SimData(10, values=[1.5 * unit], datatype=DataType.FLOAT32),
            ],
            [SimData(0, values=[7000 + unit], datatype=DataType.REGISTERS)],
        ),
    )


async def main():
    kind, rest = sys.argv[1], sys.argv[2:]
    if kind in ("rtu", "ascii"):
        tty, units = rest[0], [int(u) for u in rest[1:]]
        server = ModbusSerialServer(
            [meter(u) for u in units],
            framer=FramerType.RTU if kind == "rtu" else FramerType.ASCII,
            port=tty,
            baudrate=9600,
            # A pseudo terminal has no others, and pyserial insists.
            bytesize=8,
            parity="N",
            stopbits=1,
        )
    else:
        units = [int(u) for u in rest]
        server = ModbusTcpServer(
            [meter(u) for u in units],
            framer=FramerType.SOCKET if kind == "tcp" else FramerType.RTU,
            address=("127.0.0.1", 0),
        )
    await server.serve_forever(background=True)
    if kind in ("rtu", "ascii"):
        print("ready", flush=True)
    else:
        print("ready", server.transport.sockets[0].getsockname()[1], flush=True)
    await server.serving


asyncio.run(main())
