/* Makes the list of programs, in a child. */
#pragma once
#include <stdnoreturn.h>

#include "limits.h"

/* The texts of a `processes` message as they are on the wire, and how many there would have been. */
struct listing_page {
    uint32_t size;
    uint32_t total;
    uint8_t bytes[PROCESSES_BYTES_MAX];
};

/* Fills `page` and exits, with an errno. */
noreturn void process_list_make(struct listing_page *page, int proc_fd);
