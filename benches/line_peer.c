/*
 * The peer of benches/line.rs: a plain loop on libmodbus that polls as hard as
 * it can and keeps the silence of 3.5 characters before each request.
 *
 *   line_peer TTY BAUD UNITS REGISTERS SECONDS
 *
 * It is what a careful C programmer would write: the reply is complete when
 * libmodbus has counted its bytes, the silence is counted from then on the
 * monotonic clock, and the kernel may not wake it late to save power.
 * Prints how many polls succeeded and how many failed.
 */
#define _GNU_SOURCE
#include <modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "line_peer TTY BAUD UNITS REGISTERS SECONDS\n");
        return 2;
    }
    int baud = atoi(argv[2]);
    int units = atoi(argv[3]);
    int registers = atoi(argv[4]);
    int64_t silence = baud > 19200 ? 1750000 : 38500000000LL / baud;
    uint16_t values[125];
    long polls = 0, failures = 0;

    modbus_t *line = modbus_new_rtu(argv[1], baud, 'N', 8, 1);
    if (line == NULL || modbus_connect(line) != 0) {
        perror(argv[1]);
        return 1;
    }
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);

    int64_t end = now() + atoll(argv[5]) * 1000000000;
    int64_t quiet = now() + silence;
    for (int unit = 1; now() < end; unit = unit % units + 1) {
        struct timespec at = { quiet / 1000000000, quiet % 1000000000 };
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
            ;
        modbus_set_slave(line, unit);
        if (modbus_read_registers(line, 0, registers, values) == registers)
            polls++;
        else
            failures++;
        quiet = now() + silence;
    }
    modbus_close(line);
    modbus_free(line);
    printf("%ld %ld\n", polls, failures);
    return 0;
}
