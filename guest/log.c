#include "log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_BYTES = 512 };

static int log_fd = STDERR_FILENO;

void log_open(bool is_init) {
    int fd = is_init ? open("/dev/kmsg", O_WRONLY | O_CLOEXEC) : -1;
    if (fd >= 0) log_fd = fd;
}

void log_line(const char *format, ...) {
    char line[LINE_BYTES] = "agent: ";
    int prefix = 7;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line + prefix, sizeof line - (size_t)prefix - 1, format, arguments);
    va_end(arguments);
    if (size < 0) return;
    size += prefix;
    if (size > LINE_BYTES - 2) size = LINE_BYTES - 2;
    line[size++] = '\n';
    if (write(log_fd, line, (size_t)size) < 0) return; /* there is nowhere to complain to */
}
