/* setrlimit(2) by text: "nofile=1024:4096", with the kernel's names in lower case, and "unlimited" for no limit. */
#pragma once
#include "wire.h"

enum resource_limit_result { RESOURCE_LIMIT_SET, RESOURCE_LIMIT_MALFORMED, RESOURCE_LIMIT_REFUSED /* errno */ };

/*
 * Open files: the agent needs more than a program should get by default, since programs that use select() break
 * with descriptors above 1,023. Raised once at the start, put back in each child.
 */
void open_files_raise(bool is_init);
void open_files_restore(void);

/* Sets the limit of the calling process. */
enum resource_limit_result resource_limit_set(const char *specification);
