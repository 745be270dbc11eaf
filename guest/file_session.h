/* File sessions: a child of the agent for each, which serves requests (fs_server.h) on its stdin and stdout. */
#pragma once
#include "session.h"

extern const struct stream_kind FILES;
