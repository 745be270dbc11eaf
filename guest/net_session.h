/* The guest's network: one stream at a time, and the child that serves it. */
#pragma once
#include "session.h"

extern const struct stream_kind NETWORK;

/* Ends the child, so that nothing more leaves the guest. */
void network_end(const struct sessions *sessions);
