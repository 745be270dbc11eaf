/* The agent's own few words: to the kernel log in a VM, to stderr in native mode. */
#pragma once
#include <stdbool.h>

void log_open(bool is_init);
__attribute__((format(printf, 1, 2))) void log_line(const char *format, ...);
