/* The virtio-console port that leads to the VM host process. */
#pragma once
#include <stdbool.h>

/* Finds the port called "agent", opens it, and waits until the host has opened its end. -1 if that does not come.
 */
int port_open(const char *name);
