/* Variables that every program has, unless it is given others of the same name. */
#pragma once
#include "limits.h"

/* Replaces them, each `NAME=value`. False if they cannot be kept, or one is none. */
bool environment_set(struct texts variables);
/* Valid until the next environment_set(). */
struct texts environment_defaults(void);
