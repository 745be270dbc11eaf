/* Variables of every program. One that a program is given itself overrides the default of that name. */
#pragma once
#include "limits.h"

/* Replaces them. False if one is not `NAME=value`, or memory runs out. */
bool environment_set(struct texts variables);
/* Valid until the next environment_set(). */
struct texts environment_defaults(void);
