/** Waiting with a limit. @module */

/** The longest delay of a timer, 24.8 days; a longer one fires at once. */
export const TIMER_MS_MAX: number = 2 ** 31 - 1;

/** Whether `promise` resolves in time. */
export async function settlesWithin(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), Math.min(timeoutMs, TIMER_MS_MAX));
  });
  const done = await Promise.race([promise.then(() => true), late]);
  clearTimeout(timer);
  return done;
}
