/* The process behind the guest's way out: packets of a TUN device on one side, frames about flows on the other. */
#pragma once
#include "spawn_child.h"

/* Runs instead of an exec: opens the network interface, drops all privileges, and carries flows until its stream ends. */
noreturn void net_run(const struct msg_exec_start *start, const struct child_files *files,
                      const struct msg_network_open *open);
