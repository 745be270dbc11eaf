/* The guest's network interface: a static IPv4 address, and the gateway as the way to everywhere. */
#pragma once
#include "limits.h"

/* Of the one virtio-net device. */
#define NETIF_NAME "eth0"

/* 0, or errno with `*step` saying at what. */
int netif_configure(const struct msg_netif *message, const char **step);
