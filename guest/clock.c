#include "clock.h"

#include <errno.h>
#include <time.h>

static struct timespec now(clockid_t clock) {
    struct timespec time = {0};
    clock_gettime(clock, &time);
    return time;
}

uint64_t clock_boot_micros(void) {
    struct timespec time = now(CLOCK_BOOTTIME);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

uint64_t clock_monotonic_ms(void) {
    struct timespec time = now(CLOCK_MONOTONIC);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

bool clock_set(uint64_t seconds, uint32_t nanoseconds) {
    return clock_settime(CLOCK_REALTIME,
                         &(struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = (long)nanoseconds}) == 0;
}

void clock_sleep_ms(unsigned milliseconds) {
    struct timespec rest = {.tv_sec = milliseconds / 1000, .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {
    }
}
