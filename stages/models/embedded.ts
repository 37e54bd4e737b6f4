import { fileURLToPath } from "node:url";

/** Where the tiny model lies that ships with the program. */
export const EMBEDDED = fileURLToPath(new URL("../../configs/embedded", import.meta.url));
