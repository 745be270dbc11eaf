/** Started by unix_socket_test.ts: listens at the path that it is given, and sends back what it gets. */
import { listenUnix } from "../../../src/platform/unix_socket.ts";

const [path = ""] = process.argv.slice(2);
await listenUnix(path, (connection) => connection.onData((chunk) => connection.send(chunk)));
console.log("ready");
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
