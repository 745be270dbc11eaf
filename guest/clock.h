/* The guest's clocks. */
#pragma once
#include "wire.h"

/* CLOCK_BOOTTIME: since the kernel started, sleep included. */
uint64_t clock_boot_micros(void);
/* CLOCK_MONOTONIC, for deadlines. */
uint64_t clock_monotonic_ms(void);
/* Sets the wall clock. False with errno. */
bool clock_set(uint64_t seconds, uint32_t nanoseconds);
void clock_sleep_ms(unsigned milliseconds);
