import { main } from "../../../pipeline/cli/main.ts";
import * as stages from "./stages.ts";

if (import.meta.main) Deno.exit(await main(Deno.args, { stages, tools: () => ({}) }));
