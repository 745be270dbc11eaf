/** errno(3) in messages of the guest's agent and of the VM host process. @module */

/** The numbers of Linux, which every guest runs, whatever the host is. */
export const GuestErrno = {
  ENOENT: 2,
  /** There is no such process any more. */
  ESRCH: 3,
  /** Not in a state for that now, or too many ask. */
  EBUSY: 16,
  EEXIST: 17,
  /** The program or the server reads no more. */
  EPIPE: 32,
  /** The guest's kernel cannot do it. */
  EOPNOTSUPP: 95,
  ETIMEDOUT: 110,
  /** No program listens on the port. */
  ECONNREFUSED: 111,
} as const;
