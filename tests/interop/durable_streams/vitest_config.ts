/** How vitest runs the suite. @module */
export default {
  test: { include: ["judge.ts"], testTimeout: 30_000 },
};
