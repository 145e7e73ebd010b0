/*
 * One meter served by libmodbus, as a device the gateway has not been written
 * with.
 *
 *     libmodbus_server rtu TTY UNIT
 *     libmodbus_server tcp UNIT
 *
 * Prints "ready", or "ready PORT" for TCP, once it can be asked. On a serial
 * line it keeps silent when another unit is addressed. The map is that of
 * pymodbus_server.py with other numbers, so that a mix-up would show:
 *
 *     holding 0        u16   2200 + unit
 *     holding 2..3     i32   -200000 - unit
 *     holding 10..11   f32   2.5 * unit
 *     input   0        u16   6000 + unit
 *     coil    0        true
 *     discrete 0, 1    false, true
 */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, modbus_strerror(errno));
	exit(1);
}

static modbus_mapping_t *meter(int unit)
{
	modbus_mapping_t *map = modbus_mapping_new(16, 16, 16, 16);
	if (map == NULL)
		fail("map");
	/* By hand: modbus_set_float_abcd of 3.1.6 swaps the bytes of each register. */
	float power = 2.5f * (float)unit;
	uint32_t power_bits;
	memcpy(&power_bits, &power, sizeof power_bits);
	uint32_t energy = (uint32_t)(-200000 - unit);
	map->tab_registers[0] = (uint16_t)(2200 + unit);
	map->tab_registers[2] = (uint16_t)(energy >> 16);
	map->tab_registers[3] = (uint16_t)(energy & 0xffff);
	map->tab_registers[10] = (uint16_t)(power_bits >> 16);
	map->tab_registers[11] = (uint16_t)(power_bits & 0xffff);
	map->tab_input_registers[0] = (uint16_t)(6000 + unit);
	map->tab_bits[0] = 1;
	map->tab_input_bits[1] = 1;
	return map;
}

static int listening_port(int listener)
{
	struct sockaddr_in at;
	socklen_t size = sizeof at;
	if (getsockname(listener, (struct sockaddr *)&at, &size) != 0)
		fail("getsockname");
	return ntohs(at.sin_port);
}

int main(int argc, char **argv)
{
	int tcp = argc == 3 && strcmp(argv[1], "tcp") == 0;
	if (!tcp && !(argc == 4 && strcmp(argv[1], "rtu") == 0)) {
		fprintf(stderr, "usage: %s rtu TTY UNIT | tcp UNIT\n", argv[0]);
		return 2;
	}
	int unit = atoi(argv[argc - 1]);
	modbus_t *peer = tcp ? modbus_new_tcp("127.0.0.1", 0)
			     : modbus_new_rtu(argv[2], 9600, 'N', 8, 1);
	if (peer == NULL || modbus_set_slave(peer, unit) != 0)
		fail("set up");

	int listener = -1;
	if (tcp) {
		listener = modbus_tcp_listen(peer, 4);
		if (listener == -1)
			fail("listen");
		printf("ready %d\n", listening_port(listener));
	} else {
		if (modbus_connect(peer) != 0)
			fail(argv[2]);
		printf("ready\n");
	}
	fflush(stdout);

	modbus_mapping_t *map = meter(unit);
	uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
	if (tcp && modbus_tcp_accept(peer, &listener) == -1)
		fail("accept");
	for (;;) {
		int length = modbus_receive(peer, query);
		if (length > 0) {
			modbus_reply(peer, query, length, map);
		} else if (length == -1 && tcp) {
			/* The client went away; wait for the next. */
			modbus_close(peer);
			if (modbus_tcp_accept(peer, &listener) == -1)
				fail("accept");
		} else if (length == -1 && (errno == EIO || errno == ECONNRESET)) {
			fail("line lost");
		}
	}
}
