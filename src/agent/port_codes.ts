/**
 * Numbers in the messages `ports` and `published`, which the guest never sees.
 *
 * @module
 */

/** `ports.action`. */
export const PortAction = {
  list: 0,
  add: 1,
  remove: 2,
} as const;

/** `ports.protocol`. */
export const PortProtocol = {
  tcp: 0,
  udp: 1,
} as const;

/** `published.failure`. */
export const PortFailure = {
  none: 0,
  inUse: 1,
  notPublished: 2,
  other: 3,
} as const;
