/*
 * Connections: from the guest, mostly to a server in it. `stdin` frames go into the connection; what comes out of it
 * leaves as `stdout`.
 */
#pragma once
#include "session.h"

extern const struct stream_kind TCP;
