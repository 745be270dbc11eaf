/** The suite, as vitest finds it: against the server whose address the environment has. @module */
import { runConformanceTests } from "@durable-streams/server-conformance-tests";

const baseUrl = process.env["CONFORMANCE_TEST_URL"];
if (baseUrl === undefined) throw new Error("CONFORMANCE_TEST_URL is needed");
runConformanceTests({ baseUrl });
