/** Opens the authority of the home in `MSB_HOME` and prints its certificate: for tests with several processes. @module */
import { openAuthority } from "../../../src/egress/tls/authority_file.ts";
import { homeDirectory, openHome } from "../../../src/platform/home.ts";

process.stdout.write(openAuthority(openHome(homeDirectory())).certificate);
