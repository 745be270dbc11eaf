/* The guest's way out: one stream a boot, and the child behind it. */
#pragma once
#include "session.h"

extern const struct stream_kind NETWORK;

/* Ends the child: what programs might still send leads nowhere. */
void network_end(const struct sessions *sessions);
