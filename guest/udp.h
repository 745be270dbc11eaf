/*
 * Flows: datagrams between one client of a published port and a server in the guest, each a frame of its own. A flow's
 * only descriptor is a connected socket. Nothing is promised: what does not fit anywhere is dropped, so that nothing waits.
 */
#pragma once
#include "session.h"

extern const struct stream_kind UDP;
