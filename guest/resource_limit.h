/* setrlimit(2) by text: "nofile=1024:4096", with the kernel's names in lower case, and "unlimited" for no limit. */
#pragma once
#include "wire.h"

enum resource_limit_result { RESOURCE_LIMIT_SET, RESOURCE_LIMIT_MALFORMED, RESOURCE_LIMIT_REFUSED /* errno */ };

/* Sets the limit of the calling process. */
enum resource_limit_result resource_limit_set(const char *specification);
